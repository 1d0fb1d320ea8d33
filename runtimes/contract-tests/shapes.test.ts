/** The handler shapes of node and python, through real instances, and what only one of them has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { header } from './client.ts';
import { Instance, until, withoutProgram } from './instance.ts';
import { type Case, describeShapes, get, hello, post } from './shapes.ts';

const node: Case[] = [
  {
    title: 'fetch: a default function',
    files: { 'index.mjs': "export default (request) => new Response('hello');" },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: a named function',
    files: { 'index.mjs': "export async function fetch(r) { return new Response('hello'); }" },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: an object, with its this',
    files: { 'index.mjs': "export default { word: 'hello', fetch() { return new Response(this.word); } };" },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: TypeScript without package.json',
    files: {
      'hello.ts':
        "interface A { word: string }\nconst a = { word: 'hello' } satisfies A;\nexport default (request: Request): Response => new Response(a.word as string);",
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: .mts',
    files: { 'index.mts': "export default (request: Request) => new Response('hello');" },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: .cts',
    files: {
      'index.cts':
        "const word: string = 'hello';\nmodule.exports = (request: Request) => new Response(word);",
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: an ES module in .js without package.json',
    files: {
      'index.js':
        "import path from 'node:path';\nexport default (request) => new Response(path.basename('/a/hello'));",
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: package.json names main and type',
    files: {
      'package.json': '{"type":"module","main":"./src/fn.js"}',
      'src/fn.js': "export default (request) => new Response('hello');",
      'tsconfig.json': 'not { even: json',
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: node_modules of the package, ESM and CJS',
    files: {
      'index.mjs': "import a from 'a'; import b from 'b'; export default (request) => new Response(a + b);",
      'node_modules/a/package.json': '{"type":"module","exports":"./a.js"}',
      'node_modules/a/a.js': "export default 'hel';",
      'node_modules/b/index.js': "module.exports = 'lo';",
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: compiled to CommonJS',
    files: {
      'index.js':
        "Object.defineProperty(exports, '__esModule', { value: true });\nexports.default = (request) => new Response('hello');",
    },
    shape: 'fetch',
    calls: hello,
  },
  {
    title: 'fetch: a plain result is understood',
    files: { 'index.mjs': 'export default () => ({ a: 1 });' },
    shape: 'fetch',
    calls: [
      { request: get('/'), status: 200, json: { a: 1 }, headers: { 'content-type': 'application/json' } },
    ],
  },
  {
    title: 'fetch: the request in parts',
    files: {
      'index.mjs': `export default async (request) => {
      const copy = request.clone(); const made = new Request(request, { headers: { 'x-made': '1' } });
      return Response.json({ instance: request instanceof Request && copy instanceof Request && new Response() instanceof Response && new Headers() instanceof Headers,
        url: request.url, tag: String(request), ct: request.headers.get('Content-Type'), one: await copy.text(), two: await made.json(), made: made.headers.get('x-made'), used: request.bodyUsed });
    };`,
    },
    shape: 'fetch',
    calls: [
      {
        request: post('/a%20b?c=d', '{"x":1}', 'application/json', [['x-forwarded-proto', 'https']]),
        json: {
          instance: true,
          url: 'https://fn.example.test/a%20b?c=d',
          tag: '[object Request]',
          ct: 'application/json',
          one: '{"x":1}',
          two: { x: 1 },
          made: '1',
          used: true,
        },
      },
    ],
  },
  {
    title: 'fetch: forms, blobs and streams',
    files: {
      'index.mjs': `export default async (request) => {
      const path = new URL(request.url).pathname;
      if (path === '/form') { const form = await request.formData(); return Response.json({ name: form.get('name'), file: await form.get('file').text(), type: form.get('file').type }); }
      if (path === '/back') { const form = new FormData(); form.set('a', 'b"c'); form.set('f', new Blob(['data'], { type: 'text/x' }), 'n.txt'); const response = new Response(form); const again = await response.clone().formData(); return new Response(again.get('a') + await again.get('f').text() + response.headers.get('content-type').split(';')[0]); }
      if (path === '/blob') return new Response(new Blob(['hello'], { type: 'text/x-blob' }));
      if (path === '/params') return new Response(new URLSearchParams({ a: '1 2' }));
      return new Response((async function* () { yield new TextEncoder().encode('hel'); yield new TextEncoder().encode('lo'); })());
    };`,
    },
    shape: 'fetch',
    calls: [
      {
        request: post(
          '/form',
          '--B\r\ncontent-disposition: form-data; name="name"\r\n\r\nAda\r\n--B\r\ncontent-disposition: form-data; name="file"; filename="f.txt"\r\ncontent-type: text/x\r\n\r\ncontent\r\n--B--\r\n',
          'multipart/form-data; boundary=B',
        ),
        json: { name: 'Ada', file: 'content', type: 'text/x' },
      },
      { request: get('/back'), body: 'b"cdatamultipart/form-data' },
      { request: get('/blob'), body: 'hello', headers: { 'content-type': 'text/x-blob' } },
      {
        request: get('/params'),
        body: 'a=1+2',
        headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
      },
      { request: get('/'), body: 'hello' },
    ],
  },
  {
    title: 'fetch: what fetch() returns can be passed on, and what came in can be sent on',
    files: {
      'index.mjs': `import http from 'node:http';
      const upstream = http.createServer((req, res) => { res.setHeader('x-up', req.headers['x-in'] ?? ''); req.pipe(res); });
      await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
      export default async (request) => { const r = await fetch(new Request('http://127.0.0.1:' + upstream.address().port, request)); return r instanceof Response ? r : new Response('not a Response', { status: 500 }); };`,
    },
    shape: 'fetch',
    calls: [
      {
        request: post('/', 'passed on', 'text/plain', [['x-in', 'yes']]),
        status: 200,
        body: 'passed on',
        headers: { 'x-up': 'yes' },
      },
    ],
  },
  {
    title: 'http: a function in CommonJS',
    files: { 'index.js': "module.exports = (req, res) => { res.end('hello'); };" },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: what node:http gives and takes',
    files: {
      'index.cjs': `module.exports = async (req, res) => {
      if (req.url === '/pipe') { res.writeHead(201, 'Made', { 'X-A': ['1', '2'], 'content-type': 'text/x' }); req.pipe(res); return; }
      if (req.url === '/trailers') { res.setHeader('trailer', 'x-t'); res.write('body'); res.addTrailers({ 'X-T': 'end' }); res.end(); return; }
      if (req.url === '/late') { res.end('sent'); try { res.setHeader('x', '1'); } catch (error) { res.statusMessage = error.code; console.log(error.code, res.headersSent, res.writableEnded); } return; }
      if (req.url === '/events') { const seen = []; res.on('finish', () => seen.push('finish ' + res.writableFinished)); res.on('close', () => { seen.push('close'); console.log('events', seen.join()); }); res.end('ok'); return; }
      let body = ''; for await (const chunk of req) body += chunk;
      res.json = undefined; res.setHeader('Content-Type', 'application/json');
      res.end(JSON.stringify({ method: req.method, url: req.url, host: req.headers.host, raw: req.rawHeaders.length, version: req.httpVersion, ip: req.socket.remoteAddress, complete: req.complete, body }));
    };`,
    },
    shape: 'http',
    calls: [
      {
        request: post('/x?y=1', 'some text', 'text/plain'),
        json: {
          method: 'POST',
          url: '/x?y=1',
          host: 'fn.example.test',
          version: '1.1',
          ip: '192.0.2.7',
          complete: true,
          body: 'some text',
        },
      },
      {
        request: post('/pipe', Buffer.alloc(300_000, 'p'), 'text/plain'),
        status: 201,
        body: 'p'.repeat(300_000),
        headers: { 'x-a': '1', 'content-type': 'text/x' },
      },
      { request: get('/trailers'), body: 'body' },
      { request: get('/late'), body: 'sent' },
      { request: get('/events'), body: 'ok' },
    ],
  },
  {
    title: 'http: a connect-style app with a prototype of its own, as express makes them',
    files: {
      'index.js': `const http = require('http');
      const stack = []; const response = Object.create(http.ServerResponse.prototype); const request = Object.create(http.IncomingMessage.prototype);
      response.send = function (text) { this.setHeader('Content-Length', Buffer.byteLength(text)); this.end(text); }; Object.defineProperty(request, 'path', { get() { return this.url.split('?')[0]; } });
      function app(req, res, next) { Object.setPrototypeOf(req, request); Object.setPrototypeOf(res, response); app.handle(req, res, next); }
      app.handle = (req, res, done) => { let i = 0; const next = (error) => { const layer = stack[i++]; if (error || !layer) return done(error); layer(req, res, next); }; next(); };
      app.use = (layer) => stack.push(layer);
      app.use((req, res, next) => { res.setHeader('x-layer', '1'); next(); });
      app.use((req, res, next) => (req.path === '/' ? res.send('hello') : req.path === '/error' ? next(new Error('from the chain')) : next()));
      module.exports = app;`,
    },
    shape: 'http',
    calls: [
      ...hello,
      { request: get('/none'), status: 404, json: { reason: 'not_found' } },
      {
        request: get('/error'),
        status: 500,
        json: { reason: 'function_error', message: 'Error: from the chain' },
      },
    ],
  },
  {
    title: 'http: an http.Server that does not listen',
    files: {
      'index.mjs':
        "import http from 'node:http'; export default http.createServer((req, res) => res.end('hello'));",
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'http: three parameters',
    files: {
      'index.mjs':
        "export default function handler(req, res, next) { req.url === '/' ? res.end('hello') : next(); }",
    },
    shape: 'http',
    calls: hello,
  },
  {
    title: 'knative: HTTP',
    files: {
      'index.mjs': `let ready = false; export const init = () => { ready = true; };
      export const handle = async (context, body) => { const { method, query, headers } = context;
        switch (query.as) {
          case 'string': return 'text'; case 'buffer': return Buffer.from([1, 2]); case 'nothing': return; case 'structured': return { statusCode: 201, headers: { 'x-a': 'b' }, body: 'made' };
          case 'body': return { body: 'x' }; default: return { ready, method, query, ct: headers['content-type'], given: body, raw: context.rawBody.toString() };
        } };`,
    },
    shape: 'knative',
    calls: [
      {
        request: post('/?a=1', '{"x":2}', 'application/json'),
        status: 200,
        json: {
          ready: true,
          method: 'POST',
          query: { a: '1' },
          ct: 'application/json',
          given: { x: 2 },
          raw: '{"x":2}',
        },
      },
      { request: get('/?as=string'), body: 'text', headers: { 'content-type': 'text/plain; charset=utf-8' } },
      {
        request: get('/?as=buffer'),
        body: '\x01\x02',
        headers: { 'content-type': 'application/octet-stream' },
      },
      { request: get('/?as=nothing'), status: 204, body: '' },
      { request: get('/?as=structured'), status: 201, body: 'made', headers: { 'x-a': 'b' } },
      { request: get('/?as=body'), status: 200, body: 'x' },
    ],
  },
  {
    title: 'knative: CloudEvents in and out',
    files: {
      'index.mjs':
        "export const handle = (context, event) => context.cloudEventResponse({ got: event.data, id: event.id, subject: event.subject }).type('reply').source('/me').id('r1').response();",
    },
    shape: 'knative',
    calls: [
      {
        request: post('/', '{"a":1}', 'application/json', [
          ['ce-specversion', '1.0'],
          ['ce-type', 't'],
          ['ce-source', '/s'],
          ['ce-id', '7'],
          ['ce-subject', 'gr%C3%BC%C3%9Fe'],
        ]),
        status: 200,
        json: { got: { a: 1 }, id: '7', subject: 'grüße' },
        headers: { 'ce-type': 'reply', 'ce-source': '/me', 'ce-id': 'r1', 'ce-specversion': '1.0' },
      },
      {
        request: post(
          '/',
          '{"specversion":"1.0","type":"t","source":"/s","id":"8","data":{"b":2}}',
          'application/cloudevents+json',
        ),
        json: { got: { b: 2 }, id: '8' },
      },
      {
        request: post('/', '{"specversion":', 'application/cloudevents+json'),
        status: 400,
        json: { reason: 'bad_event' },
      },
    ],
  },
  {
    title: 'fission: context.request, and parts of an answer',
    files: {
      'index.js': `module.exports = async (context) => { const { request, response } = context; if (request.query.html) return { status: 200, body: '<p>' };
      response.set('x-set', '1'); return { status: 202, body: { method: request.method, q: request.query, body: request.body, raw: request.rawBody.toString(), host: request.get('Host'), path: request.path }, headers: { 'X-B': 'c' } }; };`,
    },
    shape: 'fission',
    calls: [
      {
        request: post('/p?q=1', '{"x":1}', 'application/json'),
        status: 202,
        json: {
          method: 'POST',
          q: { q: '1' },
          body: { x: 1 },
          raw: '{"x":1}',
          host: 'fn.example.test',
          path: '/p',
        },
        headers: { 'x-b': 'c', 'x-set': '1' },
      },
      { request: get('/?html=1'), body: '<p>', headers: { 'content-type': 'text/html; charset=utf-8' } },
      {
        request: post('/', '{"broken', 'application/json'),
        status: 202,
        json: { body: '{"broken', raw: '{"broken' },
      },
    ],
  },
  {
    title: 'fission: callback',
    files: {
      'index.js':
        "module.exports = (context, callback) => { setTimeout(() => callback(200, 'hello', { 'x-c': 'd' }), 1); };",
    },
    shape: 'fission',
    calls: hello,
  },
  {
    title: 'lambda: an HTTP API event',
    files: {
      'index.mjs': `export const handler = async (event, context) => { if (event.rawPath === '/text') return 'plain'; if (event.rawPath === '/object') return { a: 1 };
      if (event.rawPath === '/binary') return { statusCode: 200, headers: { 'content-type': 'image/x' }, body: Buffer.from([255, 0]).toString('base64'), isBase64Encoded: true };
      return { statusCode: 201, headers: { 'x-id': context.awsRequestId }, cookies: ['a=1', 'b=2'], body: JSON.stringify({ ...event, left: context.getRemainingTimeInMillis() > 1000 }) }; };`,
    },
    shape: 'lambda',
    calls: [
      {
        request: post('/p%20q?a=1&a=2&b=', 'text', 'text/plain', [['cookie', 'x=1; y=2']]),
        status: 201,
        json: {
          version: '2.0',
          rawPath: '/p q',
          rawQueryString: 'a=1&a=2&b=',
          cookies: ['x=1', 'y=2'],
          queryStringParameters: { a: '1,2', b: '' },
          body: 'text',
          isBase64Encoded: false,
          left: true,
        },
        headers: { 'set-cookie': 'a=1' },
      },
      {
        request: post('/bytes', Buffer.from([255, 254]), 'image/png'),
        json: { body: '//4=', isBase64Encoded: true },
      },
      { request: get('/text'), body: 'plain', headers: { 'content-type': 'application/json' } },
      { request: get('/object'), json: { a: 1 } },
      { request: get('/binary'), headers: { 'content-type': 'image/x', 'x-none': '' } },
    ],
  },
  {
    title: 'lambda: callback, and file.export as the handler',
    files: {
      'index.js':
        "exports.run = (event, context, callback) => setTimeout(() => callback(null, { statusCode: 200, body: 'hello' }), 1);",
    },
    params: { entry: 'index.js', handler: 'index.run', shape: 'lambda' },
    shape: 'lambda',
    calls: hello,
  },
  {
    title: 'lambda: an answer that is streamed',
    files: {
      'index.mjs': `import { pipeline } from 'node:stream/promises';
      import { Readable } from 'node:stream';
      export const handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
        if (event.rawPath === '/fail') throw new TypeError('no luck');
        if (event.rawPath === '/http') {
          const http = awslambda.HttpResponseStream.from(responseStream, { statusCode: 418, headers: { 'x-a': 'b' }, cookies: ['a=1'] });
          http.write('short and ');
          http.end(context.functionName === undefined ? '?' : 'stout');
          return;
        }
        responseStream.setContentType('text/plain');
        await pipeline(Readable.from(['hel', 'lo']), responseStream);
      });`,
    },
    shape: 'lambda',
    calls: [
      { request: get('/'), body: 'hello', headers: { 'content-type': 'text/plain' } },
      {
        request: get('/http'),
        status: 418,
        body: 'short and stout',
        headers: { 'x-a': 'b', 'set-cookie': 'a=1' },
      },
      { request: get('/fail'), status: 500, json: { reason: 'function_error' } },
      { request: { ...get('/'), method: 'HEAD' }, body: '', headers: { 'content-type': 'text/plain' } },
    ],
  },
  {
    title: 'a declared shape decides where names do not',
    files: { 'index.mjs': 'export default (a, b) => ({ statusCode: 200, body: a.version });' },
    params: { shape: 'lambda' },
    shape: 'lambda',
    calls: [{ request: get('/'), body: '2.0' }],
  },
];

const asgi = `
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); scope["state"]["word"] = "hello"; await send({"type": "lifespan.startup.complete"})
        await receive(); await send({"type": "lifespan.shutdown.complete"}); return
    body = b""
    while True:
        message = await receive(); body += message["body"]
        if not message["more_body"]: break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode()), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]})
    if scope["path"] == "/stream":
        for i in range(3): await send({"type": "http.response.body", "body": b"x" * 200000, "more_body": True})
        await send({"type": "http.response.body"}); return
    await send({"type": "http.response.body", "body": body or scope["state"]["word"].encode()})
`;

const python: Case[] = [
  {
    title: 'request: a function',
    files: { 'main.py': 'def handler(request):\n    return "hello"' },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: async',
    files: {
      'main.py':
        'import asyncio\nasync def handler(request):\n    await asyncio.sleep(0.001)\n    return "hello"',
    },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: the single function of any name',
    files: { 'anything.py': 'def greet(req):\n    return "hello"' },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: a package with imports of its own, and vendored ones',
    files: {
      'pkg/__init__.py': '',
      'pkg/fn.py': 'from .words import WORD\nimport dep\ndef handler(request):\n    return WORD + dep.REST',
      'pkg/words.py': 'WORD = "hel"',
      'vendor/dep.py': 'REST = "lo"',
    },
    params: { entry: 'pkg/fn.py' },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: forms of an answer',
    files: {
      'main.py': `
from petrel import Response, jsonify
def handler(request):
    return {"/dict": {"a": 1}, "/bytes": b"\\x01\\x02", "/tuple": ("made", 201), "/triple": ("made", 202, {"x-a": "b"}), "/none": None, "/response": Response("r", 203, {"x-r": "1"}), "/json": jsonify(a=1), "/gen": (c for c in ["hel", "lo"])}[request.path]
`,
    },
    shape: 'request',
    calls: [
      { request: get('/dict'), status: 200, json: { a: 1 }, headers: { 'content-type': 'application/json' } },
      { request: get('/bytes'), body: '\x01\x02', headers: { 'content-type': 'application/octet-stream' } },
      { request: get('/tuple'), status: 201, body: 'made' },
      { request: get('/triple'), status: 202, body: 'made', headers: { 'x-a': 'b' } },
      { request: get('/none'), status: 204, body: '' },
      { request: get('/response'), status: 203, body: 'r', headers: { 'x-r': '1' } },
      { request: get('/json'), json: { a: 1 } },
      { request: get('/gen'), body: 'hello' },
    ],
  },
  {
    title: 'request: async bodies both ways',
    files: {
      'main.py':
        'async def handler(request):\n    async def upper():\n        async for chunk in request:\n            yield chunk.upper()\n    return upper()',
    },
    shape: 'request',
    calls: [{ request: post('/', Buffer.alloc(700_000, 'a'), 'text/plain'), body: 'A'.repeat(700_000) }],
  },
  {
    title: 'fission: main() and the request of flask',
    files: {
      'main.py':
        'from flask import request, current_app\ndef main():\n    current_app.logger.info("x")\n    return f"{request.method} {request.args.get(\'q\')} {request.get_json()}"',
    },
    shape: 'fission',
    calls: [
      {
        request: post('/?q=1', '{"a":1}', 'application/json'),
        body: "POST 1 {'a': 1}",
        headers: { 'content-type': 'text/html; charset=utf-8' },
      },
    ],
  },
  {
    title: 'context: knative func',
    files: {
      'main.py':
        'def main(context):\n    return {"method": context.request.method, "event": context.cloud_event}',
    },
    shape: 'context',
    calls: [
      {
        request: post('/', '{"a":1}', 'application/json', [
          ['ce-specversion', '1.0'],
          ['ce-id', '1'],
        ]),
        json: {
          method: 'POST',
          event: { specversion: '1.0', id: '1', datacontenttype: 'application/json', data: { a: 1 } },
        },
      },
    ],
  },
  {
    title: 'lambda',
    files: {
      'main.py':
        'def handler(event, context):\n    return {"statusCode": 201, "headers": {"x-id": context.aws_request_id}, "cookies": ["a=1"], "body": event["rawPath"] + event.get("body", "") + event["queryStringParameters"]["a"]}',
    },
    shape: 'lambda',
    calls: [
      {
        request: post('/p?a=1', 'b', 'text/plain'),
        status: 201,
        body: '/pb1',
        headers: { 'set-cookie': 'a=1' },
      },
    ],
  },
  {
    title: 'lambda: module.function as the handler',
    files: {
      'index.py': 'def lambda_handler(event, context):\n    return {"statusCode": 200, "body": "hello"}',
    },
    params: { handler: 'index.lambda_handler' },
    shape: 'lambda',
    calls: hello,
  },
  {
    title: 'wsgi',
    files: {
      'app.py': `
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("X-M", environ["REQUEST_METHOD"])])
        return (b"x" * 200000 for _ in range(3))
    start_response("201 Created", [("Content-Type", "text/x"), ("X-Q", environ["QUERY_STRING"])])
    return [environ["PATH_INFO"].encode("latin-1"), b" ", body, environ["HTTP_X_H"].encode()]
`,
    },
    shape: 'wsgi',
    calls: [
      {
        request: post('/gr%C3%BC%C3%9Fe?a=b', 'body ', 'text/plain', [['x-h', 'head']]),
        status: 201,
        body: '/grüße body head',
        headers: { 'content-type': 'text/x', 'x-q': 'a=b' },
      },
      { request: get('/stream'), status: 200, body: 'x'.repeat(600_000), headers: { 'x-m': 'GET' } },
    ],
  },
  {
    title: 'asgi, with lifespan',
    files: { 'app.py': asgi },
    shape: 'asgi',
    calls: [
      {
        request: get('/a%20b'),
        status: 200,
        body: 'hello',
        headers: { 'x-path': '/a b', 'set-cookie': 'a=1' },
      },
      { request: post('/', Buffer.alloc(300_000, 'z'), 'text/plain'), body: 'z'.repeat(300_000) },
      { request: get('/stream'), body: 'x'.repeat(600_000) },
    ],
  },
  {
    title: 'asgi: an object with an async __call__',
    files: {
      'app.py':
        'class App:\n    async def __call__(self, scope, receive, send):\n        assert scope["type"] == "http"\n        await send({"type": "http.response.start", "status": 200})\n        await send({"type": "http.response.body", "body": b"hello"})\napp = App()',
    },
    shape: 'asgi',
    calls: hello,
  },
];

describeShapes('node', undefined, node);
describeShapes('python', withoutProgram('python3'), python);

test('node: an upgrade listener of an exported http.Server has the raw connection', async (t) => {
  const instance = await Instance.start({ runtime: 'node' });
  t.after(() => instance.stop());
  await instance.specialise({
    'index.mjs': `import http from 'node:http'; const server = http.createServer((req, res) => res.end('plain'));
      server.on('upgrade', (req, socket, head) => { socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: ' + req.headers.upgrade + '\\r\\nX-Mine: 1\\r\\n\\r\\nfirst '); socket.on('data', (chunk) => socket.write(String(chunk).toUpperCase())); socket.on('end', () => socket.end('bye')); });
      export default server;`,
  });
  const data = await instance.connect();
  const stream = data.open({
    headers: [
      ['connection', 'upgrade'],
      ['upgrade', 'echo'],
    ],
    body: (async function* () {
      yield Buffer.from('hello ');
    })(),
  });
  const head = await stream.head;
  assert.equal(head.status, 101);
  assert.equal(header(head, 'x-mine'), '1');
  assert.equal((await stream.done).body.toString(), 'first HELLO bye');
});

test('node: the code cache is written after the first answers, and used by the next instance', async (t) => {
  const fs = await import('node:fs');
  const os = await import('node:os');
  const path = await import('node:path');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-cache-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const code = path.join(dir, 'code');
  const cache = path.join(dir, 'cache');
  fs.mkdirSync(code);
  const filler = Array.from(
    { length: 600 },
    (_, i) => `function f${i}(a) { return a.map((x) => x * ${i}).join('-'); }`,
  ).join('\n');
  fs.writeFileSync(
    path.join(code, 'index.js'),
    `${filler}\nmodule.exports = (request) => new Response(f3([1, 2]));`,
  );
  fs.writeFileSync(
    path.join(code, 'typed.ts'),
    'const word: string = "typed";\nexport default (request: Request) => new Response(word);',
  );
  for (const entry of ['index.js', 'typed.ts']) {
    for (const round of [1, 2]) {
      const instance = await Instance.start({ runtime: 'node' });
      await instance.control.call('specialise', { code, entry, cache });
      const data = await instance.connect();
      assert.equal(
        (await data.request()).body.toString(),
        entry === 'index.js' ? '3-6' : 'typed',
        `round ${round}`,
      );
      if (round === 1)
        await until(
          () =>
            fs.existsSync(cache) &&
            fs
              .readdirSync(cache, { recursive: true })
              .some((name) => (entry === 'index.js' ? /\.v8$/ : /modules\/[^/]+\/[^/]+$/).test(String(name))),
          'the cache',
        );
      await instance.stop();
    }
  }
  // A cache that is damaged is as good as none.
  const file = path.join(cache, fs.readdirSync(cache).find((name) => name.endsWith('.v8')) as string);
  fs.writeFileSync(file, Buffer.alloc(100));
  const instance = await Instance.start({ runtime: 'node' });
  t.after(() => instance.stop());
  await instance.control.call('specialise', { code, entry: 'index.js', cache });
  assert.equal((await (await instance.connect()).request()).body.toString(), '3-6');
});
