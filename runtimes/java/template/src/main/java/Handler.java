import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Answers requests; called once for each, many at a time. */
public class Handler implements HttpHandler {
    /** Says hello to whom the query names: /?name=Ada. */
    static String greeting(String query) {
        String name = query != null && query.startsWith("name=") ? query.substring(5) : "world";
        return "Hello, " + name + "!\n";
    }

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        byte[] body = greeting(exchange.getRequestURI().getQuery()).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
