package petrel;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import petrel.Errors.CallError;

/** A program that listens on $PORT: a JVM of its own, so that directory, signals and exit code are its own too. */
final class Program {
    /** Starts a command with a signal of its own for the death of its parent. */
    private static final Path SETPRIV = Path.of("/usr/bin/setpriv");
    private final Process process;
    private final String label;

    private Program(Process process, String label) {
        this.process = process;
        this.label = label;
    }

    /** Starts it and waits until its port accepts connections. */
    static Program start(Loader.Target target, Path directory, int port, long limitMs) throws CallError, IOException, InterruptedException {
        if (accepts(port)) throw new CallError("LoadError", "port " + port + " is taken: another process of this machine listens on it");
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(SETPRIV)) command.addAll(List.of(SETPRIV.toString(), "--pdeathsig", "KILL", "--"));
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:MaxRAMPercentage=70", "-XX:+ExitOnOutOfMemoryError"));
        command.addAll(target.program());
        ProcessBuilder builder = new ProcessBuilder(command).directory(directory.toFile());
        builder.environment().put("PORT", String.valueOf(port));
        builder.redirectInput(Path.of("/dev/null").toFile()).redirectOutput(ProcessBuilder.Redirect.INHERIT);
        Process process = keep(builder);
        Thread errors = new Thread(() -> {
            try (InputStream in = process.getErrorStream()) {
                byte[] piece = new byte[8192];
                for (int count; (count = in.read(piece)) >= 0;) {
                    System.err.write(piece, 0, count);
                    System.err.flush();
                }
            } catch (IOException closed) {
                // it has ended
            }
        }, "stderr");
        errors.setDaemon(true);
        errors.start();
        Program program = new Program(process, target.label());
        long until = System.nanoTime() + limitMs * 1_000_000;
        while (!accepts(port)) {
            if (!process.isAlive()) {
                errors.join(1000);
                throw failed(program.ending() + " before it listened on port " + port);
            }
            if (System.nanoTime() > until) {
                process.destroyForcibly().waitFor();
                throw failed(target.label() + " did not listen on port " + port + " ($PORT) within " + limitMs / 1000 + " s");
            }
            Thread.sleep(3);
        }
        return program;
    }

    /** Starts it from a thread that lives as long as it does: the kernel takes the end of that thread for the death of its parent. */
    private static Process keep(ProcessBuilder builder) throws IOException, InterruptedException {
        CompletableFuture<Process> started = new CompletableFuture<>();
        Thread keeper = new Thread(() -> {
            try {
                Process process = builder.start();
                started.complete(process);
                process.waitFor();
            } catch (IOException | InterruptedException error) {
                started.completeExceptionally(error);
            }
        }, "keeper");
        keeper.setDaemon(true);
        keeper.start();
        try {
            return started.get();
        } catch (ExecutionException error) {
            throw new IOException(error.getCause());
        }
    }

    private static CallError failed(String message) {
        String words = Environment.lastWords();
        return new CallError(Json.object("code", "LoadError", "message", message, "detail", words.isEmpty() ? message : message + "\n" + words));
    }

    String ending() throws InterruptedException {
        int code = process.waitFor();
        return label + " ended " + (code > 128 ? "by signal " + (code - 128) : "with exit code " + code);
    }

    int exitCode() throws InterruptedException {
        return process.waitFor();
    }

    /** SIGTERM, and what the time leaves of it. */
    void stop(long graceMs) throws InterruptedException {
        process.destroy();
        if (!process.waitFor(graceMs, TimeUnit.MILLISECONDS)) process.destroyForcibly();
    }

    void kill() {
        process.destroyForcibly();
    }

    private static boolean accepts(int port) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 1000);
            // A connection from a port to itself, which TCP allows, is nobody who listens.
            return socket.getLocalPort() != port;
        } catch (IOException refused) {
            return false;
        }
    }

    static Map<String, Object> transport(int port) {
        return Json.object("kind", "http1", "host", "127.0.0.1", "port", port);
    }
}
