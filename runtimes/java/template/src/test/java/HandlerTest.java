import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class HandlerTest {
    @Test
    void saysHello() {
        assertEquals("Hello, Ada!\n", Handler.greeting("name=Ada"));
        assertEquals("Hello, world!\n", Handler.greeting(null));
    }
}
