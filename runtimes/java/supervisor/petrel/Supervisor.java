package petrel;

import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.ConcurrentHashMap;
import petrel.Errors.CallError;

/** The life of an instance: generic, specialised once, drained, ended with its platform. Speaks PROTOCOL.md's control channel. */
final class Supervisor {
    static volatile boolean development;
    static volatile long timeoutMs = 300_000;

    private final Path socket;
    private final long controlGrace;
    private final long orphan;
    private final long loadTimeout;
    private final long termGrace;
    private final Set<Control> controls = ConcurrentHashMap.newKeySet();
    private final Timer timer = new Timer("timer", true);
    private TimerTask lonely;
    private String state = "generic";
    private volatile Server server;
    private volatile Program program;
    private volatile boolean leaving;
    /** The call that waits for the code to load. */
    private Control asker;
    private Object askerId;

    private Supervisor(Map<String, String> env) {
        socket = Path.of(env.get("PETREL_SOCKET"));
        controlGrace = setting(env, "PETREL_CONTROL_GRACE_MS", 10_000);
        orphan = setting(env, "PETREL_ORPHAN_MS", 60_000);
        loadTimeout = setting(env, "PETREL_LOAD_TIMEOUT_MS", 30_000);
        termGrace = setting(env, "PETREL_TERM_GRACE_MS", 25_000);
    }

