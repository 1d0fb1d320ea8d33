/**
 * Functions that fail while events come: they crash, hang, stop, answer garbage, take all memory, are deleted and come back. Nothing is lost, what cannot
 * be delivered is a dead letter that says why, and all of it can be seen.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { TRIGGERS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, processesNaming, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
/** In the command line of the function that is stopped. */
const MARK = `stopped-${scratch.dir.split('-').at(-1)}`;
let platform: Status;
/** How often each event was begun. */
const begun = new Map<string, number>();
const done = new Set<string>();
/** Whom the function asks what to do, and tells what it has done. */
const control = createServer((incoming, response) => {
  const id = String(incoming.headers['ce-id']);
  incoming.resume().on('end', () => {
    if (incoming.url === '/done') done.add(id);
    else begun.set(id, (begun.get(id) ?? 0) + 1);
    response.end(String(begun.get(id)));
  });
});

interface TriggerRow {
  name: string;
  ready: string;
  message: string;
  waiting: number | null;
  delivered: number | null;
  retried: number | null;
  dead: number | null;
  lastError: string | null;
}
const rowOf = async (name: string) => {
  const row = (await petrel.json<TriggerRow[]>(['trigger', 'list'])).find((one) => one.name === name);
  assert.ok(row, `no trigger ${name}`);
  return row;
};

