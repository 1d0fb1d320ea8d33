/** The contract suite for the node runtime. */
import { contract } from '../contract.ts';
import { oneFile } from '../language.ts';

const node = oneFile('fn.mjs');
const listen =
  "import http from 'node:http'; const server = http.createServer((q, r) => r.end('program ' + q.url + ' ' + process.env.GREETING));";
const serve = 'server.listen(process.env.PORT);';

contract({
  runtime: 'node',
  missing: undefined,
  transport: 'mux',
  trace: /fn\.mjs/,
  cwd: /\/code$/,
  args: /\/code\/fn\.mjs$/,
  everything: node(`
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
  crash: node(`export default { async fetch(request) {
    if (new URL(request.url).pathname === '/crash') setTimeout(() => { throw new RangeError('thrown by a timer'); }, 1);
    if (new URL(request.url).pathname === '/reject') Promise.reject(new RangeError('thrown by a timer'));
    await new Promise(() => {});
  } };`),
  hanging: {
    files: {
      'f.cjs':
        "const fs = require('fs'); module.exports = (q, s) => { while (!fs.existsSync(process.env.GO)); s.end(); };",
    },
    entry: 'f.cjs',
  },
  failures: {
    'a syntax error': {
      source: node('const a = 1;\nconst b = ;\nexport default a;\n'),
      says: /SyntaxError: Unexpected token ';'/,
      file: 'fn.mjs',
      line: 2,
      shows: 'const b = ;',
    },
    'a syntax error in a file that is imported': {
      source: {
        files: {
          'fn.mjs': "import './lib/dep.mjs';\nexport default () => 1;\n",
          'lib/dep.mjs': '\n\nlet x = {;\n',
        },
        entry: 'fn.mjs',
      },
      says: /SyntaxError/,
      file: 'lib/dep.mjs',
      line: 3,
      shows: 'let x = {;',
    },
    'a module that is not there': {
      source: node("\nimport x from 'not-installed';\nexport default x;\n"),
      says: /Cannot find package 'not-installed'/,
      file: 'fn.mjs',
      line: 2,
      shows: "import x from 'not-installed';",
    },
    'a module that is not there, two files deep': {
      source: {
        files: {
          'fn.mjs': "import './dep.mjs';\nexport default 1;\n",
          'dep.mjs': "\n\nimport './gone.mjs';\n",
        },
        entry: 'fn.mjs',
      },
      says: /Cannot find module 'gone\.mjs' imported from dep\.mjs/,
      file: 'dep.mjs',
      line: 3,
    },
    'a throw while loading': {
      source: node(
        "function setUp() {\n  throw new TypeError('no database');\n}\nsetUp();\nexport default () => 1;\n",
      ),
      says: /TypeError: no database/,
      file: 'fn.mjs',
      line: 2,
      shows: "throw new TypeError('no database');",
    },
    'loading that fails later': {
      source: node(
        "await new Promise((r) => setTimeout(r, 5));\nawait Promise.reject(new Error('top level rejection'));\nexport default 1;\n",
      ),
      says: /top level rejection/,
      file: 'fn.mjs',
    },
    'loading that never ends': {
      source: node('await new Promise(() => {});\nexport default 1;\n'),
      says: /did not finish loading within/,
    },
    'no handler among the exports': {
      source: node('export const answer = 42;\nexport class Thing {}\n'),
      says: /answer \(number\)/,
    },
    'a named handler that is not exported': {
      source: { ...node('export const handle = () => 1;\n'), handler: 'handel' },
      says: /handel.*handle \(function\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.mjs': '' }, entry: 'other.mjs' },
      says: /no file other\.mjs.*fn\.mjs/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.mjs': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
    'code that exits while it is loaded': {
      source: node("await import('node:process').then((p) => { throw new Error('gave up'); });"),
      says: /gave up/,
    },
  },
  programs: {
    declared: node(listen + serve),
    whenLoaded: node(listen + serve),
    later: node(`${listen}setTimeout(() => ${serve.slice(0, -1)}, 50);`),
    failing: node("console.error('cannot start: no licence'); process.exit(7);"),
    silent: node('setInterval(() => {}, 1000);'),
  },
  lacks: {},
});
