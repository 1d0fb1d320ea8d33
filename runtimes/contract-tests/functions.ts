/** The same behaviours written for each runtime: what the contract suite runs. */
import type { Files, RuntimeName } from './instance.ts';

export interface Source {
  files: Files;
  entry: string;
}

const node = (text: string): Source => ({ files: { 'fn.mjs': text }, entry: 'fn.mjs' });
const python = (text: string): Source => ({ files: { 'fn.py': text }, entry: 'fn.py' });

/** One handler per runtime that shows everything requests and answers can carry; chosen by path. */
const everything: Record<RuntimeName, Source> = {
  node: node(`
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const routes = {
  '/echo': async (request) => new Response(await request.bytes(), { status: 200, headers: { 'content-type': request.headers.get('content-type') ?? 'none' } }),
  '/echo-stream': (request) => new Response(request.body, { headers: { 'content-type': 'application/octet-stream' } }),
  '/describe': async (request) => {
    const url = new URL(request.url);
    return Response.json({ method: request.method, path: url.pathname, query: [...url.searchParams], headers: Object.fromEntries(request.headers), body: await request.text() });
  },
  '/json': async (request) => Response.json({ got: await request.json() }),
  '/headers': () => {
    const headers = new Headers({ 'x-latin1': 'caf\\u00e9', 'content-type': 'text/plain' });
    headers.append('set-cookie', 'a=1; Path=/');
    headers.append('set-cookie', 'b=2');
    return new Response('ok', { headers });
  },
  '/status': (request) => {
    const status = Number(new URL(request.url).searchParams.get('code'));
    return new Response(status === 204 || status === 304 ? null : 'body of ' + status, { status });
  },
  '/sse': () => {
    let n = 0;
    return new Response(new ReadableStream({ async pull(c) { if (n === 3) { c.close(); return; } if (n > 0) await gate(n); c.enqueue(new TextEncoder().encode('data: ' + n++ + '\\n\\n')); } }), { headers: { 'content-type': 'text/event-stream' } });
  },
  '/open': (request) => { opened.add(new URL(request.url).search.slice(1)); return new Response('opened'); },
  '/big': (request) => {
    let left = Number(new URL(request.url).searchParams.get('bytes'));
    return new Response(new ReadableStream({ pull(c) { const size = Math.min(left, 65536); if (size === 0) { c.close(); return; } left -= size; produced += size; c.enqueue(new Uint8Array(size).fill(120)); } }));
  },
  '/produced': () => new Response(String(produced)),
  '/slow-read': async (request) => { const reader = request.body.getReader(); await reader.read(); await gate('read'); let n = 0; for (;;) { const { done, value } = await reader.read(); if (done) break; n += value.length; } return new Response('rest ' + n); },
  '/throw': () => { throw new TypeError('thrown in the handler'); },
  '/reject': async () => { await sleep(1); throw new Error('rejected in the handler'); },
  '/hang': async (request) => { await new Promise((resolve) => request.signal.addEventListener('abort', resolve)); aborted++; throw new Error('late'); },
  '/aborted': () => new Response(String(aborted)),
  '/hang-deaf': () => new Promise(() => {}),
  '/sleep': async (request) => { const ms = Number(new URL(request.url).searchParams.get('ms')); busy++; most = Math.max(most, busy); await sleep(ms); busy--; return new Response('slept'); },
  '/most': () => new Response(String(most)),
  '/exit': () => process.exit(3),
  '/environment': () => Response.json({ env: { ...process.env }, cwd: process.cwd(), args: process.argv.slice(1) }),
  '/stdin': async () => { let n = 0; for await (const chunk of process.stdin) n += chunk.length; return new Response('stdin ' + n); },
  '/log': () => { console.log('a line of output'); console.error('a line of errors'); return new Response('logged'); },
  '/break-stream': () => new Response(new ReadableStream({ pull(c) { if (!this.sent) { this.sent = true; c.enqueue(new TextEncoder().encode('begun')); } else c.error(new Error('broke off')); } })),
  '/bad-header': () => new Response('x', { headers: { 'x-evil': 'a\\r\\nx-forged: 1' } }),
};
let produced = 0, aborted = 0, busy = 0, most = 0;
const opened = new Set();
async function gate(name) { while (!opened.has(String(name))) await sleep(2); }
export default { fetch(request) { return routes[new URL(request.url).pathname](request); } };
`),
  python: python(`
import json, os, sys, threading, time
from petrel import Response
produced = aborted = busy = most = 0
lock = threading.Lock()
opened = set()
def gate(name):
    while str(name) not in opened: time.sleep(0.002)
def sse():
    for n in range(3):
        if n > 0: gate(n)
        yield f"data: {n}\\n\\n"
def big(left):
    global produced
    while left:
        size = min(left, 65536); left -= size; produced += size
        yield b"x" * size
def status(request):
    code = int(request.args["code"])
    return (b"" if code in (204, 304) else f"body of {code}", code)
def slow_read(request):
    request.stream.read1(65536); gate("read")
    return f"rest {sum(len(c) for c in iter(lambda: request.stream.read1(65536), b''))}"
def hang(request):
    global aborted
    try: request.stream.read()
    except ConnectionError: pass
    while not request.cancelled: time.sleep(0.002)
    aborted += 1
    raise RuntimeError("late")
def sleep(request):
    global busy, most
    with lock: busy += 1; most = max(most, busy)
    time.sleep(int(request.args["ms"]) / 1000)
    with lock: busy -= 1
    return "slept"
def thrower(request): raise TypeError("thrown in the handler")
def rejecter(request):
    time.sleep(0.001)
    raise ValueError("rejected in the handler")
def hang_deaf(request):
    while True: time.sleep(1)
def log(request):
    print("a line of output"); print("a line of errors", file=sys.stderr)
    return "logged"
def broken():
    yield "begun"
    raise ValueError("broke off")
routes = {
    "/echo": lambda r: Response(r.data, headers={"content-type": r.content_type or "none"}),
    "/echo-stream": lambda r: Response(iter(r)),
    "/describe": lambda r: {"method": r.method, "path": r.path, "query": [[k, v] for k in r.args for v in r.args.getlist(k)], "headers": dict(r.headers.items()), "body": r.text},
    "/json": lambda r: {"got": r.json},
    "/headers": lambda r: Response("ok", headers=[("x-latin1", "caf\\u00e9"), ("content-type", "text/plain"), ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")]),
    "/status": status,
    "/sse": lambda r: Response(sse(), content_type="text/event-stream"),
    "/open": lambda r: opened.add(r.query_string.decode()) or "opened",
    "/big": lambda r: big(int(r.args["bytes"])),
    "/produced": lambda r: str(produced),
    "/slow-read": slow_read,
    "/throw": thrower,
    "/reject": rejecter,
    "/hang": hang,
    "/aborted": lambda r: str(aborted),
    "/hang-deaf": hang_deaf,
    "/sleep": sleep,
    "/most": lambda r: str(most),
    "/exit": lambda r: os._exit(3),
    "/environment": lambda r: {"env": dict(os.environ), "cwd": os.getcwd(), "args": sys.argv},
    "/stdin": lambda r: f"stdin {len(sys.stdin.buffer.read())}",
    "/log": log,
    "/break-stream": lambda r: broken(),
    "/bad-header": lambda r: Response("x", headers={"x-evil": "a\\r\\nx-forged: 1"}),
}
def handler(request):
    return routes[request.path](request)
`),
};

