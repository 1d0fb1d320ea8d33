package petrel;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** One connection of the gateway: a bounded buffer of what has arrived, and whole writes. Its monitor guards all of it. */
final class Connection {
    /** The longest head, and the most that is read ahead of a handler. */
    private static final int MOST = 65_536;
    /** What is left of a body that nobody read is taken up to this, to keep the connection. */
    private static final long DRAINED = 262_144;

    final Server server;
    private final SocketChannel channel;
    private final SelectionKey key;
    private byte[] buffer = new byte[8192];
    private int begin;
    private int end;
    private boolean gone;
    private Exchange current;

    Connection(Server server, SocketChannel channel, SelectionKey key) {
        this.server = server;
        this.channel = channel;
        this.key = key;
    }

    synchronized boolean waitedFor() {
        return current != null && !gone;
    }

    synchronized void closeIfIdle() {
        if (current == null) close();
    }

    synchronized void close() {
        gone = true;
        try {
            channel.close();
        } catch (IOException closed) {
            // it is closed either way
        }
        server.closed(this);
        notifyAll();
    }

    /** Called by the watching thread. */
    synchronized void ready(int operations) {
        if ((operations & SelectionKey.OP_WRITE) != 0) {
            key.interestOpsAnd(~SelectionKey.OP_WRITE);
            notifyAll();
        }
        if ((operations & SelectionKey.OP_READ) == 0) return;
        try {
            if (end == buffer.length) room();
            int count = channel.read(ByteBuffer.wrap(buffer, end, buffer.length - end));
            if (count < 0) throw new EOFException();
            end += count;
            if (end - begin == MOST) key.interestOpsAnd(~SelectionKey.OP_READ);
        } catch (IOException error) {
            close();
            if (current != null) current.abandoned();
            return;
        }
        notifyAll();
        if (current == null) next();
    }

    private void room() {
        int held = end - begin;
        byte[] to = held > buffer.length / 2 && buffer.length < MOST ? new byte[Math.min(MOST, buffer.length * 4)] : buffer;
        System.arraycopy(buffer, begin, to, 0, held);
        buffer = to;
        begin = 0;
        end = held;
    }

    /** Begins the next request if its head is there. */
    private void next() {
        int head = headEnd();
        if (head < 0) {
            if (end - begin == MOST) refuse("431 Request Header Fields Too Large");
            return;
        }
        String text = new String(buffer, begin, head - begin, StandardCharsets.ISO_8859_1);
        took(head + 4 - begin);
        try {
            current = new Exchange(this, text);
        } catch (RuntimeException malformed) {
            refuse("400 Bad Request");
            return;
        }
        server.handle(current);
    }

    private int headEnd() {
        for (int i = begin; i + 3 < end; i++)
            if (buffer[i] == '\r' && buffer[i + 1] == '\n' && buffer[i + 2] == '\r' && buffer[i + 3] == '\n') return i;
        return -1;
    }

    private void refuse(String status) {
        try {
            channel.write(ByteBuffer.wrap(("HTTP/1.1 " + status + "\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1)));
        } catch (IOException lost) {
            // nobody is there to be told
        }
        close();
    }

    /** The request is answered: the connection goes on with the next, or ends. */
    void answered(Exchange exchange, boolean close) {
        try {
            if (close || server.draining() || !exchange.skipBody(DRAINED)) {
                close();
                synchronized (this) {
                    current = null;
                }
                return;
            }
        } catch (IOException lost) {
            close();
        }
        synchronized (this) {
            current = null;
            if (gone) return;
            if (server.draining()) close();
            else next();
        }
    }

    /** Reads what has arrived, waiting for at least a byte. Throws when the client has gone away. */
    synchronized int read(byte[] to, int offset, int length) throws IOException {
        await();
        int count = Math.min(length, end - begin);
        System.arraycopy(buffer, begin, to, offset, count);
        took(count);
        return count;
    }

    synchronized String line() throws IOException {
        while (true) {
            for (int i = begin; i < end; i++) {
                if (buffer[i] != '\n') continue;
                String line = new String(buffer, begin, i - begin, StandardCharsets.ISO_8859_1).trim();
                took(i + 1 - begin);
                return line;
            }
            if (end - begin == MOST) throw new IOException("a line of the body's framing is too long");
            if (gone) throw new EOFException("the client has gone away");
            pause();
        }
    }

    private void took(int count) {
        boolean full = end - begin == MOST;
        begin += count;
        if (begin == end) begin = end = 0;
        if (full) server.interest(key, SelectionKey.OP_READ);
    }

    private void await() throws IOException {
        while (begin == end && !gone) pause();
        if (gone) throw new EOFException("the client has gone away");
    }

    private void pause() throws IOException {
        try {
            wait();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new java.io.InterruptedIOException("interrupted");
        }
    }

    /** Writes all of it; waits while the client takes nothing. */
    void write(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            synchronized (this) {
                if (gone) throw new IOException("the client has gone away");
                if (channel.write(bytes) > 0 || !bytes.hasRemaining()) continue;
                server.interest(key, SelectionKey.OP_WRITE);
                while (!gone && key.isValid() && (key.interestOps() & SelectionKey.OP_WRITE) != 0) pause();
            }
        }
    }
}
