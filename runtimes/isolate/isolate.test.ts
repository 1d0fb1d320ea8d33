/** What only the isolate runtime has: many functions in one process, each apart; modules of every kind; a process that is ended when one holds up all. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { HttpClient } from '../contract-tests/http-client.ts';
import { type Files, Instance, until } from '../contract-tests/instance.ts';

const { bring } = createRequire(import.meta.url)('./bring.cjs') as { bring(): string | undefined };
const why = bring();
const skip = why === undefined ? false : `workerd could not be brought: ${why}`;

async function started(t: TestContext) {
  const instance = await Instance.start({ runtime: 'isolate' });
  t.after(() => instance.stop());
  return instance;
}

/** Loads a function into a slot of the instance; requests to it. */
async function lease(t: TestContext, instance: Instance, slot: number, files: Files, params: object = {}) {
  // A directory per slot: `package` writes into one.
  const named = Object.fromEntries(
    Object.entries(files).map(([name, content]) => [`${slot}/${name}`, content]),
  );
  const code = path.join(instance.package(named), String(slot));
  const result = await instance.control.call('lease', { slot, code, env: {}, development: true, ...params });
  assert.deepEqual(result.transport, { kind: 'http1-unix' });
  const client = new HttpClient({ socketPath: path.join(instance.dir, `f${slot}`, 'h.sock') });
  t.after(() => client.close());
  return async (target = '/', options: object = {}) =>
    (await client.request({ target, ...options })).body.toString();
}

const counter = {
  'worker.js':
    'let n = 0; export default { fetch: (r, env) => new Response(env.NAME + ++n + (globalThis.mark ??= env.NAME)) };',
};

test('Node’s interfaces are there for code that can see them', { skip }, async (t) => {
  const instance = await started(t);
  const shown: [source: string, says: string][] = [
    ['export default () => new Response(typeof process)', 'object'],
    ['export default () => new Response(typeof globalThis["Buf" + "fer"])', 'function'],
    ['import { Buffer as B } from "buffer"; export default () => new Response(typeof B)', 'function'],
    ['export default () => new Response(typeof setTimeout(() => {}, 1).unref)', 'function'],
    ['export default (r, env) => new Response(env.WORD)', 'yes'],
  ];
  for (const [slot, [source, says]] of shown.entries()) {
    const ask = await lease(t, instance, slot + 1, { 'worker.js': source }, { env: { WORD: 'yes' } });
    assert.equal(await ask(), says, source);
  }
});

test('functions in one process see nothing of each other', { skip }, async (t) => {
  const instance = await started(t);
  const a = await lease(t, instance, 1, counter, { env: { NAME: 'a' } });
  const b = await lease(t, instance, 2, counter, { env: { NAME: 'b' } });
  assert.deepEqual([await a(), await b(), await a(), await b()], ['a1a', 'b1b', 'a2a', 'b2b']);
  assert.equal((await instance.control.call('health')).state, 'generic');
});

test('a place that is given back answers no more, and can be taken again', { skip }, async (t) => {
  const instance = await started(t);
  const first = await lease(t, instance, 1, counter, { env: { NAME: 'a' } });
  await first();
  assert.deepEqual(await instance.control.call('drain-lease', { slot: 1, graceMs: 1000 }), { left: 0 });
  await instance.control.call('release', { slot: 1 });
  assert.match(await first(), /no function is loaded here/);
  const held = async () => (await instance.control.call('leases')).leases;
  assert.deepEqual(await held(), []);
  const whose = { namespace: 'default', revision: 'b-00001' };
  const second = await lease(t, instance, 1, counter, { env: { NAME: 'b' }, ...whose });
  assert.equal(await second(), 'b1b');
  assert.deepEqual(await held(), [{ slot: 1, ...whose, transport: { kind: 'http1-unix' } }]);
  await instance.control.call('release', {});
  assert.match(await second(), /no function is loaded here/);
});

test('a function that cannot be loaded harms none of its neighbours', { skip }, async (t) => {
  const instance = await started(t);
  const a = await lease(t, instance, 1, counter, { env: { NAME: 'a' } });
  await assert.rejects(lease(t, instance, 2, { 'worker.js': 'const = 1;' }), {
    code: 'LoadError',
    message: /SyntaxError/,
  });
  assert.equal(await a(), 'a1a');
  await assert.rejects(lease(t, instance, 9999, counter), { code: 'BadRequest' });
});

const sleeper = {
  'worker.js':
    'export default { async fetch() { await new Promise((r) => setTimeout(r, 300)); return new Response("slept".padEnd(1e6)); } };',
};
/** Resolves when the function in a slot works on a request. */
const working = (instance: Instance, slot: number) =>
  until(async () => {
    const { left } = await instance.control.call('drain-lease', { slot, graceMs: 0 });
    return left === 1;
  }, 'the request to begin');

test('drain waits for what is being answered', { skip }, async (t) => {
  const instance = await started(t);
  const slow = await lease(t, instance, 1, sleeper);
  const open = slow();
  await working(instance, 1);
  assert.deepEqual(await instance.control.call('drain-lease', { slot: 1, graceMs: 10_000 }), { left: 0 });
  assert.equal((await open).trimEnd(), 'slept');
});

