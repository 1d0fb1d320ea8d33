package petrel;

import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;

/**
 * HTTP/1.1 on a unix socket, which the JDK's own server has not: one thread watches all connections, handlers run on threads of their own.
 * So a client that goes away is noticed while its handler works, and a connection that rests costs no thread.
 */
final class Server implements Runnable {
    private final ServerSocketChannel listener;
    private final Selector selector;
    private final HttpHandler handler;
    private final Executor threads;
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
    private volatile boolean draining;
    private volatile Thread watcher;

    Server(Path socket, HttpHandler handler) throws IOException {
        this.handler = handler;
        threads = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task, "request");
            thread.setDaemon(true);
            return thread;
        });
        selector = Selector.open();
        listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(socket), 4096);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
    }

    boolean draining() {
        return draining;
    }

    /** Requests that somebody still waits for. */
    int inFlight() {
        int count = 0;
        for (Connection connection : connections) if (connection.waitedFor()) count++;
        return count;
    }

    /** Takes nothing new; waits until nothing is in flight or the time is over. Returns what is left. */
    int drain(long graceMs) throws InterruptedException {
        long until = System.nanoTime() + graceMs * 1_000_000;
        draining = true;
        selector.wakeup();
        while (inFlight() > 0 && System.nanoTime() < until) Thread.sleep(5);
        return inFlight();
    }

    void handle(Exchange exchange) {
        threads.execute(() -> exchange.run(handler));
    }

    /** Asks the watching thread for more. */
    void interest(SelectionKey key, int operation) {
        try {
            key.interestOpsOr(operation);
            if (Thread.currentThread() != watcher) selector.wakeup();
        } catch (java.nio.channels.CancelledKeyException gone) {
            // noticed by whoever reads or writes
        }
    }

    void closed(Connection connection) {
        connections.remove(connection);
        if (draining) selector.wakeup();
    }

    @Override
    public void run() {
        watcher = Thread.currentThread();
        boolean listening = true;
        while (listening || !connections.isEmpty()) {
            try {
                selector.select();
                if (draining && listening) {
                    listening = false;
                    listener.close();
                    for (Connection connection : connections) connection.closeIfIdle();
                }
                var keys = selector.selectedKeys().iterator();
                while (keys.hasNext()) {
                    SelectionKey key = keys.next();
                    keys.remove();
                    if (!key.isValid()) continue;
                    if (key.isAcceptable()) accept();
                    else ((Connection) key.attachment()).ready(key.readyOps());
                }
            } catch (ClosedChannelException closed) {
                // a listener that has just been closed
            } catch (IOException | RuntimeException error) {
                System.err.println("petrel: " + error);
            }
        }
        close();
    }

    /** A listener is closed for good only when its selector has noticed. */
    private void close() {
        try {
            selector.close();
        } catch (IOException closed) {
            // it is closed either way
        }
    }

    private void accept() throws IOException {
        SocketChannel channel = listener.accept();
        if (channel == null) return;
        channel.configureBlocking(false);
        SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
        Connection connection = new Connection(this, channel, key);
        key.attach(connection);
        connections.add(connection);
    }
}
