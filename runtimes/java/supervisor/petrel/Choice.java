package petrel;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Chooses at build time what is the handler among compiled classes; run by build.cjs. Arguments: the name wanted or nothing, the directory of
 * classes, jars. Prints what about.json is to hold, or says on the error stream why there is no handler and exits with 1.
 */
final class Choice {
    /** Simple names that win where several classes could be the handler. */
    private static final List<String> NAMES = List.of("Handler", "Function", "FunctionHandler", "Fn", "Main", "App");

    private Choice() {}

    public static void main(String[] arguments) throws IOException {
        String wanted = arguments[0].isEmpty() ? null : arguments[0];
        Path classes = Path.of(arguments[1]);
        URL[] urls = new URL[arguments.length - 1];
        for (int i = 1; i < arguments.length; i++) urls[i - 1] = Path.of(arguments[i]).toUri().toURL();
        ClassLoader loader = new URLClassLoader("function", urls, ClassLoader.getPlatformClassLoader());
        List<Class<?>> all = new ArrayList<>();
        List<String> names;
        try (var files = Files.walk(classes)) {
            names = files.map(file -> classes.relativize(file).toString()).filter(name -> name.endsWith(".class") && !name.endsWith("-info.class")).sorted().toList();
        }
        for (String name : names) {
            try {
                all.add(Class.forName(name.substring(0, name.length() - 6).replace('/', '.'), false, loader));
            } catch (ClassNotFoundException | LinkageError incomplete) {
                System.err.println(name + " is left out: " + incomplete);
            }
        }
        try {
            System.out.println(Json.write(choose(all, wanted)));
        } catch (IllegalArgumentException none) {
            System.err.println("HandlerNotFound: " + none.getMessage());
            System.exit(1);
        }
    }

    private static Map<String, Object> choose(List<Class<?>> all, String wanted) {
        Class<?> main = only(all.stream().filter(type -> !nested(type) && Shapes.hasMain(type)).toList());
        Shapes.Found found = wanted == null ? usual(all) : asked(all, wanted);
        if (found == null && (wanted != null || main == null)) {
            List<String> has = new ArrayList<>();
            for (Class<?> type : all) {
                if (nested(type)) continue;
                Shapes.Found one = shaped(type, null);
                has.add(type.getName() + " (" + (one != null ? one.shape() : Shapes.hasMain(type) ? "main" : "class") + ")");
            }
            throw new IllegalArgumentException("there is no " + (wanted == null ? "class that is a handler (an HttpHandler, a java.util.function.Function, a method handleRequest or handle) and no main" : wanted)
                + ", or several; it has: " + (has.isEmpty() ? "no class" : String.join(", ", has)));
        }
        return Json.object("language", "java", "class", found == null ? null : found.type().getName(), "method",
            found == null || found.method() == null ? null : found.method().getName(), "shape", found == null ? "program" : found.shape(), "main", main == null ? null : main.getName());
    }

    private static boolean nested(Class<?> type) {
        return type.getName().indexOf('$') >= 0;
    }

    private static Shapes.Found shaped(Class<?> type, String method) {
        try {
            return Shapes.of(type, method);
        } catch (LinkageError incomplete) {
            return null;
        }
    }

    private static Class<?> only(List<Class<?>> types) {
        for (String name : NAMES) for (Class<?> type : types) if (types.size() > 1 && type.getSimpleName().equals(name)) return type;
        return types.size() == 1 ? types.get(0) : null;
    }

    private static Shapes.Found usual(List<Class<?>> all) {
        Class<?> type = only(all.stream().filter(each -> !nested(each) && shaped(each, null) != null).toList());
        return type == null ? null : Shapes.of(type, null);
    }

    /** `Class`, `package.Class`, `Class::method`, `Class.method`, or a method that only one class has. */
    private static Shapes.Found asked(List<Class<?>> all, String wanted) {
        for (Class<?> type : all) if (called(type, wanted)) return shaped(type, null);
        int dot = wanted.lastIndexOf(wanted.contains("::") ? "::" : ".");
        String method = dot < 0 ? wanted : wanted.substring(dot + (wanted.contains("::") ? 2 : 1));
        List<Shapes.Found> found = new ArrayList<>();
        for (Class<?> type : all) {
            if (dot >= 0 && !called(type, wanted.substring(0, dot))) continue;
            Shapes.Found one = shaped(type, method);
            if (one != null) found.add(one);
        }
        return found.size() == 1 ? found.get(0) : null;
    }

    private static boolean called(Class<?> type, String name) {
        return type.getName().equals(name) || type.getName().replace('$', '.').equals(name) || type.getSimpleName().equals(name);
    }
}
