package petrel;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Goes once through what a first request needs, while nobody waits: classes are loaded and run before they are wanted. */
final class Warm {
    private static final int ROUNDS = 20;

    private Warm() {}

    /** `dir` is the instance's own: a temporary directory would load half of the JDK's cryptography for its name. */
    static void warm(Path dir) {
        try {
            Path socket = dir.resolve("w.sock");
            Files.deleteIfExists(socket);
            Server server = new Server(socket, exchange -> Shapes.answer(exchange, Json.write(Json.parse("{\"a\":[1,\"b\",null,true]}")) + exchange.getRequestBody().readAllBytes().length));
            Thread thread = new Thread(server, "connections");
            thread.setDaemon(true);
            thread.start();
            for (int i = 0; i < ROUNDS; i++) {
                try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                    channel.connect(UnixDomainSocketAddress.of(socket));
                    channel.write(ByteBuffer.wrap("POST /?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nx-request-id: a\r\n\r\nhi".getBytes(StandardCharsets.ISO_8859_1)));
                    ByteBuffer in = ByteBuffer.allocate(4096);
                    if (channel.read(in) < 0) break;
                }
            }
            server.drain(1000);
            load(dir);
            Environment.variables();
            Files.deleteIfExists(socket);
        } catch (Throwable error) {
            System.err.println("petrel: warm-up: " + error);
        }
    }

    /** What the supervisor's jar has to show as a function. */
    public static final class Practice implements HttpHandler {
        @Override
        public void handle(HttpExchange exchange) throws IOException {
            Shapes.answer(exchange, "practice");
        }
    }

    /** Loads a package whose code is the supervisor's own jar. */
    private static void load(Path dir) throws Throwable {
        Path about = dir.resolve("practice/petrel-build/about.json");
        Files.createDirectories(about.getParent());
        String jar = Path.of(System.getProperty("java.class.path")).toAbsolutePath().toString();
        Files.writeString(about, Json.write(Json.object("class", Practice.class.getName(), "shape", "http", "jar", jar)));
        Loader.load(Loader.find(dir.resolve("practice").toRealPath(), null, null, null), false);
        Errors.loadError(new ExceptionInInitializerError(new IllegalStateException("practice")));
        Files.delete(about);
        Files.delete(about.getParent());
        Files.delete(dir.resolve("practice"));
    }

    /** For the archive of classes: everything that an instance will load. */
    static void train() throws Exception {
        Path dir = Files.createTempDirectory("petrel-train");
        warm(dir);
        Path socket = dir.resolve("i.sock");
        Environment.variables().put("PETREL_SOCKET", socket.toString());
        Thread supervisor = new Thread(() -> {
            try {
                Supervisor.main(new String[0]);
            } catch (Exception error) {
                System.err.println("petrel: " + error);
            }
        });
        supervisor.setDaemon(true);
        supervisor.start();
        for (int i = 0; i < 500 && !Files.exists(socket); i++) Thread.sleep(10);
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(socket));
            send(channel, 1, "{\"version\":1,\"role\":\"control\"}");
            send(channel, 12, "{\"id\":1,\"method\":\"specialise\",\"params\":{\"code\":1}}");
            send(channel, 12, "{\"id\":2,\"method\":\"health\"}");
            ByteBuffer in = ByteBuffer.allocate(4096);
            while (in.position() < 100 && channel.read(in) >= 0) continue;
        }
    }

    private static void send(SocketChannel channel, int type, String json) throws IOException {
        byte[] payload = json.getBytes(StandardCharsets.UTF_8);
        ByteBuffer frame = ByteBuffer.allocate(9 + payload.length).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        channel.write(frame.putInt(payload.length).put((byte) type).putInt(0).put(payload).flip());
    }
}
