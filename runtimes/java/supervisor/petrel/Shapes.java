package petrel;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** What a class can be as a handler, and how it is called. Its order is told in runtimes/java/README.md. */
final class Shapes {
    private Shapes() {}

    /** A shape and what has it: a method, or the class itself where that is null. */
    record Found(String shape, Class<?> type, Method method) {}

    /** The shape of a class, or of the method asked for; null when it has none. */
    static Found of(Class<?> type, String wanted) {
        if (type.isInterface() || type.isAnnotation() || type.isEnum()) return null;
        boolean makes = !Modifier.isAbstract(type.getModifiers());
        if (wanted == null) {
            if (makes && HttpHandler.class.isAssignableFrom(type)) return new Found("http", type, null);
            if (makes && Function.class.isAssignableFrom(type)) return new Found("function", type, null);
        }
        for (String name : wanted == null ? List.of("handleRequest", "handle", "handler") : List.of(wanted)) {
            for (Method method : methodsOf(type)) {
                if (!method.getName().equals(name) || method.isBridge() || !Modifier.isPublic(method.getModifiers())) continue;
                if (!makes && !Modifier.isStatic(method.getModifiers())) continue;
                String shape = shapeOf(method);
                if (shape != null) return new Found(shape, type, method);
            }
        }
        return null;
    }

    static boolean hasMain(Class<?> type) {
        try {
            Method main = type.getMethod("main", String[].class);
            return Modifier.isStatic(main.getModifiers()) && main.getReturnType() == void.class;
        } catch (NoSuchMethodException | LinkageError none) {
            return false;
        }
    }

    private static List<Method> methodsOf(Class<?> type) {
        List<Method> out = new ArrayList<>(List.of(type.getDeclaredMethods()));
        for (Method method : type.getMethods()) if (!out.contains(method) && method.getDeclaringClass() != Object.class) out.add(method);
        return out;
    }

    private static String shapeOf(Method method) {
        Class<?>[] types = method.getParameterTypes();
        if (types.length == 1 && HttpExchange.class.isAssignableFrom(types[0])) return "http";
        if (types.length >= 2 && types[0] == InputStream.class && types[1] == OutputStream.class) return types.length <= 3 ? "lambda" : null;
        if (method.getName().equals("handleRequest") && types.length >= 1 && types.length <= 2) return "lambda";
        if (types.length == 2) return types[1].isInterface() && types[1].getSimpleName().equals("Context") ? "lambda" : null;
        return types.length <= 1 ? "function" : null;
    }

    /** Makes an instance where one is needed, and what calls it. */
    static HttpHandler handlerOf(Found found) throws ReflectiveOperationException {
        boolean isStatic = found.method != null && Modifier.isStatic(found.method.getModifiers());
        Object object = null;
        if (!isStatic) {
            var constructor = found.type.getDeclaredConstructor();
            constructor.setAccessible(true);
            object = constructor.newInstance();
        }
        if (found.method == null) {
            if (object instanceof HttpHandler handler) return handler;
            @SuppressWarnings("unchecked")
            Function<Object, Object> function = (Function<Object, Object>) object;
            Type input = argumentOf(found.type);
            return exchange -> answer(exchange, function.apply(read(exchange, input)));
        }
        Method method = found.method;
        method.setAccessible(true);
        Object target = object;
        if (found.shape.equals("http")) return exchange -> invoke(method, target, exchange);
        if (found.shape.equals("lambda")) return new Lambda(method, target);
        Type[] types = method.getGenericParameterTypes();
        return exchange -> {
            Object[] arguments = types.length == 0 ? new Object[0] : new Object[] {read(exchange, types[0])};
            Object result = invoke(method, target, arguments);
            if (method.getReturnType() == void.class) exchange.sendResponseHeaders(204, -1);
            else answer(exchange, result);
        };
    }

    /** Calls, and throws what the method has thrown. */
    static Object invoke(Method method, Object target, Object... arguments) throws IOException {
        try {
            return method.invoke(target, arguments);
        } catch (InvocationTargetException thrown) {
            throw Shapes.<RuntimeException>sneak(thrown.getCause());
        } catch (IllegalAccessException refused) {
            throw new IllegalStateException(refused);
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> T sneak(Throwable error) throws T {
        throw (T) error;
    }

    /** The T of Function<T, R>. */
    private static Type argumentOf(Class<?> type) {
        for (Class<?> each = type; each != null; each = each.getSuperclass())
            for (Type face : each.getGenericInterfaces())
                if (face instanceof ParameterizedType generic && Function.class.isAssignableFrom(Beans.rawOf(face))) return generic.getActualTypeArguments()[0];
        return String.class;
    }

    /** A client's body does not fit what the function takes. */
    static final class BadInput extends RuntimeException {
        private static final long serialVersionUID = 1;

        BadInput(String message) {
            super(message, null, false, false);
        }
    }

    static Object read(HttpExchange exchange, Type type) throws IOException {
        Class<?> raw = Beans.rawOf(type);
        if (raw == InputStream.class) return exchange.getRequestBody();
        byte[] bytes = exchange.getRequestBody().readAllBytes();
        if (raw == byte[].class) return bytes;
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (raw == String.class || raw == CharSequence.class) return text;
        try {
            return text.isBlank() ? null : Beans.bind(Json.parse(text), type);
        } catch (IllegalArgumentException wrong) {
            throw new BadInput("the body is not what the function takes: " + wrong.getMessage());
        }
    }

    static void answer(HttpExchange exchange, Object result) throws IOException {
        if (result == null) {
            exchange.sendResponseHeaders(204, -1);
            return;
        }
        if (result instanceof InputStream stream) {
            send(exchange, 200, "application/octet-stream", null, stream);
            return;
        }
        if (result instanceof byte[] bytes) send(exchange, 200, "application/octet-stream", bytes, null);
        else if (result instanceof CharSequence) send(exchange, 200, "text/plain; charset=utf-8", result.toString().getBytes(StandardCharsets.UTF_8), null);
        else send(exchange, 200, "application/json", Json.write(result).getBytes(StandardCharsets.UTF_8), null);
    }

    static void send(HttpExchange exchange, int status, String type, byte[] bytes, InputStream stream) throws IOException {
        var headers = exchange.getResponseHeaders();
        if (type != null && !headers.containsKey("Content-type")) headers.set("Content-type", type);
        exchange.sendResponseHeaders(status, bytes == null ? 0 : bytes.length == 0 ? -1 : bytes.length);
        try (OutputStream out = exchange.getResponseBody()) {
            if (bytes != null) out.write(bytes);
            else stream.transferTo(out);
        }
    }

    static byte[] output(IOConsumer write) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        write.accept(out);
        return out.toByteArray();
    }

    interface IOConsumer {
        void accept(OutputStream out) throws IOException;
    }
}