test('SIGTERM waits for the functions in all places, which take nothing new', { skip }, async (t) => {
  const instance = await started(t);
  const slow = await lease(t, instance, 2, sleeper);
  const quick = await lease(t, instance, 1, counter, { env: { NAME: 'a' } });
  const open = slow();
  await working(instance, 2);
  instance.kill('SIGTERM');
  await until(() => !fs.existsSync(path.join(instance.dir, 'f1', 'h.sock')), 'the place to be closed');
  await assert.rejects(quick());
  const answer = await open;
  assert.deepEqual([answer.trimEnd(), answer.length], ['slept', 1e6]);
  assert.equal((await instance.exited).code, 0);
});

test('modules of every kind, under the names they have', { skip }, async (t) => {
  const instance = await started(t);
  const ask = await lease(
    t,
    instance,
    1,
    {
      'wrangler.jsonc':
        '{\n // what to run\n "main": "src/index.ts", "vars": { "STAGE": "test" /* not // prod */ },\n}\n',
      'src/index.ts': `
import data from '../data.json';
import text from '../page.txt';
import bytes from '../data.bin';
import { add } from './lib/add.ts';
interface Env { STAGE: string; NAME: string }
export default { fetch: (request: Request, env: Env): Response => Response.json([data.a, text, bytes.byteLength, add(1, 2), env.STAGE, env.NAME]) };`,
      'src/lib/add.ts': 'export const add = (a: number, b: number): number => a + b;',
      'data.json': '{"a": [1]}',
      'page.txt': 'grüße',
      'data.bin': Uint8Array.of(1, 2, 3),
      'node_modules/broken/index.js': 'not a module at all {',
      '.secret': 'hidden',
    },
    { env: { NAME: 'n' } },
  );
  assert.deepEqual(JSON.parse(await ask()), [[1], 'grüße', 3, 3, 'test', 'n']);
});

test('handlers of each shape', { skip }, async (t) => {
  const instance = await started(t);
  const shapes: [source: string, handler?: string][] = [
    ['export default { fetch: () => new Response("yes") }'],
    ['export default () => new Response("yes")'],
    ['export const answer = async () => new Response("yes")', 'answer'],
    [
      'import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { fetch() { return new Response(this.env.WORD); } }',
    ],
  ];
  for (const [slot, [source, handler]] of shapes.entries()) {
    const ask = await lease(
      t,
      instance,
      slot + 1,
      { 'worker.js': source },
      { handler, env: { WORD: 'yes' } },
    );
    assert.equal(await ask(), 'yes', source);
  }
});

/** Whether the function that answers was given to an isolate that stood ready. */
const LATE = 'Cloudflare.compatibilityFlags.unsafe_module === true';
const alike: [title: string, source: string][] = [
  ['an object', 'let n = 0;\nexport default { fetch: (r, env) => tell(env, ++n) };'],
  ['a function that is an expression', 'let n = 0;\nexport default (r, env) => tell(env, ++n);'],
  [
    'a declared function',
    'let n = 0;\nexport default async function main(r, env) { return tell(env, ++n); }',
  ],
  [
    'a list',
    'let n = 0;\nconst worker = { fetch: (r, env) => tell(env, ++n) };\nexport { worker as default };',
  ],
];
for (const [title, source] of alike) {
  test(`an isolate that stood ready is like one that was made for its function: ${title}`, {
    skip,
  }, async (t) => {
    const instance = await started(t);
    const worker = `const when = (() => { try { crypto.randomUUID(); return 'a request'; } catch { return 'loading'; } })();
${source}
function tell(env, n) {
  return Response.json([n, env.NAME, when, this === undefined, Number(new Error().stack.split('worker.js:')[1].split(':')[0]), ${LATE}]);
}`;
    const line = worker.split('\n').length - 1;
    const answers = async (slot: number) => {
      const ask = await lease(t, instance, slot, { 'worker.js': worker }, { env: { NAME: `fn-${slot}` } });
      return [JSON.parse(await ask()), JSON.parse(await ask())];
    };
    const expected = (slot: number, late: boolean) =>
      [1, 2].map((n) => [n, `fn-${slot}`, 'loading', true, line, late]);
    assert.deepEqual(await answers(1), expected(1, false), 'what was not loaded before is not given late');
    for (const again of ['once', 'twice'])
      await until(async () => {
        const got = await answers(2);
        assert.deepEqual(got, expected(2, got[0][5]));
        return got[0]?.[5] === true;
      }, `a load into an isolate that stands ready, ${again}`);
  });
}

test('a function that is released leaves no memory behind', { skip }, async (t) => {
  const instance = await started(t);
  const large = {
    'worker.js':
      'const held = new Uint8Array(32 << 20).fill(1);\nexport default () => new Response(String(held.length));',
  };
  const resident = () => {
    const pid = fs.readFileSync(`/proc/${instance.pid}/task/${instance.pid}/children`, 'utf8').trim();
    return Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  };
  await lease(t, instance, 1, large);
  const before = resident();
  for (let round = 0; round < 20; round++) {
    const ask = await lease(t, instance, 1, large);
    assert.equal(await ask(), String(32 << 20));
    await instance.control.call('release', { slot: 1 });
  }
  await until(() => resident() < before + 200, 'the memory of what was released');
});

test('an endless loop ends its process, which says why', { skip }, async (t) => {
  const instance = await started(t);
  const ask = await lease(t, instance, 1, { 'worker.js': 'export default () => { for (;;); }' });
  await assert.rejects(ask());
  assert.equal((await instance.exited).code, 1);
  const failed = instance.control.events.find(({ event }) => event === 'failed');
  assert.match(String(failed?.detail), /kept the process busy/);
});
