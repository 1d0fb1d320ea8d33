package petrel;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.lang.reflect.Type;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Lambda's calling convention: an API Gateway HTTP API event 2.0 in, its answer out. No class of AWS is needed, any of them is filled. */
final class Lambda implements HttpHandler {
    private final Method method;
    private final Object target;

    Lambda(Method method, Object target) {
        this.method = method;
        this.target = target;
    }

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        Map<String, Object> event = eventOf(exchange);
        Type[] types = method.getGenericParameterTypes();
        Object[] arguments = new Object[types.length];
        if (types[0] == InputStream.class && types.length > 1 && types[1] == OutputStream.class) {
            arguments[0] = new ByteArrayInputStream(Json.write(event).getBytes(StandardCharsets.UTF_8));
            byte[] out = Shapes.output(to -> {
                arguments[1] = to;
                if (types.length > 2) arguments[2] = contextOf(method.getParameterTypes()[2], exchange);
                Shapes.invoke(method, target, arguments);
            });
            answer(exchange, parsed(new String(out, StandardCharsets.UTF_8)));
            return;
        }
        if (types[0] == String.class) arguments[0] = event.getOrDefault("body", "");
        else {
            try {
                arguments[0] = Beans.bind(event, types[0]);
            } catch (IllegalArgumentException wrong) {
                throw new Shapes.BadInput("the event does not fit " + types[0].getTypeName() + ": " + wrong.getMessage());
            }
        }
        if (types.length > 1) arguments[1] = contextOf(method.getParameterTypes()[1], exchange);
        Object result = Shapes.invoke(method, target, arguments);
        answer(exchange, result != null && Beans.isBean(result.getClass()) ? Beans.toMap(result) : result);
    }

    private static Object parsed(String text) {
        try {
            return Json.parse(text);
        } catch (IllegalArgumentException plain) {
            return text;
        }
    }

    private static Map<String, Object> eventOf(HttpExchange exchange) throws IOException {
        Map<String, Object> headers = new LinkedHashMap<>();
        exchange.getRequestHeaders().forEach((name, values) -> headers.put(name.toLowerCase(java.util.Locale.ROOT), String.join(",", values)));
        List<String> cookies = new ArrayList<>();
        if (headers.get("cookie") instanceof String all) for (String cookie : all.split("; *")) cookies.add(cookie);
        String query = exchange.getRequestURI().getRawQuery();
        Map<String, Object> parameters = new LinkedHashMap<>();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            if (pair.isEmpty()) continue;
            String[] parts = pair.split("=", 2);
            parameters.merge(decode(parts[0]), parts.length > 1 ? decode(parts[1]) : "", (a, b) -> a + "," + b);
        }
        byte[] bytes = exchange.getRequestBody().readAllBytes();
        String body = null;
        boolean binary = false;
        if (bytes.length > 0) {
            try {
                body = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            } catch (CharacterCodingException noText) {
                body = Base64.getEncoder().encodeToString(bytes);
                binary = true;
            }
        }
        String path = exchange.getRequestURI().getRawPath();
        Map<String, Object> http = Json.object("method", exchange.getRequestMethod(), "path", path, "protocol", "HTTP/1.1",
            "sourceIp", exchange.getRemoteAddress().getHostString(), "userAgent", headers.getOrDefault("user-agent", ""));
        Map<String, Object> context = Json.object("http", http, "requestId", headers.getOrDefault("x-request-id", ""), "stage", "$default",
            "routeKey", "$default", "domainName", headers.getOrDefault("host", ""), "timeEpoch", System.currentTimeMillis());
        return Json.object("version", "2.0", "routeKey", "$default", "rawPath", path, "rawQueryString", query == null ? "" : query,
            "cookies", cookies.isEmpty() ? null : cookies, "headers", headers, "queryStringParameters", parameters.isEmpty() ? null : parameters,
            "requestContext", context, "body", body, "isBase64Encoded", binary);
    }

    private static String decode(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException odd) {
            return text;
        }
    }

    private static void answer(HttpExchange exchange, Object result) throws IOException {
        if (!(result instanceof Map<?, ?> map) || !(map.get("statusCode") instanceof Number status)) {
            Shapes.answer(exchange, result instanceof String text ? text : result);
            return;
        }
        if (map.get("headers") instanceof Map<?, ?> headers) headers.forEach((name, value) -> exchange.getResponseHeaders().set(name.toString(), String.valueOf(value)));
        if (map.get("cookies") instanceof List<?> cookies) for (Object cookie : cookies) exchange.getResponseHeaders().add("Set-cookie", cookie.toString());
        String body = map.get("body") == null ? "" : map.get("body") instanceof String text ? text : Json.write(map.get("body"));
        byte[] bytes = Boolean.TRUE.equals(map.get("isBase64Encoded")) ? Base64.getDecoder().decode(body) : body.getBytes(StandardCharsets.UTF_8);
        Shapes.send(exchange, status.intValue(), "application/json", bytes, null);
    }

    /** An interface called Context with AWS's names; null where it is none. */
    private static Object contextOf(Class<?> type, HttpExchange exchange) {
        if (!type.isInterface()) return null;
        long until = System.currentTimeMillis() + Supervisor.timeoutMs;
        return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (proxy, called, arguments) -> switch (called.getName()) {
            case "getAwsRequestId" -> exchange.getRequestHeaders().getFirst("X-request-id");
            case "getFunctionName" -> System.getenv("K_SERVICE");
            case "getFunctionVersion" -> System.getenv("K_REVISION");
            case "getRemainingTimeInMillis" -> (int) Math.max(0, until - System.currentTimeMillis());
            case "getMemoryLimitInMB" -> (int) (Runtime.getRuntime().maxMemory() >> 20);
            case "getLogger" -> Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {called.getReturnType()}, (logger, log, line) -> {
                if (log.getName().equals("log")) System.out.println(line[0] instanceof byte[] bytes ? new String(bytes, StandardCharsets.UTF_8) : line[0]);
                return null;
            });
            case "toString" -> "Context";
            case "hashCode" -> System.identityHashCode(proxy);
            case "equals" -> proxy == arguments[0];
            default -> null;
        });
    }
}
