package petrel;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import sun.misc.Unsafe;

/** What a process has from its start and a warm one has to be given later: variables, directory, streams. */
final class Environment {
    /** Bytes of the error stream that are kept for what is told of an end. */
    private static final int TAIL = 16_384;
    private static final ByteArrayOutputStream tail = new ByteArrayOutputStream();

    private Environment() {}

    /**
     * The map behind System.getenv, which the JDK shows unmodifiable; programs started from here get the same. Read with Unsafe: opening the
     * packages to reflection would cost every start 40 ms.
     */
    @SuppressWarnings({"unchecked", "removal"})
    static Map<String, String> variables() {
        try {
            Field access = Unsafe.class.getDeclaredField("theUnsafe");
            access.setAccessible(true);
            Unsafe unsafe = (Unsafe) access.get(null);
            Field shown = Class.forName("java.lang.ProcessEnvironment").getDeclaredField("theUnmodifiableEnvironment");
            Object unmodifiable = unsafe.getObject(unsafe.staticFieldBase(shown), unsafe.staticFieldOffset(shown));
            Field inner = Class.forName("java.util.Collections$UnmodifiableMap").getDeclaredField("m");
            return (Map<String, String>) unsafe.getObject(unmodifiable, unsafe.objectFieldOffset(inner));
        } catch (ReflectiveOperationException | RuntimeException error) {
            throw new IllegalStateException("this JVM does not let its environment be set: " + error, error);
        }
    }

    /** A JVM cannot change its directory: it was started in an empty one, which shows what the package has from now on. */
    static void show(Path code) throws IOException {
        Path here = Path.of("").toAbsolutePath();
        if (here.equals(Path.of("/")) || here.equals(code)) return;
        try (var entries = Files.newDirectoryStream(code)) {
            for (Path entry : entries) {
                Path link = here.resolve(entry.getFileName().toString());
                if (!Files.exists(link, java.nio.file.LinkOption.NOFOLLOW_LINKS)) Files.createSymbolicLink(link, entry);
            }
        }
    }

    /** Keeps the end of what is written to the error stream. */
    static void keepErrors() {
        PrintStream to = System.err;
        System.setErr(new PrintStream(new OutputStream() {
            @Override
            public void write(int value) {
                write(new byte[] {(byte) value}, 0, 1);
            }

            @Override
            public void write(byte[] from, int offset, int length) {
                to.write(from, offset, length);
                to.flush();
                keep(from, offset, length);
            }
        }, true));
    }

    static void keep(byte[] from, int offset, int length) {
        synchronized (tail) {
            tail.write(from, offset, length);
            if (tail.size() <= 2 * TAIL) return;
            byte[] all = tail.toByteArray();
            tail.reset();
            tail.write(all, all.length - TAIL, TAIL);
        }
    }

    /** The end of what was written to the error stream. */
    static String lastWords() {
        synchronized (tail) {
            String text = tail.toString(StandardCharsets.UTF_8);
            return text.substring(Math.max(0, text.length() - TAIL)).strip();
        }
    }
}
