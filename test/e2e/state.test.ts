/** State of functions on the real platform: from node and python without installing anything, shared, kept over restarts, shown by the command. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
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

const NODE = `import { state, StateError } from 'petrel';
export default { async fetch(request) {
  const url = new URL(request.url);
  const key = url.searchParams.get('key') ?? 'k';
  switch (url.pathname) {
    case '/hit': return Response.json(await state.increment('hits'));
    case '/get': return Response.json((await state.get(key)) ?? null);
    case '/set': return Response.json(await state.set(key, await request.json(), { ttl: 100 }));
    case '/once': try { await state.set(key, 1, { ifAbsent: true }); return new Response('first'); } catch (error) {
      return new Response(error instanceof StateError ? error.reason : String(error)); }
    case '/push': return Response.json(await state.update('list', (list = []) => [...list, list.length]));
    case '/list': return Response.json((await state.list({ prefix: key })).items.map(({ key }) => key));
    case '/put': return new Response(await state.blobs.put('blob', request.body ?? ''));
    case '/blob': { const found = await state.blobs.get('blob', { from: 1, to: 3 }); return new Response(found.body); }
    case '/gone': return Response.json([await state.delete(key), await state.get(key) === undefined]);
  }
} };`;
const PYTHON = `from petrel import Response, StateError, request, state
import json

def main():
    path = request.path
    if path == "/hit":
        return json.dumps(state.increment("hits"))
    if path == "/get":
        return json.dumps(state.get("k"))
    if path == "/set":
        state.set("k", {"from": "python"})
        return "set"
    if path == "/once":
        try:
            state.set("k", 1, if_absent=True)
        except StateError as error:
            return error.reason
    if path == "/push":
        return json.dumps(state.update("list", lambda old: (old or []) + ["p"]))
    if path == "/blob":
        state.blobs.put("pb", [b"abc", b"def"])
        return state.blobs.read("pb", 2, 4)
    if path == "/list":
        return json.dumps([item["key"] for item in state.list(prefix="")["items"]])
`;

async function withState(name: string, file: string, source: string, state: string): Promise<void> {
  scratch.write({ [file]: source });
  await petrel.deploy(scratch.path(file), '--name', name, '--state', state);
  assert.equal((await ask(name, '/hit')).status, 200);
}
const ask = (name: string, path: string, body?: string) =>
  call(platform.gateway, `/fn/default/${name}${path}`, body === undefined ? {} : { body });
const said = async (name: string, path: string, body?: string): Promise<unknown> => {
  const answer = await ask(name, path, body);
  assert.equal(answer.status, 200, `${name}${path}: ${answer.body}${petrel.log()}`);
  return JSON.parse(answer.body);
};

test('node: values, versions, counters, lists, blobs', async () => {
  await withState('shop', 'shop.mjs', NODE, 'own');
  const hits = await Promise.all(Array.from({ length: 10 }, () => said('shop', '/hit')));
  assert.equal(new Set(hits).size, 10);
  assert.equal(await said('shop', '/get'), null);
  await said('shop', '/set', '{"a":[1]}');
  assert.deepEqual(await said('shop', '/get'), { a: [1] });
  assert.equal((await ask('shop', '/once')).body, 'precondition_failed');
  assert.equal((await ask('shop', '/once?key=fresh')).body, 'first');
  await Promise.all(Array.from({ length: 5 }, () => said('shop', '/push')));
  assert.deepEqual(await said('shop', '/get?key=list'), [0, 1, 2, 3, 4]);
  assert.deepEqual(await said('shop', '/list?key=f'), ['fresh']);
  assert.deepEqual(await said('shop', '/gone?key=fresh'), [true, true]);
  assert.equal((await ask('shop', '/put', 'x'.repeat(1_000_000))).status, 200);
  assert.equal((await ask('shop', '/put', 'hello')).status, 200);
  assert.equal((await ask('shop', '/blob')).body, 'ell');
});

test('python, in the same keyspace', async () => {
  await withState('pyshop', 'pyshop.py', PYTHON, 'shop');
  assert.deepEqual(await said('pyshop', '/get'), { a: [1] });
  await ask('pyshop', '/set');
  assert.deepEqual(await said('shop', '/get'), { from: 'python' });
  assert.equal((await ask('pyshop', '/once')).body, 'precondition_failed');
  assert.deepEqual(await said('pyshop', '/push'), [0, 1, 2, 3, 4, 'p']);
  assert.equal((await ask('pyshop', '/blob')).body, 'cde');
  assert.ok(((await said('pyshop', '/list')) as string[]).includes('hits'));
});

test('the command; a function without state has none', async () => {
  const { stdout } = await petrel.run(['state', 'get', 'shop', 'k']);
  assert.equal(stdout, '{"from": "python"}');
  assert.equal((await petrel.run(['state', 'set', 'shop', 'motd', 'hello', '--ttl', '60'])).code, 0);
  assert.equal(await said('shop', '/get?key=motd'), 'hello');
  const items = await petrel.json<{ key: string; expiresAt?: string }[]>(['state', 'list', 'pyshop', 'm']);
  assert.equal(items[0]?.key, 'motd');
  assert.ok(items[0]?.expiresAt);
  const bytes = randomBytes(3_000_000);
  writeFileSync(scratch.path('bytes'), bytes);
  await petrel.run(['state', 'set', 'shop', 'big', `@${scratch.path('bytes')}`, '--blob']);
  assert.deepEqual(
    (await petrel.json<{ key: string; bytes: number }[]>(['state', 'list', 'shop', 'b', '--blob'])).map(
      ({ key, bytes }) => [key, bytes],
    ),
    [
      ['big', 3_000_000],
      ['blob', 5],
    ],
  );
  await petrel.run(['state', 'delete', 'shop', 'motd']);
  assert.equal((await petrel.refused(['state', 'get', 'shop', 'motd'])).code, 'NotFound');
  scratch.write({
    'plain.mjs':
      'export default { fetch: () => Response.json(Object.keys(process.env).filter((name) => name.startsWith("PETREL_STATE_"))) };',
  });
  await petrel.deploy(scratch.path('plain.mjs'));
  assert.deepEqual(await said('plain', '/'), []);
  assert.equal((await petrel.refused(['state', 'list', 'plain'])).code, 'NotFound');
});

test('state outlives the platform', async () => {
  process.kill(platform.pid, 'SIGKILL');
  platform = await petrel.up();
  assert.deepEqual(await said('shop', '/get'), { from: 'python' });
  assert.equal(await said('shop', '/hit'), 13);
});
