/** The contract suite for the isolate runtime: web-standard handlers in workerd. */
import { createRequire } from 'node:module';
import { contract } from '../contract.ts';
import { oneFile } from '../language.ts';

const { bring } = createRequire(import.meta.url)('../../isolate/bring.cjs') as {
  bring(): string | undefined;
};

const isolate = oneFile('fn.mjs');
const utf8 = 'workerd takes headers for UTF-8';
const inside = 'an isolate cannot end the process that it shares with others';

contract({
  runtime: 'isolate',
  missing: ((why) => why && `workerd could not be brought: ${why}`)(bring()),
  transport: 'http1-unix',
  trace: /fn\.mjs/,
  everything: isolate(`
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
  '/hang-deaf': () => sleep(1e8),
  '/sleep': async (request) => { const ms = Number(new URL(request.url).searchParams.get('ms')); busy++; most = Math.max(most, busy); await sleep(ms); busy--; return new Response('slept'); },
  '/most': () => new Response(String(most)),
  '/environment': () => Response.json({ env: { ...process.env } }),
  '/log': () => { console.log('a line of output'); console.error('a line of errors'); return new Response('logged'); },
  '/break-stream': () => new Response(new ReadableStream({ pull(c) { if (!this.sent) { this.sent = true; c.enqueue(new TextEncoder().encode('begun')); } else c.error(new Error('broke off')); } })),
  '/bad-header': () => new Response('x', { headers: { 'x-evil': 'a\\r\\nx-forged: 1' } }),
};
let produced = 0, aborted = 0, busy = 0, most = 0;
const opened = new Set();
async function gate(name) { while (!opened.has(String(name))) await sleep(2); }
export default { fetch(request) { return routes[new URL(request.url).pathname](request); } };
`),
  crash: isolate('export default () => new Response("");'),
  failures: {
    'a syntax error': {
      source: isolate('const a = 1;\nconst b = ;\nexport default a;\n'),
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
      source: isolate("\nimport x from 'not-installed';\nexport default x;\n"),
      says: /No such module "not-installed"/,
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
      says: /No such module "gone\.mjs"/,
      file: 'dep.mjs',
      line: 3,
    },
    'a throw while loading': {
      source: isolate(
        "function setUp() {\n  throw new TypeError('no database');\n}\nsetUp();\nexport default () => 1;\n",
      ),
      says: /TypeError: no database/,
      file: 'fn.mjs',
      line: 2,
      shows: "throw new TypeError('no database');",
    },
    'loading that fails later': {
      source: isolate("await Promise.reject(new Error('top level rejection'));\nexport default 1;\n"),
      says: /top level rejection/,
      file: 'fn.mjs',
    },
    'loading that never ends': {
      source: isolate('await new Promise(() => {});\nexport default 1;\n'),
      says: /Top-level await in module is unsettled/,
    },
    'no handler among the exports': {
      source: isolate('export const answer = 42;\nexport class Thing {}\n'),
      says: /answer \(number\)/,
    },
    'a named handler that is not exported': {
      source: { ...isolate('export const handle = () => 1;\n'), handler: 'handel' },
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
      source: isolate("throw new Error('gave up');"),
      says: /gave up/,
    },
  },
  lacks: {
    'method, path, query and headers reach the handler as they were sent': utf8,
    'HEAD: the head of GET, and its length, without the body':
      'workerd sends the length only where the handler gives it',
    'a time-out of the gateway reaches the handler':
      'workerd ends a handler whose client is gone, without a word to it',
    'headers of the answer: several of a name stay apart, latin1 stays': utf8,
    'a handler that hangs is not hidden by an answer to PING': 'an isolate cannot look for a file',
    programs: 'nothing listens in an isolate',
    'standard input is at its end': 'an isolate has no standard input',
    'a process that exits in a handler takes its connections along': inside,
    'user code that breaks the process (/crash) resets what is in flight and says why': inside,
    'user code that breaks the process (/reject) resets what is in flight and says why': inside,
  },
});