/** A handler that breaks the whole process from outside of any request's own call stack. */
const crash: Record<RuntimeName, Source> = {
  node: node(`export default { async fetch(request) {
    if (new URL(request.url).pathname === '/crash') setTimeout(() => { throw new RangeError('thrown by a timer'); }, 1);
    if (new URL(request.url).pathname === '/reject') Promise.reject(new RangeError('thrown by a timer'));
    await new Promise(() => {});
  } };`),
  python: python(`
import sys, time
def handler(request):
    if request.path in ("/crash", "/reject"): sys.exit("thrown by a timer")
    time.sleep(3600)
`),
};

/** Code that cannot be loaded: what the error must name. */
export interface LoadFailure {
  title: string;
  source: Record<RuntimeName, Source & { handler?: string }>;
  code: string;
  /** In message or detail. */
  says: Record<RuntimeName, RegExp>;
  file?: Record<RuntimeName, string>;
  line?: number;
  /** The source line itself is shown. */
  shows?: Record<RuntimeName, string>;
  env?: Record<string, string>;
}

export const loadFailures: LoadFailure[] = [
  {
    title: 'a syntax error',
    source: {
      node: node('const a = 1;\nconst b = ;\nexport default a;\n'),
      python: python('a = 1\nb = = 2\n'),
    },
    code: 'LoadError',
    says: { node: /SyntaxError: Unexpected token ';'/, python: /SyntaxError: invalid syntax/ },
    file: { node: 'fn.mjs', python: 'fn.py' },
    line: 2,
    shows: { node: 'const b = ;', python: 'b = = 2' },
  },
  {
    title: 'a syntax error in a file that is imported',
    source: {
      node: {
        files: {
          'fn.mjs': "import './lib/dep.mjs';\nexport default () => 1;\n",
          'lib/dep.mjs': '\n\nlet x = {;\n',
        },
        entry: 'fn.mjs',
      },
      python: { files: { 'fn.py': 'import dep\n', 'dep.py': '\n\nx = {;\n' }, entry: 'fn.py' },
    },
    code: 'LoadError',
    says: { node: /SyntaxError/, python: /SyntaxError/ },
    file: { node: 'lib/dep.mjs', python: 'dep.py' },
    line: 3,
    shows: { node: 'let x = {;', python: 'x = {;' },
  },
  {
    title: 'a module that is not there',
    source: {
      node: node("\nimport x from 'not-installed';\nexport default x;\n"),
      python: python('\nimport not_installed\n'),
    },
    code: 'LoadError',
    says: { node: /Cannot find package 'not-installed'/, python: /No module named 'not_installed'/ },
    file: { node: 'fn.mjs', python: 'fn.py' },
    line: 2,
    shows: { node: "import x from 'not-installed';", python: 'import not_installed' },
  },
  {
    title: 'a module that is not there, two files deep',
    source: {
      node: {
        files: {
          'fn.mjs': "import './dep.mjs';\nexport default 1;\n",
          'dep.mjs': "\n\nimport './gone.mjs';\n",
        },
        entry: 'fn.mjs',
      },
      python: { files: { 'fn.py': 'import dep\n', 'dep.py': '\n\nfrom gone import x\n' }, entry: 'fn.py' },
    },
    code: 'LoadError',
    says: { node: /Cannot find module 'gone\.mjs' imported from dep\.mjs/, python: /No module named 'gone'/ },
    file: { node: 'dep.mjs', python: 'dep.py' },
    line: 3,
  },
  {
    title: 'a throw while loading',
    source: {
      node: node(
        "function setUp() {\n  throw new TypeError('no database');\n}\nsetUp();\nexport default () => 1;\n",
      ),
      python: python('def set_up():\n    raise TypeError("no database")\nset_up()\n'),
    },
    code: 'LoadError',
    says: { node: /TypeError: no database/, python: /TypeError: no database/ },
    file: { node: 'fn.mjs', python: 'fn.py' },
    line: 2,
    shows: { node: "throw new TypeError('no database');", python: 'raise TypeError("no database")' },
  },
  {
    title: 'loading that fails later',
    source: {
      node: node(
        "await new Promise((r) => setTimeout(r, 5));\nawait Promise.reject(new Error('top level rejection'));\nexport default 1;\n",
      ),
      python: python('import time\ntime.sleep(0.005)\nraise RuntimeError("top level rejection")\n'),
    },
    code: 'LoadError',
    says: { node: /top level rejection/, python: /top level rejection/ },
    file: { node: 'fn.mjs', python: 'fn.py' },
  },
  {
    title: 'loading that never ends',
    source: {
      node: node('await new Promise(() => {});\nexport default 1;\n'),
      python: python('import threading\nthreading.Event().wait()\n'),
    },
    code: 'LoadError',
    says: { node: /did not finish loading within/, python: /did not finish loading within/ },
    env: { PETREL_LOAD_TIMEOUT_MS: '1000' },
  },
  {
    title: 'no handler among the exports',
    source: {
      node: node('export const answer = 42;\nexport class Thing {}\n'),
      python: python('answer = 42\nclass Thing: pass\n'),
    },
    code: 'HandlerNotFound',
    says: { node: /answer \(number\)/, python: /answer \(int\)/ },
  },
  {
    title: 'a named handler that is not exported',
    source: {
      node: { ...node('export const handle = () => 1;\n'), handler: 'handel' },
      python: { ...python('def handle(request): pass\n'), handler: 'handel' },
    },
    code: 'HandlerNotFound',
    says: { node: /handel.*handle \(function\)/, python: /handel.*handle \(function\)/ },
  },
  {
    title: 'an entry that is not in the package',
    source: {
      node: { files: { 'fn.mjs': '' }, entry: 'other.mjs' },
      python: { files: { 'fn.py': '' }, entry: 'other.py' },
    },
    code: 'EntryNotFound',
    says: { node: /no file other\.mjs.*fn\.mjs/, python: /no file other\.py.*fn\.py/ },
  },
  {
    title: 'an entry outside the package',
    source: {
      node: { files: { 'fn.mjs': '' }, entry: '../../etc/passwd' },
      python: { files: { 'fn.py': '' }, entry: '../../etc/passwd' },
    },
    code: 'EntryNotFound',
    says: { node: /outside the package/, python: /outside the package/ },
  },
  {
    title: 'code that exits while it is loaded',
    source: {
      node: node("await import('node:process').then((p) => { throw new Error('gave up'); });"),
      python: python('import sys\nsys.exit("gave up")\n'),
    },
    code: 'LoadError',
    says: { node: /gave up/, python: /gave up/ },
  },
];

