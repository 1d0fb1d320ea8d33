package petrel;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** One control connection: frames in, calls out of them. Whatever breaks the rules of PROTOCOL.md closes it. */
final class Control implements Runnable {
    private static final int HELLO = 1;
    private static final int PING = 10;
    private static final int PONG = 11;
    private static final int CALL = 12;
    private static final int RESULT = 13;
    private static final int EVENT = 14;
    private static final int LAST_KNOWN = 15;
    private static final int LONGEST = 1_048_576;

    private final Supervisor supervisor;
    private final SocketChannel channel;
    private volatile boolean greeted;

    Control(Supervisor supervisor, SocketChannel channel) {
        this.supervisor = supervisor;
        this.channel = channel;
    }

    @Override
    public void run() {
        try (channel; DataInputStream in = new DataInputStream(Channels.newInputStream(channel))) {
            while (true) {
                int length = Integer.reverseBytes(in.readInt());
                int type = in.readUnsignedByte();
                in.readInt();
                if (length < 0 || length > LONGEST) break;
                byte[] payload = in.readNBytes(length);
                if (payload.length < length || !take(type, payload)) break;
            }
        } catch (IOException | RuntimeException over) {
            // the platform has closed it, or what it sent was no JSON
        }
        if (greeted) supervisor.closed(this);
    }

    private boolean take(int type, byte[] payload) throws IOException {
        if (!greeted) {
            if (type != HELLO || !(parse(payload) instanceof Map<?, ?> hello)) return false;
            if (!Long.valueOf(1).equals(hello.get("version")) || !"control".equals(hello.get("role"))) return false;
            greeted = true;
            supervisor.opened(this);
            send(HELLO, Json.write(supervisor.hello()));
            return true;
        }
        if (type > LAST_KNOWN) return true;
        if (type == PING && payload.length == 8) {
            send(PONG, payload);
            return true;
        }
        if (type != CALL || !(parse(payload) instanceof Map<?, ?> call)) return false;
        if (!(call.get("id") instanceof Long) || !(call.get("method") instanceof String)) return false;
        supervisor.call(this, call);
        return true;
    }

    private static Object parse(byte[] payload) {
        return Json.parse(new String(payload, StandardCharsets.UTF_8));
    }

    void result(Object id, Object result) {
        quietly(RESULT, Json.object("id", id, "result", result));
    }

    void error(Object id, Map<String, Object> error) {
        quietly(RESULT, Json.object("id", id, "error", error));
    }

    void event(Map<String, Object> event) {
        quietly(EVENT, event);
    }

    private void quietly(int type, Object json) {
        try {
            send(type, Json.write(json));
        } catch (IOException gone) {
            // noticed by whoever reads
        }
    }

    private void send(int type, String json) throws IOException {
        send(type, json.getBytes(StandardCharsets.UTF_8));
    }

    private synchronized void send(int type, byte[] payload) throws IOException {
        ByteBuffer frame = ByteBuffer.allocate(9 + payload.length).order(ByteOrder.LITTLE_ENDIAN);
        frame.putInt(payload.length).put((byte) type).putInt(0).put(payload).flip();
        while (frame.hasRemaining()) channel.write(frame);
    }
}
