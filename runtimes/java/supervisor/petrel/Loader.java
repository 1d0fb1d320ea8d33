package petrel;

import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import petrel.Errors.CallError;

/** Finds what a package has to run, and loads it: petrel-build/about.json says what the build has chosen. */
final class Loader {
    private static final String BUILD = "petrel-build";
    private static volatile ClassLoader users;

    private Loader() {}

    /** What is to be run: a handler, or the command line of a program. */
    record Target(String shape, String type, String method, List<Path> classPath, List<String> program, String label) {}

    static boolean isUsers(String name) {
        ClassLoader loader = users;
        return loader != null && loader.getResource(name.replace('.', '/') + ".class") != null && ((URLClassLoader) loader).findResource(name.replace('.', '/') + ".class") != null;
    }

    static Target find(Path root, String entry, String handler, String shape) throws CallError, IOException {
        Path about = root.resolve(BUILD).resolve("about.json");
        boolean program = "program".equals(shape);
        if (Files.exists(about)) {
            Map<?, ?> built = (Map<?, ?>) Json.parse(Files.readString(about));
            List<Path> classPath = new ArrayList<>();
            if (built.get("jar") instanceof String jar) classPath.add(root.resolve(BUILD).resolve(jar));
            else classPath.add(root.resolve(BUILD).resolve("classes"));
            classPath.addAll(jarsIn(root.resolve(BUILD).resolve("lib")));
            String main = (String) built.get("main");
            if (program && main == null) throw new CallError("HandlerNotFound", "the function is declared a program, but no class of it has a main");
            if (!program && "program".equals(built.get("shape")) && shape != null) throw new CallError("HandlerNotFound", "the function is declared a handler, but its build has found only " + main + " (main)");
            if (program || "program".equals(built.get("shape"))) return new Target("program", null, null, classPath, List.of("-cp", join(classPath), main), main);
            return new Target((String) built.get("shape"), (String) built.get("class"), (String) built.get("method"), classPath, null, null);
        }
        if (entry == null) throw new CallError("EntryNotFound", "the package has no " + BUILD + ": it was not built, and no jar is given as its entry. " + listing(root));
        Path file = root.resolve(entry).normalize();
        if (!file.startsWith(root)) throw new CallError("EntryNotFound", entry + " lies outside the package");
        if (!Files.isRegularFile(file)) throw new CallError("EntryNotFound", "the package has no file " + entry + ". " + listing(root));
        if (!entry.endsWith(".jar")) throw new CallError("EntryNotFound", entry + " is no jar, and the package was not built. " + listing(root));
        List<Path> classPath = new ArrayList<>(List.of(file));
        classPath.addAll(jarsIn(root.resolve("lib")));
        if (handler == null || program) return new Target("program", null, null, classPath, List.of("-jar", file.toString()), entry);
        int colons = handler.indexOf("::");
        return new Target("class", colons < 0 ? handler : handler.substring(0, colons), colons < 0 ? null : handler.substring(colons + 2), classPath, null, null);
    }

    private static List<Path> jarsIn(Path dir) throws IOException {
        if (!Files.isDirectory(dir)) return List.of();
        try (var files = Files.list(dir)) {
            return files.filter(file -> file.toString().endsWith(".jar")).sorted().toList();
        }
    }

    private static String join(List<Path> paths) {
        return String.join(":", paths.stream().map(Path::toString).toList());
    }

    private static String listing(Path root) throws IOException {
        try (var files = Files.list(root)) {
            List<String> names = files.map(file -> file.getFileName().toString()).sorted().limit(10).toList();
            return "It has: " + (names.isEmpty() ? "nothing" : String.join(", ", names));
        }
    }

    /** Loads and initialises the class, and makes its instance; `real` unless it is for practice. Throws what the code throws. */
    static HttpHandler load(Target target, boolean real) throws Throwable {
        URL[] urls = new URL[target.classPath.size()];
        for (int i = 0; i < urls.length; i++) urls[i] = target.classPath.get(i).toUri().toURL();
        ClassLoader loader = new URLClassLoader("function", urls, ClassLoader.getPlatformClassLoader());
        if (real) users = loader;
        Thread.currentThread().setContextClassLoader(loader);
        Class<?> type = Class.forName(target.type, true, loader);
        Shapes.Found found = Shapes.of(type, target.method);
        if (found == null) throw new CallError("HandlerNotFound", target.type + (target.method == null ? "" : "::" + target.method) + " is no handler");
        HttpHandler handler = Shapes.handlerOf(found);
        return exchange -> {
            Thread.currentThread().setContextClassLoader(loader);
            try {
                handler.handle(exchange);
            } catch (Shapes.BadInput wrong) {
                Shapes.send(exchange, 400, "text/plain; charset=utf-8", wrong.getMessage().getBytes(StandardCharsets.UTF_8), null);
            }
        };
    }
}
