/** Every handler shape that the runtimes recognise, from deploy to answer. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

interface Shape {
  files: Record<string, string>;
  /** What to deploy; absent: the folder. */
  file?: string;
}

/** Each answers POST /p?q=1 with body "in" by `POST /p in`. */
const SHAPES: Record<string, Shape> = {
  'web-object': {
    files: {
      'f.ts':
        'export default { async fetch(request: Request): Promise<Response> { return new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`); } };',
    },
    file: 'f.ts',
  },
  'web-function': {
    files: {
      'f.mts':
        'export default async (request: Request) => new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`);',
    },
    file: 'f.mts',
  },
  knative: {
    files: {
      'package.json': '{"main":"index.js"}',
      'index.js':
        'module.exports.handle = async (context, body) => ({ body: `${context.method} ${new URL(context.url ?? context.originalUrl ?? "/p", "http://x").pathname} ${body}` });',
    },
  },
  fission: {
    files: {
      'f.js':
        'module.exports = async (context) => ({ status: 200, body: `${context.request.method} ${new URL(context.request.url, "http://x").pathname} ${context.request.body}`, headers: { "x-shape": "fission" } });',
    },
    file: 'f.js',
  },
  lambda: {
    files: {
      'f.cjs':
        'exports.handler = async (event) => ({ statusCode: 200, body: `${event.requestContext.http.method} ${event.rawPath} ${event.isBase64Encoded ? Buffer.from(event.body, "base64") : event.body}` });',
    },
    file: 'f.cjs',
  },
  express: {
    files: {
      'f.js':
        'module.exports = (req, res) => { let body = ""; req.on("data", (c) => (body += c)); req.on("end", () => res.end(`${req.method} ${req.url.split("?")[0]} ${body}`)); };',
    },
    file: 'f.js',
  },
  program: {
    files: {
      'f.mjs':
        'import http from "node:http"; http.createServer((req, res) => { let body = ""; req.on("data", (c) => (body += c)); req.on("end", () => res.end(`${req.method} ${req.url.split("?")[0]} ${body}`)); }).listen(process.env.PORT);',
    },
    file: 'f.mjs',
  },
  'esm-package': {
    files: {
      'package.json': '{"type":"module","main":"./lib/main.js"}',
      'lib/main.js': 'import { answer } from "./answer.js"; export default { fetch: answer };',
      'lib/answer.js':
        'export const answer = async (request) => new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`);',
    },
  },
  'py-main': {
    files: {
      'f.py':
        'def main(request):\n    return f"{request.method} {request.path} {request.get_data(as_text=True)}"\n',
    },
    file: 'f.py',
  },
  'py-lambda': {
    files: {
      'f.py':
        'def handler(event, context):\n    return {"statusCode": 200, "body": event["requestContext"]["http"]["method"] + " " + event["rawPath"] + " " + event["body"]}\n',
    },
    file: 'f.py',
  },
  'py-wsgi': {
    files: {
      'app.py':
        'def app(environ, start_response):\n    start_response("200 OK", [("content-type", "text/plain")])\n    return [f"{environ[\'REQUEST_METHOD\']} {environ[\'PATH_INFO\']} ".encode(), environ["wsgi.input"].read()]\n',
    },
    file: 'app.py',
  },
  'py-asgi': {
    files: {
      'app.py':
        'async def app(scope, receive, send):\n    assert scope["type"] == "http"\n    body = b""\n    while True:\n        event = await receive()\n        body += event.get("body", b"")\n        if not event.get("more_body"):\n            break\n    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})\n    await send({"type": "http.response.body", "body": f"{scope[\'method\']} {scope[\'path\']} ".encode() + body})\n',
    },
    file: 'app.py',
  },
  'py-program': {
    files: {
      'f.py':
        'import os\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\nclass H(BaseHTTPRequestHandler):\n    def do_POST(self):\n        body = self.rfile.read(int(self.headers["content-length"]))\n        self.send_response(200)\n        self.end_headers()\n        self.wfile.write(f"POST {self.path.split(\'?\')[0]} ".encode() + body)\nHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()\n',
    },
    file: 'f.py',
  },
};

for (const [name, { files, file }] of Object.entries(SHAPES)) {
  test(name, async () => {
    scratch.write(Object.fromEntries(Object.entries(files).map(([path, text]) => [`${name}/${path}`, text])));
    await petrel.deploy(scratch.path(file ? `${name}/${file}` : name), '--name', name);
    const answer = await call(platform.gateway, `/fn/default/${name}/p?q=1`, {
      body: 'in',
      headers: { 'content-type': 'text/plain' },
    });
    assert.equal(answer.body, 'POST /p in', `${answer.status}${petrel.log()}`);
    assert.equal(answer.status, 200);
  });
}

test('a throw, a rejection, an exception out of nowhere and a hang: one clear 5xx each, and the function lives on', async () => {
  scratch.write({
    'faulty.mjs': `export default async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === '/throw') throw new Error('thrown on purpose');
      if (pathname === '/later') { setTimeout(() => { throw new Error('out of nowhere'); }, 1); await new Promise(() => {}); }
      if (pathname === '/hang') await new Promise(() => {});
      if (pathname === '/spin') for (;;);
      return new Response('fine');
    };`,
  });
  await petrel.deploy(scratch.path('faulty.mjs'), '--timeout', '2');
  for (const path of ['throw', 'later', 'hang', 'spin']) {
    const answer = await call(platform.gateway, `/fn/default/faulty/${path}`);
    assert.ok(answer.status >= 500 && answer.status < 600, `${path}: ${answer.status} ${answer.body}`);
    const { component, reason, requestId } = JSON.parse(answer.body) as Record<string, string>;
    assert.ok(component && reason && requestId, answer.body);
    assert.equal(answer.headers['x-request-id'], requestId);
    assert.equal((await call(platform.gateway, '/fn/default/faulty/')).body, 'fine', path);
  }
});

test('a Python handler that hangs on its only thread ends in one 504, and the next request works', async () => {
  scratch.write({
    'stuck.py':
      'import time\ndef main(request):\n    if request.path == "/hang": time.sleep(3600)\n    return "fine"\n',
  });
  await petrel.deploy(scratch.path('stuck.py'), '--timeout', '2', '--concurrency', '1');
  assert.equal((await call(platform.gateway, '/fn/default/stuck/hang')).status, 504);
  assert.equal((await call(platform.gateway, '/fn/default/stuck/')).body, 'fine');
});
