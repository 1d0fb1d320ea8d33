/** What the compiled runtimes recognise as a handler, and how it answers. */
import { olderThan, withoutProgram } from '../instance.ts';
import { type Case, describeShapes, get, hello, post } from '../shapes.ts';

const imports =
  'import (\n\t"context"\n\t"errors"\n\t"fmt"\n\t"net/http"\n)\n\nvar _ = context.Background\nvar _ = errors.New\nvar _ = fmt.Sprint\nvar _ = http.StatusOK\n';

const go: Case[] = [
  {
    title: 'http: the only function that net/http could call, of any name and package',
    files: {
      'greet.go': `package greetings\n\n${imports}\nfunc Helper() int { return 1 }\n\nfunc Greet(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }\n`,
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: a package main without main, as Fission has it',
    files: {
      'main.go': `package main\n\n${imports}\nfunc Handler(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }\n`,
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: a handler by its name in a package with a main of its own',
    files: {
      'main.go': `package main\n\n${imports}\nfunc Answer(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }\n\nfunc main() { panic("not called") }\n`,
    },
    params: { handler: 'Answer' },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: a mux in a variable, in a module of its own with packages beside',
    files: {
      'go.mod': 'module example.com/shop\n\ngo 1.17\n',
      'fn.go': `package shop\n\nimport (\n\t"net/http"\n\n\t"example.com/shop/internal/words"\n)\n\nvar Handler = newMux()\n\nfunc newMux() http.Handler {\n\tmux := http.NewServeMux()\n\tmux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(words.Hello)) })\n\treturn mux\n}\n`,
      'internal/words/words.go': 'package words\n\nconst Hello = "hello"\n',
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: Knative func, an instance with Start',
    files: {
      'handle.go': `package function\n\n${imports}\ntype F struct{ word string }\n\nfunc New() *F { return &F{} }\n\nfunc (f *F) Start(ctx context.Context, env map[string]string) error {\n\tf.word = "hello"\n\treturn nil\n}\n\nfunc (f *F) Handle(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, f.word) }\n`,
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'event: JSON in, JSON out, errors and what does not fit',
    files: {
      'fn.go': `package function\n\n${imports}\ntype In struct{ Name string }\n\nfunc Handle(ctx context.Context, in In) (map[string]string, error) {\n\tif in.Name == "" {\n\t\treturn nil, errors.New("no name")\n\t}\n\treturn map[string]string{"hello": in.Name}, nil\n}\n`,
    },
    shape: 'event',
    calls: [
      { request: post('/', '{"Name":"Ada"}', 'application/json'), json: { hello: 'Ada' } },
      { request: post('/', '{}', 'application/json'), status: 500, json: { message: 'no name' } },
      { request: post('/', '{"Name":1}', 'application/json'), status: 400 },
    ],
  },
  {
    title: 'event: bytes in, text out, as OpenFaaS has it',
    files: {
      'handler.go': 'package function\n\nfunc Handle(req []byte) string { return "got " + string(req) }\n',
    },
    shape: 'event',
    calls: [{ request: post('/', 'abc', 'text/plain'), body: 'got abc' }],
  },
  {
    title: 'http: files beside the source can be read',
    files: {
      'fn.go': `package function\n\nimport (\n\t"net/http"\n\t"os"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {\n\tbytes, _ := os.ReadFile("data/word.txt")\n\tw.Write(bytes)\n}\n`,
      'data/word.txt': 'hello',
    },
    shape: 'http',
    calls: hello,
  },
];

const rust: Case[] = [
  {
    title: 'http: what a handler may return',
    files: {
      'lib.rs': `
pub fn handle(mut request: petrel::Request) -> Result<(u16, String), String> {
    match request.path() {
        "/error" => Err("no name".into()),
        _ => Ok((201, request.read_text().map_err(|error| error.to_string())?)),
    }
}
`,
    },
    shape: 'http',
    calls: [
      { request: post('/', 'abc', 'text/plain'), status: 201, body: 'abc' },
      { request: get('/error'), status: 500, json: { message: 'no name' } },
    ],
  },
  {
    title: 'http: an async handler without a runtime',
    files: {
      'main.rs':
        'async fn word() -> &\'static str { "hello" }\n\npub async fn handle(_: petrel::Request) -> &\'static str { word().await }\n',
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: a crate with a lock file and a module, and the crate petrel declared',
    files: {
      'Cargo.toml':
        '[package]\nname = "my-shop"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\npetrel = { path = "petrel" }\n',
      'Cargo.lock':
        'version = 3\n\n[[package]]\nname = "my-shop"\nversion = "0.1.0"\ndependencies = [\n "petrel",\n]\n\n[[package]]\nname = "petrel"\nversion = "0.1.0"\n',
      'src/lib.rs':
        "mod words;\n\npub fn handle(_: petrel::Request) -> &'static str {\n    words::HELLO\n}\n",
      'src/words.rs': 'pub const HELLO: &str = "hello";\n',
    },
    shape: 'http',
    calls: hello,
  },
];

const java: Case[] = [
  {
    title: 'function: text to text',
    files: {
      'Shout.java':
        'public class Shout implements java.util.function.UnaryOperator<String> {\n  public String apply(String text) { return text.toUpperCase(); }\n}\n',
    },
    shape: 'function',
    calls: [
      {
        request: post('/', 'grüße', 'text/plain'),
        body: 'GRÜSSE',
        headers: { 'content-type': 'text/plain; charset=utf-8' },
      },
    ],
  },
  {
    title: 'function: records from and to JSON, in a package',
    files: {
      'com/example/Greet.java':
        'package com.example;\nimport java.util.function.Function;\npublic class Greet implements Function<Greet.In, Greet.Out> {\n  public record In(String name, int times) {}\n  public record Out(String hello, java.util.List<Integer> counts) {}\n  public Out apply(In in) { return new Out(in.name(), java.util.List.of(in.times())); }\n}\n',
    },
    shape: 'function',
    calls: [
      {
        request: post('/', '{"name":"Ada","times":2}', 'application/json'),
        json: { hello: 'Ada', counts: [2] },
        headers: { 'content-type': 'application/json' },
      },
      { request: post('/', '{"name":"Ada","times":"x"}', 'application/json'), status: 400 },
    ],
  },
  {
    title: 'function: a static method by its name',
    files: {
      'Fn.java':
        'public class Fn {\n  public static String greet() { return "hello"; }\n  public static void main(String[] args) {}\n}\n',
    },
    params: { handler: 'Fn::greet' },
    shape: 'function',
    calls: hello,
  },
  {
    title: 'lambda: a map in, a map out',
    files: {
      'Fn.java': `import java.util.*;
public class Fn {
  public interface Context { String getAwsRequestId(); String getFunctionName(); int getRemainingTimeInMillis(); }
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
    Map<?, ?> query = (Map<?, ?>) event.get("queryStringParameters");
    return Map.of("statusCode", 201, "headers", Map.of("x-id", context.getAwsRequestId()), "cookies", List.of("a=1"), "body", event.get("rawPath") + "" + event.get("body") + query.get("a") + (context.getRemainingTimeInMillis() > 0));
  }
}
`,
    },
    shape: 'lambda',
    calls: [
      {
        request: post('/p?a=1', 'b', 'text/plain'),
        status: 201,
        body: '/pb1true',
        headers: { 'set-cookie': 'a=1' },
      },
    ],
  },
  {
    title: 'lambda: streams',
    files: {
      'Fn.java':
        'import java.io.*;\npublic class Fn {\n  public void handleRequest(InputStream in, OutputStream out) throws IOException {\n    out.write(("{\\"statusCode\\":200,\\"body\\":\\"" + (new String(in.readAllBytes()).contains("\\"rawPath\\":\\"/x\\"") ? "hello" : "?") + "\\"}").getBytes());\n  }\n}\n',
    },
    shape: 'lambda',
    calls: [{ request: get('/x'), status: 200, body: 'hello' }],
  },
  {
    title: 'http: an exchange that is answered after its handler has returned',
    files: {
      'Later.java':
        'import com.sun.net.httpserver.*;\npublic class Later implements HttpHandler {\n  public void handle(HttpExchange exchange) {\n    new Thread(() -> {\n      try {\n        Thread.sleep(20);\n        exchange.sendResponseHeaders(200, 0);\n        exchange.getResponseBody().write("hello".getBytes());\n        exchange.close();\n      } catch (Exception error) {\n        error.printStackTrace();\n      }\n    }).start();\n  }\n}\n',
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: files of the package can be read by relative paths',
    files: {
      'Fn.java':
        'import com.sun.net.httpserver.*;\nimport java.nio.file.*;\npublic class Fn {\n  public static void handle(HttpExchange exchange) throws Exception {\n    byte[] bytes = Files.readAllBytes(Path.of("data/word.txt"));\n    exchange.sendResponseHeaders(200, bytes.length);\n    exchange.getResponseBody().write(bytes);\n    exchange.close();\n  }\n}\n',
      'data/word.txt': 'hello',
    },
    shape: 'http',
    calls: hello,
  },
];

describeShapes('go', withoutProgram('go', 'perl') ?? olderThan('1.22', 'go', 'version'), go);
describeShapes('rust', withoutProgram('cargo', 'perl') ?? olderThan('1.83', 'cargo', '--version'), rust);
describeShapes('java', withoutProgram('java', 'javac'), java);
