package petrel;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpPrincipal;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One request and its answer, as com.sun.net.httpserver has them. */
final class Exchange extends HttpExchange {
    private static final int PIECE = 16_384;
    /** Headers that frame a message, and are the server's own. */
    private static final List<String> FRAMING = List.of("Content-length", "Transfer-encoding", "Connection", "Keep-alive");

    private final Connection connection;
    private final String method;
    private final String target;
    private final URI uri;
    private final Headers request = new Headers();
    private final Headers response = new Headers();
    private final Map<String, Object> attributes = new HashMap<>();
    private final Body body;
    private final Answer answer = new Answer();
    private final boolean last;
    private InputStream in;
    private OutputStream out;
    private int status = -1;
    private boolean broken;
    private boolean returned;
    private boolean finished;
    private Thread worker;

    /** Throws when that is no head of HTTP/1.1. */
    Exchange(Connection connection, String head) {
        this.connection = connection;
        String[] lines = head.split("\r\n");
        String[] words = lines[0].split(" ");
        if (words.length != 3 || !words[2].startsWith("HTTP/1.")) throw new IllegalArgumentException("no request line");
        method = words[0];
        target = words[1];
        uri = uriOf(target);
        for (int i = 1; i < lines.length; i++) {
            int colon = lines[i].indexOf(':');
            if (colon < 1) throw new IllegalArgumentException("no header");
            request.add(lines[i].substring(0, colon), lines[i].substring(colon + 1).trim());
        }
        last = "close".equalsIgnoreCase(request.getFirst("Connection"));
        String length = request.getFirst("Content-length");
        boolean chunked = "chunked".equalsIgnoreCase(request.getFirst("Transfer-encoding"));
        body = new Body(chunked ? -1 : length == null ? 0 : Long.parseLong(length));
        in = body;
        out = answer;
    }

    /** What a URI may not have in it is passed on as it can be: a handler must not fail for a stranger's query. */
    private static URI uriOf(String target) {
        try {
            return URI.create(target);
        } catch (IllegalArgumentException odd) {
            StringBuilder safe = new StringBuilder();
            for (char c : target.toCharArray()) {
                if ("\"<>\\^`{|}[]".indexOf(c) >= 0 || c <= ' ' || c > '~') safe.append(String.format("%%%02X", (int) c & 0xff));
                else safe.append(c);
            }
            return URI.create(safe.toString().replaceAll("%(?![0-9A-Fa-f]{2})", "%25"));
        }
    }

    /** Calls the handler; whatever it throws becomes the answer. */
    void run(HttpHandler handler) {
        synchronized (this) {
            worker = Thread.currentThread();
        }
        try {
            handler.handle(this);
        } catch (Throwable error) {
            fail(error);
        }
        synchronized (this) {
            worker = null;
            returned = true;
        }
        Thread.interrupted(); // what was meant for the handler must not reach the next
        settle();
    }

    /** The client has gone away: a handler that waits is woken up. */
    synchronized void abandoned() {
        if (worker != null) worker.interrupt();
    }

    /** Goes on with the connection once the handler has returned and the answer is complete. A handler that answers later closes the exchange then. */
    private void settle() {
        synchronized (this) {
            if (finished || !returned || !(broken || answer.complete())) return;
            finished = true;
        }
        connection.answered(this, broken || last);
    }

    private void fail(Throwable error) {
        if (status >= 0) {
            broken = true;
            if (!(error instanceof IOException)) Errors.log(error);
            connection.close();
            return;
        }
        Errors.log(error);
        response.clear();
        response.set("Content-Type", "application/json");
        Map<String, Object> problem = Json.object("component", "function", "reason", "function_error", "requestId", request.getFirst("X-request-id"));
        if (Supervisor.development) {
            problem.put("message", error.toString());
            problem.put("stack", Errors.stackOf(error));
        }
        byte[] bytes = Json.write(problem).getBytes(StandardCharsets.UTF_8);
        try {
            sendResponseHeaders(500, bytes.length);
            answer.write(bytes);
            answer.close();
        } catch (IOException lost) {
            broken = true;
        }
    }

    /** Reads what the handler has left of the body; false when that is too much. */
    boolean skipBody(long most) throws IOException {
        byte[] piece = new byte[8192];
        for (long taken = 0; taken <= most;) {
            int count = body.read(piece, 0, piece.length);
            if (count < 0) return true;
            taken += count;
        }
        return false;
    }

