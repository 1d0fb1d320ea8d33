/** The contract suite for the java runtime. */
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const java = oneFile('Fn.java');
const handler = (before: string, body = '') =>
  java(
    `public class Fn implements com.sun.net.httpserver.HttpHandler {\n${before}\n  public void handle(com.sun.net.httpserver.HttpExchange exchange) {${body}}\n}\n`,
  );
const program = (before: string) =>
  java(`import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
public class Fn {
  public static void main(String[] args) throws Exception {
    ${before}
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
    server.createContext("/", exchange -> {
      byte[] body = ("program " + exchange.getRequestURI() + " " + System.getenv("GREETING")).getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
`);

contract({
  runtime: 'java',
  missing: withoutProgram('java', 'javac'),
  transport: 'http1-unix',
  trace: /Fn\.java/,
  everything: java(`
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

public class Fn implements HttpHandler {
  static final AtomicLong produced = new AtomicLong(), aborted = new AtomicLong(), busy = new AtomicLong(), most = new AtomicLong();
  static final Set<String> opened = ConcurrentHashMap.newKeySet();

  static void gate(String name) throws InterruptedException {
    while (!opened.contains(name)) Thread.sleep(2);
  }
  static String text(Object value) {
    StringBuilder out = new StringBuilder("\\"");
    for (char c : String.valueOf(value).toCharArray())
      out.append(c == '"' || c == '\\\\' ? "\\\\" + c : c < 32 ? String.format("\\\\u%04x", (int) c) : String.valueOf(c));
    return out.append('"').toString();
  }
  static String object(Map<String, String> map) {
    StringJoiner out = new StringJoiner(",", "{", "}");
    map.forEach((name, value) -> out.add(text(name) + ":" + text(value)));
    return out.toString();
  }
  static void send(HttpExchange exchange, int status, String type, byte[] body) throws IOException {
    if (type != null) exchange.getResponseHeaders().set("Content-Type", type);
    boolean none = status == 204 || status == 304 || body.length == 0;
    exchange.sendResponseHeaders(status, none ? -1 : body.length);
    if (!none) exchange.getResponseBody().write(body);
    exchange.close();
  }
  static void send(HttpExchange exchange, String body) throws IOException {
    send(exchange, 200, "text/plain", body.getBytes(StandardCharsets.UTF_8));
  }
  static String query(HttpExchange exchange, String name) {
    for (String pair : exchange.getRequestURI().getQuery().split("&")) if (pair.startsWith(name + "=")) return pair.substring(name.length() + 1);
    return null;
  }

  @Override
  public void handle(HttpExchange exchange) throws IOException {
    try {
      route(exchange);
    } catch (InterruptedException interrupted) {
      if (exchange.getRequestURI().getPath().equals("/hang")) aborted.incrementAndGet();
      throw new IOException(interrupted);
    }
  }

  void route(HttpExchange exchange) throws IOException, InterruptedException {
    switch (exchange.getRequestURI().getPath()) {
      case "/echo": {
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        send(exchange, 200, type == null ? "none" : type, exchange.getRequestBody().readAllBytes());
        break;
      }
      case "/echo-stream": {
        exchange.getResponseHeaders().set("Content-Type", "application/octet-stream");
        exchange.sendResponseHeaders(200, 0);
        exchange.getRequestBody().transferTo(exchange.getResponseBody());
        exchange.close();
        break;
      }
      case "/describe": {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        StringJoiner pairs = new StringJoiner(",", "[", "]");
        for (String pair : exchange.getRequestURI().getQuery().split("&")) pairs.add("[" + text(pair.split("=")[0]) + "," + text(pair.split("=")[1]) + "]");
        Map<String, String> headers = new TreeMap<>();
        exchange.getRequestHeaders().forEach((name, values) -> headers.put(name.toLowerCase(), values.get(0)));
        send(exchange, "{\\"method\\":" + text(exchange.getRequestMethod()) + ",\\"path\\":" + text(exchange.getRequestURI().getPath()) + ",\\"query\\":" + pairs + ",\\"headers\\":" + object(headers) + ",\\"body\\":" + text(body) + "}");
        break;
      }
      case "/json": send(exchange, "{\\"got\\":" + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8) + "}"); break;
      case "/headers": {
        exchange.getResponseHeaders().add("x-latin1", "caf\\u00e9");
        exchange.getResponseHeaders().add("set-cookie", "a=1; Path=/");
        exchange.getResponseHeaders().add("set-cookie", "b=2");
        send(exchange, "ok");
        break;
      }
      case "/status": {
        int code = Integer.parseInt(query(exchange, "code"));
        send(exchange, code, null, ("body of " + code).getBytes());
        break;
      }
      case "/sse": {
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.sendResponseHeaders(200, 0);
        OutputStream out = exchange.getResponseBody();
        for (int n = 0; n < 3; n++) {
          if (n > 0) gate(String.valueOf(n));
          out.write(("data: " + n + "\\n\\n").getBytes());
          out.flush();
        }
        exchange.close();
        break;
      }
      case "/open": opened.add(exchange.getRequestURI().getQuery()); send(exchange, "opened"); break;
      case "/big": {
        long left = Long.parseLong(query(exchange, "bytes"));
        exchange.sendResponseHeaders(200, 0);
        byte[] piece = new byte[65536];
        Arrays.fill(piece, (byte) 'x');
        for (; left > 0; left -= piece.length) {
          produced.addAndGet(piece.length);
          exchange.getResponseBody().write(piece);
        }
        exchange.close();
        break;
      }
      case "/produced": send(exchange, produced.toString()); break;
      case "/slow-read": {
        exchange.getRequestBody().read(new byte[65536]);
        gate("read");
        send(exchange, "rest " + exchange.getRequestBody().readAllBytes().length);
        break;
      }
      case "/throw": throw new IllegalStateException("TypeError: thrown in the handler");
      case "/reject": throw new IOException("rejected in the handler");
      case "/hang": exchange.getRequestBody().readAllBytes(); Thread.sleep(3_600_000); break;
      case "/aborted": send(exchange, aborted.toString()); break;
      case "/hang-deaf":
        while (true) {
          try {
            Thread.sleep(1000);
          } catch (InterruptedException deaf) {
            continue;
          }
        }
      case "/sleep": {
        long now = busy.incrementAndGet();
        most.accumulateAndGet(now, Math::max);
        Thread.sleep(Long.parseLong(query(exchange, "ms")));
        busy.decrementAndGet();
        send(exchange, "slept");
        break;
      }
      case "/most": send(exchange, most.toString()); break;
      case "/exit": System.exit(3); break;
      case "/environment": send(exchange, "{\\"env\\":" + object(System.getenv()) + ",\\"cwd\\":" + text(System.getProperty("user.dir")) + ",\\"args\\":[]}"); break;
      case "/stdin": send(exchange, "stdin " + System.in.readAllBytes().length); break;
      case "/log": System.out.println("a line of output"); System.err.println("a line of errors"); send(exchange, "logged"); break;
      case "/break-stream": {
        exchange.sendResponseHeaders(200, 0);
        exchange.getResponseBody().write("begun".getBytes());
        exchange.getResponseBody().flush();
        throw new IOException("broke off");
      }
      case "/bad-header": exchange.getResponseHeaders().add("x-evil", "a\\r\\nx-forged: 1"); send(exchange, "x"); break;
      default: send(exchange, 404, null, new byte[0]);
    }
  }
}
`),
  crash: java(`
import com.sun.net.httpserver.HttpExchange;
public class Fn {
  static {
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> { error.printStackTrace(); System.exit(1); });
  }
  public static void handle(HttpExchange exchange) throws InterruptedException {
    if (!exchange.getRequestURI().getPath().equals("/wait")) new Thread(() -> { throw new IllegalStateException("thrown by a timer"); }).start();
    while (true) Thread.sleep(1000);
  }
}
`),
  failures: {
    'a syntax error': {
      source: handler('  int a = 1;\n  int b = = 2;'),
      says: /illegal start of expression/,
      file: 'Fn\\.java',
      line: 3,
      shows: 'int b = = 2;',
      building: true,
    },
    'a syntax error in a file that is imported': {
      source: {
        files: { ...handler('  Dep dep;').files, 'lib/Dep.java': '\n\nclass Dep { int x = {; }\n' },
        entry: 'Fn.java',
      },
      says: /error: /,
      file: 'lib/Dep\\.java',
      line: 3,
      shows: 'int x = {;',
      building: true,
    },
    'a module that is not there': {
      source: java(`\nimport not.installed.Thing;\n${handler('').files['Fn.java']}`),
      says: /package not\.installed does not exist/,
      file: 'Fn\\.java',
      line: 2,
      shows: 'import not.installed.Thing;',
      building: true,
    },
    'a module that is not there, two files deep': {
      source: {
        files: { ...handler('  Dep dep;').files, 'Dep.java': '\n\nclass Dep { gone.Thing thing; }\n' },
        entry: 'Fn.java',
      },
      says: /package gone does not exist/,
      file: 'Dep\\.java',
      line: 3,
      building: true,
    },
    'a throw while loading': {
      source: handler(
        '  static final Object BASE = open();\n  static Object open() {\n    throw new IllegalStateException("no database");\n  }',
      ),
      says: /java\.lang\.IllegalStateException: no database/,
      file: 'Fn.java',
      line: 4,
    },
    'loading that fails later': {
      source: handler(
        '  public Fn() throws Exception {\n    Thread.sleep(5);\n    throw new Exception("top level rejection");\n  }',
      ),
      says: /top level rejection/,
      file: 'Fn.java',
      line: 4,
    },
    'loading that never ends': {
      source: handler(
        '  static {\n    try {\n      Thread.sleep(3600000);\n    } catch (InterruptedException e) {\n    }\n  }',
      ),
      says: /did not finish loading within/,
    },
    'no handler among the exports': {
      source: java('public class Fn {\n  static int answer = 42;\n}\n'),
      says: /HandlerNotFound: .*it has: Fn \(class\)/,
      building: true,
    },
    'a named handler that is not exported': {
      source: { ...handler(''), handler: 'Handel' },
      says: /there is no Handel, or several; it has: Fn \(http\)/,
      building: true,
    },
    'an entry that is not in the package': {
      source: { files: { 'Fn.java': '' }, entry: 'Other.java' },
      says: /has no Other\.java; it has: Fn\.java/,
      building: true,
    },
    'an entry outside the package': {
      source: { files: { 'Fn.java': '' }, entry: '../../etc/passwd' },
      says: /lies outside of the source/,
      building: true,
    },
    'code that exits while it is loaded': {
      source: handler('  static {\n    System.err.println("gave up");\n    System.exit(1);\n  }'),
      says: /called System\.exit while it was loaded[\s\S]*gave up/,
    },
  },
  programs: {
    declared: program(''),
    whenLoaded: program(''),
    later: program('Thread.sleep(50);'),
    failing: java(
      'public class Fn {\n  public static void main(String[] args) {\n    System.err.println("cannot start: no licence");\n    System.exit(7);\n  }\n}\n',
    ),
    silent: java(
      'public class Fn {\n  public static void main(String[] args) throws Exception {\n    Thread.sleep(3600000);\n  }\n}\n',
    ),
  },
  lacks: {
    'a handler that hangs is not hidden by an answer to PING':
      'handlers run on threads of their own: one that hangs holds nobody up, and requests share no connection with PING',
  },
});