const listen: Record<RuntimeName, string> = {
  node: "import http from 'node:http'; const server = http.createServer((q, r) => r.end('program ' + q.url + ' ' + process.env.GREETING));",
  python: `
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"program {self.path} {os.environ['GREETING']}".encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
`,
};
const serve: Record<RuntimeName, string> = {
  node: 'server.listen(process.env.PORT);',
  python: 'ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()',
};

/** Programs that listen on $PORT, declared or recognised. */
export const programs: { title: string; declared: boolean; source: Record<RuntimeName, Source> }[] = [
  {
    title: 'a declared program',
    declared: true,
    source: { node: node(listen.node + serve.node), python: python(listen.python + serve.python) },
  },
  {
    title: 'code that listens when it is loaded',
    declared: false,
    source: { node: node(listen.node + serve.node), python: python(listen.python + serve.python) },
  },
  {
    title: 'code that listens some time after it is loaded, or only as a main program',
    declared: false,
    source: {
      node: node(`${listen.node}setTimeout(() => ${serve.node.slice(0, -1)}, 50);`),
      python: python(`${listen.python}if __name__ == "__main__":\n    ${serve.python}`),
    },
  },
];

export const failingProgram: Record<RuntimeName, Source> = {
  node: node("console.error('cannot start: no licence'); process.exit(7);"),
  python: python('import sys\nprint("cannot start: no licence", file=sys.stderr)\nsys.exit(7)\n'),
};
export const silentProgram: Record<RuntimeName, Source> = {
  node: node('setInterval(() => {}, 1000);'),
  python: python('import time\nwhile True: time.sleep(1)\n'),
};

export const functions = { everything, crash };
