/** The contract suite for the python runtime. */
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const python = oneFile('fn.py');
const listen = `
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"program {self.path} {os.environ['GREETING']}".encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
`;
const serve = 'ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()';

contract({
  runtime: 'python',
  missing: withoutProgram('python3'),
  transport: 'mux',
  trace: /fn\.py/,
  cwd: /\/code$/,
  args: /\/code\/fn\.py$/,
  everything: python(`
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
  crash: python(`
import sys, time
def handler(request):
    if request.path in ("/crash", "/reject"): sys.exit("thrown by a timer")
    time.sleep(3600)
`),
  hanging: {
    files: {
      'f.py':
        'import os, time\ndef main():\n  while not os.path.exists(os.environ["GO"]): time.sleep(0.01)\n  return ""\n',
    },
    entry: 'f.py',
  },
  failures: {
    'a syntax error': {
      source: python('a = 1\nb = = 2\n'),
      says: /SyntaxError: invalid syntax/,
      file: 'fn.py',
      line: 2,
      shows: 'b = = 2',
    },
    'a syntax error in a file that is imported': {
      source: { files: { 'fn.py': 'import dep\n', 'dep.py': '\n\nx = {;\n' }, entry: 'fn.py' },
      says: /SyntaxError/,
      file: 'dep.py',
      line: 3,
      shows: 'x = {;',
    },
    'a module that is not there': {
      source: python('\nimport not_installed\n'),
      says: /No module named 'not_installed'/,
      file: 'fn.py',
      line: 2,
      shows: 'import not_installed',
    },
    'a module that is not there, two files deep': {
      source: { files: { 'fn.py': 'import dep\n', 'dep.py': '\n\nfrom gone import x\n' }, entry: 'fn.py' },
      says: /No module named 'gone'/,
      file: 'dep.py',
      line: 3,
    },
    'a throw while loading': {
      source: python('def set_up():\n    raise TypeError("no database")\nset_up()\n'),
      says: /TypeError: no database/,
      file: 'fn.py',
      line: 2,
      shows: 'raise TypeError("no database")',
    },
    'loading that fails later': {
      source: python('import time\ntime.sleep(0.005)\nraise RuntimeError("top level rejection")\n'),
      says: /top level rejection/,
      file: 'fn.py',
    },
    'loading that never ends': {
      source: python('import threading\nthreading.Event().wait()\n'),
      says: /did not finish loading within/,
    },
    'no handler among the exports': {
      source: python('answer = 42\nclass Thing: pass\n'),
      says: /answer \(int\)/,
    },
    'a named handler that is not exported': {
      source: { ...python('def handle(request): pass\n'), handler: 'handel' },
      says: /handel.*handle \(function\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.py': '' }, entry: 'other.py' },
      says: /no file other\.py.*fn\.py/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.py': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
    'code that exits while it is loaded': {
      source: python('import sys\nsys.exit("gave up")\n'),
      says: /gave up/,
    },
  },
  programs: {
    declared: python(listen + serve),
    whenLoaded: python(listen + serve),
    later: python(`${listen}if __name__ == "__main__":\n    ${serve}`),
    failing: python('import sys\nprint("cannot start: no licence", file=sys.stderr)\nsys.exit(7)\n'),
    silent: python('import time\nwhile True: time.sleep(1)\n'),
  },
  lacks: {},
});