before(async () => {
  await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(control.address() as AddressInfo).port}`;
  scratch.write({
    // What an event asks for is done at its first attempt only, what begins with "always" each time.
    'faulty.mjs': `
      process.title = '${MARK}';
      const kept = [];
      const ask = async (path, id) => (await fetch('${at}' + path, { method: 'POST', headers: { 'ce-id': id } })).text();
      const acts = {
        crash: () => process.kill(process.pid, 'SIGKILL'),
        exit: () => process.exit(3),
        throw: () => { throw new Error('no more'); },
        hang: () => new Promise(() => {}),
        spin: () => { const end = Date.now() + 2500; while (Date.now() < end); return new Response(null, { status: 204 }); },
        garbage: () => new Response('{', { headers: { 'content-type': 'application/cloudevents+json' } }),
        half: () => new Response('x', { headers: { 'ce-specversion': '1.0', 'ce-type': 't' } }),
        leak: () => { kept.push(Buffer.alloc(24e6, 1)); },
      };
      export default { async fetch(request) {
        const id = request.headers.get('ce-id');
        const act = request.headers.get('ce-act');
        const attempt = Number(await ask('/begin', id));
        if (act && (attempt === 1 || act === 'always')) {
          const answer = await acts[act === 'always' ? 'garbage' : act]();
          if (answer) return answer;
        }
        await ask('/done', id);
        return new Response(null, { status: 204 });
      } };`,
  });
  platform = await petrel.up();
  await petrel.deploy(scratch.path('faulty.mjs'), '--memory', '128Mi');
  await petrel.json([
    ...['trigger', 'create', 'work', '--to', 'faulty'],
    ...['--retry', '12', '--backoff', 'PT0.05S', '--cesql', 'NOT EXISTS only'],
  ]);
  const api = await petrel.api();
  await api
    .patch(TRIGGERS, 'default', 'work', 'merge', {
      spec: { delivery: { timeout: 'PT1S', backoffPolicy: 'linear' } },
    })
    .finally(() => api.close());
});
after(async () => {
  await petrel.stop();
  control.close().closeAllConnections();
  scratch.dispose();
});

const send = async (id: string, act?: string, broker = 'default') => {
  const headers: Record<string, string> = {
    ...{ 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/faults', 'ce-type': 'com.shop.paid' },
    ...(act === undefined ? {} : { 'ce-act': act }),
  };
  const { status } = await call(platform.gateway, `/events/broker/default/${broker}`, { headers, body: 'x' });
  assert.equal(status, 202);
};
const allDone = (ids: readonly string[]) =>
  eventually(`${ids[0]} to ${ids.at(-1)} are done`, async () => ids.every((id) => done.has(id)), 60_000);

test('a function that crashes, ends, throws, hangs, spins or answers garbage gets each event again', async () => {
  const acts = ['crash', 'exit', 'throw', 'hang', 'spin', 'garbage', 'half'];
  const ids: string[] = [];
  for (const act of acts)
    for (let i = 0; i < 3; i++) {
      await send(`${act}${i}`, act);
      await send(`plain-${act}${i}`);
      ids.push(`${act}${i}`, `plain-${act}${i}`);
    }
  await allDone(ids);
  for (const act of acts) assert.ok((begun.get(`${act}0`) ?? 0) >= 2, act);
  const row = await eventually('nothing waits', async () => {
    const now = await rowOf('work');
    return now.waiting === 0 && now;
  });
  assert.equal(row.dead, 0);
  assert.equal(row.delivered, ids.length);
  assert.ok((row.retried ?? 0) >= acts.length * 3);
  assert.ok(row.lastError, 'why the last one failed is told');
  await send('alone', 'throw');
  await allDone(['alone']);
  const { stdout } = await petrel.run(['event', 'history', '--id', 'alone']);
  assert.match(stdout, /retried +trigger\/work +.*no more/);
  assert.match(stdout, /delivered +trigger\/work/);
});

test('one that takes more memory with each event is replaced, and no event is lost', async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `leak${i}`);
  for (const id of ids) await send(id, 'leak');
  await allDone(ids);
});

test('garbage without end is a dead letter that says why', async () => {
  await send('bad', 'always');
  const [letter] = await eventually('it is dead', async () => {
    const letters = await petrel.json<{ id: string; reason: string; attempts: number }[]>(['dlq', 'list']);
    return letters.length > 0 && letters;
  });
  assert.match(letter?.reason ?? '', /event|JSON/i);
  assert.equal((await rowOf('work')).dead, 1);
  assert.match((await petrel.run(['event', 'history', '--id', 'bad'])).stdout, /dead +trigger\/work/);
  assert.equal(done.has('bad'), false);
});

test('stopped (SIGSTOP) in the middle of its work and going on later, it has lost nothing', async () => {
  await send('before-stop');
  await allDone(['before-stop']);
  const stopped = processesNaming(MARK);
  assert.ok(stopped.length > 0, 'the function has a process');
  const ids = Array.from({ length: 30 }, (_, i) => `stop${i}`);
  for (const pid of stopped) process.kill(pid, 'SIGSTOP');
  try {
    for (const id of ids) await send(id);
    await eventually('deliveries fail', async () => ((await rowOf('work')).waiting ?? 0) > 0);
    await new Promise((resolve) => setTimeout(resolve, 3000));
  } finally {
    for (const pid of stopped)
      try {
        process.kill(pid, 'SIGCONT');
      } catch {} // replaced meanwhile
  }
  await allDone(ids);
  assert.equal((await rowOf('work')).dead, 1, 'no further one');
});

test('deleted while events wait, and deployed again: they are delivered then', async () => {
  const run = await petrel.run(['delete', 'faulty']);
  assert.equal(run.code, 0, run.stderr);
  const row = await eventually('its trigger says so', async () => {
    const now = await rowOf('work');
    return now.ready !== 'True' && now;
  });
  assert.match(row.message, /faulty/);
  const ids = Array.from({ length: 50 }, (_, i) => `gone${i}`);
  for (const id of ids) await send(id);
  assert.equal((await rowOf('work')).waiting, 50);
  await petrel.deploy(scratch.path('faulty.mjs'), '--memory', '128Mi');
  await allDone(ids);
  await eventually('its trigger works again', async () => {
    const now = await rowOf('work');
    return now.ready === 'True' && now.waiting === 0;
  });
  assert.equal((await rowOf('work')).dead, 1, 'no further one');
});