    private static long setting(Map<String, String> env, String name, long otherwise) {
        String value = env.get(name);
        return value == null ? otherwise : Long.parseLong(value);
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("--train")) {
            Warm.train();
            System.exit(0);
        }
        Map<String, String> env = Environment.variables();
        if (env.get("PETREL_SOCKET") == null) {
            System.err.println("petrel: PETREL_SOCKET is not set: the java runtime is started by the platform");
            System.exit(2);
        }
        Supervisor supervisor = new Supervisor(env);
        env.keySet().removeIf(name -> name.startsWith("PETREL_"));
        System.setIn(InputStream.nullInputStream());
        Environment.keepErrors();
        supervisor.live();
    }

    private void live() throws IOException {
        Files.deleteIfExists(socket);
        ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(socket));
        sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> start("term", this::terminate));
        Runtime.getRuntime().addShutdownHook(new Thread(this::ended, "ended"));
        alone(orphan);
        boolean warmed = false;
        while (true) {
            SocketChannel channel = listener.accept();
            Thread thread = new Thread(new Control(this, channel), "control");
            thread.setDaemon(true);
            thread.start();
            if (!warmed) start("warm", () -> Warm.warm(socket.toAbsolutePath().getParent()));
            warmed = true;
        }
    }

    private static void start(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
    }

    private synchronized void alone(long ms) {
        if (lonely != null) lonely.cancel();
        lonely = new TimerTask() {
            @Override
            public void run() {
                leave(0);
            }
        };
        timer.schedule(lonely, ms);
    }

    synchronized void opened(Control control) {
        controls.add(control);
        if (lonely != null) lonely.cancel();
        lonely = null;
    }

    synchronized void closed(Control control) {
        controls.remove(control);
        if (controls.isEmpty()) alone(controlGrace);
    }

    private synchronized String shown() {
        return state.equals("loading") ? "generic" : state;
    }

    Map<String, Object> hello() {
        return Json.object("version", 1, "runtime", "java", "language", "java-" + Runtime.version().feature(), "pid", ProcessHandle.current().pid(), "state", shown());
    }

    void call(Control control, Map<?, ?> call) {
        Object id = call.get("id");
        Object given = call.get("params");
        Map<?, ?> params = given instanceof Map<?, ?> map ? map : Map.of();
        switch ((String) call.get("method")) {
            case "specialise" -> specialise(control, id, params);
            case "health" -> control.result(id, Json.object("state", shown(), "inFlight", server == null ? 0 : server.inFlight()));
            case "drain" -> start("drain", () -> control.result(id, Json.object("left", drain(params.get("graceMs") instanceof Number ms ? ms.longValue() : 30_000))));
            case "shutdown" -> {
                control.result(id, Map.of());
                start("shutdown", this::terminate);
            }
            default -> control.error(id, Json.object("code", "BadRequest", "message", "no such method: " + call.get("method")));
        }
    }

    private int drain(long graceMs) {
        try {
            return server == null ? 0 : server.drain(graceMs);
        } catch (InterruptedException interrupted) {
            return server.inFlight();
        }
    }

    private static String check(Map<?, ?> params) {
        if (!(params.get("code") instanceof String code)) return "code must be a string";
        for (String name : new String[] {"entry", "handler", "shape", "cache", "workdir", "namespace", "function", "revision"})
            if (params.get(name) != null && !(params.get(name) instanceof String)) return name + " must be a string";
        for (String name : new String[] {"port", "timeoutMs", "concurrency"})
            if (params.get(name) != null && !(params.get(name) instanceof Number)) return name + " must be a number";
        if (params.get("env") != null && !(params.get("env") instanceof Map)) return "env must be an object";
        return Files.isDirectory(Path.of(code)) ? null : code + " is not a directory";
    }

    private void specialise(Control control, Object id, Map<?, ?> params) {
        synchronized (this) {
            if (!state.equals("generic")) {
                control.error(id, Json.object("code", "AlreadySpecialised", "message", "this instance is " + state + " already"));
                return;
            }
            String wrong = check(params);
            if (wrong != null) {
                control.error(id, Json.object("code", "BadRequest", "message", "specialise: " + wrong));
                return;
            }
            state = "loading";
            asker = control;
            askerId = id;
        }
        Thread loading = new Thread(() -> load(params), "main");
        loading.setDaemon(true);
        loading.start();
        timer.schedule(new TimerTask() {
            @Override
            public void run() {
                if (program != null || !loading.isAlive()) return;
                Map<String, Object> error = Json.object("code", "LoadError", "message", "the function did not finish loading within " + loadTimeout / 1000 + " s");
                StringBuilder stack = new StringBuilder();
                for (StackTraceElement frame : loading.getStackTrace()) if (!frame.getClassName().startsWith("petrel.")) stack.append("\tat ").append(frame).append('\n');
                error.put("detail", error.get("message") + "\n" + stack);
                failed(error);
            }
        }, loadTimeout + 200);
    }

    private void load(Map<?, ?> params) {
        long begin = System.nanoTime();
        try {
            Path code = Path.of((String) params.get("code")).toRealPath();
            Map<String, String> env = Environment.variables();
            if (params.get("env") instanceof Map<?, ?> given) given.forEach((name, value) -> env.put((String) name, String.valueOf(value)));
            int port = params.get("port") instanceof Number number ? number.intValue() : 0;
            if (port > 0) env.putIfAbsent("PORT", String.valueOf(port));
            development = Boolean.TRUE.equals(params.get("development"));
            if (params.get("timeoutMs") instanceof Number ms) timeoutMs = ms.longValue();
            Loader.Target target = Loader.find(code, (String) params.get("entry"), (String) params.get("handler"), (String) params.get("shape"));
            Map<String, Object> transport = Json.object("kind", "http1-unix");
            if (target.program() != null) {
                if (port == 0) throw new CallError("LoadError", "a program needs a port to listen on");
                program = Program.start(target, code, port, loadTimeout);
                start("program", this::watchProgram);
                transport = Program.transport(port);
            } else {
                Environment.show(code);
                HttpHandler handler = Loader.load(target, true);
                Path http = socket.resolveSibling("h.sock");
                Files.deleteIfExists(http);
                Server serving = new Server(http, handler);
                Thread thread = new Thread(serving, "connections");
                thread.setDaemon(true);
                thread.start();
                server = serving;
            }
            synchronized (this) {
                if (!state.equals("loading")) return;
                state = "specialised";
            }
            asker.result(askerId, Json.object("shape", target.shape(), "loadMs", Math.round((System.nanoTime() - begin) / 1e4) / 100.0, "transport", transport));
        } catch (CallError error) {
            failed(error.fields);
        } catch (ClassNotFoundException error) {
            failed(Json.object("code", "HandlerNotFound", "message", "there is no class " + error.getMessage() + " in the package"));
        } catch (Throwable error) {
            if (!leaving) failed(Errors.loadError(error).fields);
        }
    }

    private void failed(Map<String, Object> error) {
        synchronized (this) {
            if (!state.equals("loading")) return;
            state = "failed";
        }
        asker.error(askerId, error);
        leaving = true;
        if (program != null) program.kill();
        Runtime.getRuntime().halt(1);
    }

    private void watchProgram() {
        try {
            String ending = program.ending();
            if (leaving) return;
            tell("exit", ending, Environment.lastWords());
            leaving = true;
            Runtime.getRuntime().halt(Math.max(1, program.exitCode()));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void tell(String reason, String message, String detail) {
        for (Control control : controls) control.event(Json.object("event", "failed", "reason", reason, "message", message, "detail", detail));
    }

    /** The JVM ends, and nobody here has asked for it: user code has called System.exit. */
    private void ended() {
        if (leaving) return;
        String words = Environment.lastWords();
        String last = null;
        for (String line : words.split("\n")) if (line.matches("(Exception in thread .*|Caused by: .*|[\\w.$]+(Exception|Error)\\b.*)")) last = line;
        synchronized (this) {
            if (state.equals("loading")) {
                asker.error(askerId, Json.object("code", "LoadError", "message", "the function called System.exit while it was loaded" + (last == null ? "" : ": " + last), "detail", words));
                return;
            }
        }
        if (state.equals("specialised")) tell("exit", last == null ? "the function called System.exit" : last, words);
    }

    private void terminate() {
        if (leaving) return;
        long until = System.nanoTime() + termGrace * 1_000_000;
        drain(termGrace);
        leaving = true;
        try {
            if (program != null) program.stop(Math.max(0, (until - System.nanoTime()) / 1_000_000));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        leave(0);
    }

    /** Ends with the user's own shutdown hooks, for as long as there is time. */
    private void leave(int code) {
        leaving = true;
        timer.schedule(new TimerTask() {
            @Override
            public void run() {
                Runtime.getRuntime().halt(code);
            }
        }, Math.min(termGrace, 5000));
        if (program != null) program.kill();
        System.exit(code);
    }
}