    @Override
    public void sendResponseHeaders(int code, long length) throws IOException {
        if (status >= 0) throw new IOException("headers already sent");
        boolean bodiless = code == 204 || code == 304 || code < 200;
        StringBuilder head = new StringBuilder("HTTP/1.1 ").append(code).append(" -\r\n");
        response.forEach((name, values) -> {
            if (FRAMING.contains(name)) return;
            for (String value : values) {
                if (value.indexOf('\r') >= 0 || value.indexOf('\n') >= 0) throw new IllegalArgumentException("the header " + name + " has a line break in it");
                head.append(name).append(": ").append(value).append("\r\n");
            }
        });
        boolean onlyHead = method.equals("HEAD");
        if (bodiless || length < 0) {
            if (onlyHead && length < 0 && response.getFirst("Content-length") != null) head.append("content-length: ").append(response.getFirst("Content-length")).append("\r\n");
            else if (!bodiless) head.append("content-length: 0\r\n");
            answer.left = 0;
            answer.closed = true;
        } else if (length == 0) {
            head.append("transfer-encoding: chunked\r\n");
            answer.chunked = true;
        } else {
            head.append("content-length: ").append(length).append("\r\n");
            answer.left = length;
        }
        if (last || connection.server.draining()) head.append("connection: close\r\n");
        status = code;
        answer.silent = onlyHead || bodiless;
        answer.begin(head.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1));
        settle();
    }

    @Override
    public void close() {
        try {
            if (status < 0) broken = true;
            else out.close();
        } catch (IOException error) {
            broken = true;
        }
        if (broken) connection.close();
        settle();
    }

    /** The body of the request, read as it arrives. */
    private final class Body extends InputStream {
        private long left;
        private boolean chunked;
        private boolean done;

        Body(long length) {
            chunked = length < 0;
            left = chunked ? 0 : length;
            done = length == 0;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] to, int offset, int length) throws IOException {
            if (length == 0) return 0;
            if (done) return -1;
            if (chunked && left == 0) {
                String size = connection.line().split(";")[0].trim();
                if (size.isEmpty()) size = connection.line().split(";")[0].trim(); // the line break after a chunk
                try {
                    left = Long.parseLong(size, 16);
                } catch (NumberFormatException error) {
                    throw new IOException("a chunk has no length");
                }
                if (left == 0) {
                    while (!connection.line().isEmpty()) continue;
                    done = true;
                    return -1;
                }
            }
            int count = connection.read(to, offset, (int) Math.min(length, left));
            left -= count;
            done = !chunked && left == 0;
            return count;
        }

        @Override
        public int available() {
            return 0;
        }
    }

    /** The body of the answer: what is small leaves in one piece with the head, everything else as it is written or flushed. */
    private final class Answer extends OutputStream {
        private final byte[] piece = new byte[PIECE];
        private int held;
        private byte[] head;
        private long left;
        private boolean chunked;
        private boolean silent;
        private boolean closed;

        void begin(byte[] bytes) throws IOException {
            head = bytes;
            if (closed || silent && !chunked) send();
        }

        boolean complete() {
            return closed || status >= 0 && !chunked && (left == 0 || silent);
        }

        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] from, int offset, int length) throws IOException {
            if (status < 0) throw new IOException("headers not sent yet");
            if (silent || length == 0) return;
            if (closed) throw new IOException("the answer is complete");
            if (!chunked) {
                if (length > left) throw new IOException("too many bytes to write to stream");
                left -= length;
            }
            while (length > 0) {
                int count = Math.min(length, piece.length - held);
                System.arraycopy(from, offset, piece, held, count);
                held += count;
                offset += count;
                length -= count;
                if (held == piece.length) send();
            }
            if (!chunked && left == 0) send();
        }

        private void send() throws IOException {
            int extra = (head == null ? 0 : head.length) + held + 16;
            ByteBuffer bytes = ByteBuffer.allocate(extra);
            if (head != null) bytes.put(head);
            head = null;
            if (held > 0) {
                if (chunked) bytes.put((Integer.toHexString(held) + "\r\n").getBytes(StandardCharsets.ISO_8859_1));
                bytes.put(piece, 0, held);
                if (chunked) bytes.put((byte) '\r').put((byte) '\n');
            }
            held = 0;
            if (chunked && closed && !silent) bytes.put("0\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
            try {
                connection.write(bytes.flip());
            } catch (IOException lost) {
                broken = true;
                throw lost;
            }
        }

        @Override
        public void flush() throws IOException {
            if (status >= 0 && !closed && (head != null || held > 0)) send();
        }

        @Override
        public void close() throws IOException {
            if (status < 0 || closed) return;
            closed = true;
            if (!chunked && left > 0 && !silent) {
                broken = true;
                connection.close();
                throw new IOException("insufficient bytes written");
            }
            if (chunked || head != null || held > 0) send();
            settle();
        }
    }

    @Override
    public Headers getRequestHeaders() {
        return request;
    }

    @Override
    public Headers getResponseHeaders() {
        return response;
    }

    @Override
    public URI getRequestURI() {
        return uri;
    }

    /** Path and query as they were sent. */
    String target() {
        return target;
    }

    @Override
    public String getRequestMethod() {
        return method;
    }

    @Override
    public InputStream getRequestBody() {
        return in;
    }

    @Override
    public OutputStream getResponseBody() {
        return out;
    }

    @Override
    public int getResponseCode() {
        return status;
    }

    @Override
    public String getProtocol() {
        return "HTTP/1.1";
    }

    @Override
    public Object getAttribute(String name) {
        return attributes.get(name);
    }

    @Override
    public void setAttribute(String name, Object value) {
        attributes.put(name, value);
    }

    @Override
    public void setStreams(InputStream input, OutputStream output) {
        if (input != null) in = input;
        if (output != null) out = output;
    }

    @Override
    public HttpPrincipal getPrincipal() {
        return null;
    }

    /** Whom the gateway has the request from. */
    @Override
    public InetSocketAddress getRemoteAddress() {
        String forwarded = request.getFirst("X-forwarded-for");
        String client = forwarded == null ? "127.0.0.1" : forwarded.split(",")[0].trim();
        return client.matches("[0-9a-fA-F.:]+") ? new InetSocketAddress(client, 0) : InetSocketAddress.createUnresolved(client, 0);
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return new InetSocketAddress("127.0.0.1", 0);
    }

    @Override
    public HttpContext getHttpContext() {
        return Context.ROOT;
    }
}
