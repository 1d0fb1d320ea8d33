/** Asynchronous invocation on the real platform: accepted on disk, delivered through the gateway, told by id; by request and by command. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FUNCTIONS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
  // What nobody uses is not there.
  assert.equal(existsSync(join(petrel.home, 'run/invocations.sock')), false);
  scratch.write({
    'work.mjs': `let tries = 0;
    export default { async fetch(request) {
      const url = new URL(request.url);
      if (url.pathname === '/flaky' && ++tries < 3) return new Response('not yet', { status: 503 });
      if (url.pathname === '/slow') await new Promise((resolve) => setTimeout(resolve, 3000));
      if (url.pathname === '/down') return new Response('down', { status: 503 });
      if (url.pathname === '/wrong') return new Response('no such order', { status: 422 });
      return Response.json({ path: url.pathname, body: await request.text(), attempt: request.headers.get('x-petrel-invocation-attempt') });
    } };`,
  });
  await petrel.deploy(scratch.path('work.mjs'));
  const api = await petrel.api();
  await api.patch(FUNCTIONS, 'default', 'work', 'merge', {
    spec: { invocation: { backoffSeconds: 0.05, maxAttempts: 4 } },
  });
  api.close();
  await eventually('requests can be accepted', async () =>
    existsSync(join(petrel.home, 'run/invocations.sock')),
  );
  assert.equal(existsSync(join(petrel.home, 'invocations.db')), false);
  assert.equal(existsSync(join(petrel.home, 'function-state')), false);
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const accept = (path: string, body: string, headers: Record<string, string> = {}) =>
  call(platform.gateway, `/fn/default/work${path}`, {
    body,
    headers: { prefer: 'respond-async', ...headers },
  });
interface View {
  id: string;
  status: string;
  attempts: { status: number }[];
  result: { body: string };
}
const over = (id: string) =>
  eventually(`${id} is over`, async () => {
    const view = await petrel.json<View>(['invocations', 'get', id]);
    return ['queued', 'running'].includes(view.status) ? undefined : view;
  });

test('accepted, tried until it succeeds, and shown by the commands', async () => {
  const answer = await accept('/flaky', 'hello');
  assert.equal(answer.status, 202);
  const { id } = JSON.parse(answer.body) as { id: string };
  const view = await over(id);
  assert.equal(view.status, 'succeeded');
  assert.deepEqual(
    view.attempts.map(({ status }) => status),
    [503, 503, 200],
  );
  assert.deepEqual(JSON.parse(view.result.body), { path: '/flaky', body: 'hello', attempt: '3' });
  const { stdout } = await petrel.run(['invocations', 'list', 'work']);
  assert.match(stdout, new RegExp(`${id} +work +succeeded +3 +200`));
});

test('the command waits, and who knows the id may ask', async () => {
  const { code, stdout } = await petrel.run([
    'invoke',
    'work',
    '--async',
    '--wait',
    '-d',
    'mine',
    '--path',
    '/x',
  ]);
  assert.deepEqual([code, JSON.parse(stdout)], [0, { path: '/x', body: 'mine', attempt: '1' }]);
  const failed = await petrel.run(['invoke', 'work', '--async', '--wait', '--path', '/wrong']);
  assert.deepEqual([failed.code, failed.stdout], [1, 'no such order']);
  assert.match(failed.stderr, /failed: it answered 422/);
  const id = (await petrel.run(['invoke', 'work', '--async'])).stdout.trim();
  assert.match(id, /^[0-9a-f]{32}$/);
  const accepted = await petrel.json<{ id: string; location: string }>(['invoke', 'work', '--async']);
  assert.equal(accepted.location, `/.petrel/invocations/${accepted.id}`);
  assert.equal((await petrel.refused(['invoke', 'work', '--wait'])).exit, 2);
  const told = await call(platform.gateway, `/.petrel/invocations/${id}?wait=20`);
  assert.equal((JSON.parse(told.body) as View).status, 'succeeded');
  const forged = await call(platform.gateway, `/.petrel/invocations/${id}`, {
    method: 'POST',
    headers: { 'x-petrel-route': 'default/work' },
    body: '',
  });
  assert.equal(forged.status, 405);
  await petrel.run(['dlq', 'purge', 'work']);
});

test('an alias: its requests are carried out by the rules of its function', async () => {
  await petrel.json(['alias', 'work', 'prod', '--to', 'latest']);
  const path = '/fn/default/work-prod/down';
  const answer = await eventually('the alias answers', async () => {
    const now = await call(platform.gateway, path, { body: '', headers: { prefer: 'respond-async' } });
    return now.status === 202 ? now : undefined;
  });
  const { id } = JSON.parse(answer.body) as { id: string };
  const { status, attempts } = await over(id);
  assert.deepEqual([status, attempts.length], ['dead', 4]);
  await petrel.run(['dlq', 'purge', id]);
});

test('a batch', async () => {
  const answer = await call(platform.gateway, '/fn/default/work/batch', {
    headers: { 'x-petrel-invoke-mode': 'batch' },
    body: '[1,{"a":2}]',
  });
  assert.equal(answer.status, 202);
  const { invocations } = JSON.parse(answer.body) as { invocations: { id: string }[] };
  const bodies = await Promise.all(
    invocations.map(async ({ id }) => JSON.parse((await over(id)).result.body).body),
  );
  assert.deepEqual(bodies, ['1', '{"a":2}']);
});

test('dead letters: listed, shown with what was sent, redriven, purged', async () => {
  const { id } = JSON.parse((await accept('/wrong', 'order 7')).body) as { id: string };
  assert.equal((await over(id)).status, 'failed');
  const [letter] = await petrel.json<View[]>(['dlq', 'list', 'work']);
  assert.equal(letter?.id, id);
  assert.match(
    (await petrel.run(['dlq', 'show', id])).stdout,
    /POST \/wrong[\s\S]*order 7[\s\S]*Result: 422\nno such order/,
  );
  assert.deepEqual(await petrel.json(['dlq', 'redrive', 'work']), { count: 1 });
  await eventually('it was tried again', async () => (await over(id)).attempts.length === 2);
  assert.deepEqual(await petrel.json(['dlq', 'purge', id]), { count: 1 });
  assert.deepEqual(await petrel.json(['dlq', 'list', '-A']), []);
  assert.equal((await petrel.refused(['invocations', 'get', id])).code, 'NotFound');
});

test('what was accepted before a stop is carried out after the next start', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) ids.push((JSON.parse((await accept(`/n${i}`, '')).body) as { id: string }).id);
  process.kill(platform.pid, 'SIGKILL');
  platform = await petrel.up();
  for (const id of ids) assert.equal((await over(id)).status, 'succeeded');
});

test('a stop lets what is being carried out end', async () => {
  const { id } = JSON.parse((await accept('/slow', '')).body) as { id: string };
  await eventually('it runs', async () => {
    const now = await call(platform.gateway, `/.petrel/invocations/${id}`);
    return (JSON.parse(now.body) as View).status === 'running';
  });
  assert.equal((await petrel.run(['down'])).code, 0);
  platform = await petrel.up();
  const { status, attempts } = await over(id);
  assert.deepEqual([status, attempts.map((attempt) => attempt.status)], ['succeeded', [200]]);
});
