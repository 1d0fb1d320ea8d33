/**
 * Random kills, reproducible by seed (`PETREL_FAULT_SEED`): the platform, an instance, a supervisor, in the middle of writes and
 * requests. After each restart every acknowledged object is there, nothing of the dead platform runs on, functions answer.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FUNCTION_LABELS, type PetrelFunction } from '../../src/kinds/function.ts';
import type { ConfigMap } from '../../src/kinds/pod.ts';
import { CONFIGMAPS, FUNCTIONS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, processesNaming, Scratch, type Status } from '../lib/platform.ts';
import { seeded } from '../lib/random.ts';

const SEED = Number(process.env.PETREL_FAULT_SEED ?? Date.now() % 1_000_000);
const PLATFORM_KILLS = 12;
const INSTANCE_KILLS = 20;

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ask = (gateway: string, path = '/') => call(gateway, `/fn/default/live${path}`, { timeoutMs: 20_000 });

test(`kill -9 of the platform at any moment (seed ${SEED})`, async () => {
  const next = seeded(SEED);
  let platform: Status = await petrel.up();
  scratch.write({ 'live.mjs': 'export default { fetch: () => new Response("alive") };' });
  await petrel.deploy(scratch.path('live.mjs'));
  const acknowledged = new Map<string, string>();
  const deleted = new Set<string>();

  for (let kill = 0; kill < PLATFORM_KILLS; kill++) {
    const api = await petrel.api();
    let running = true;
    const writer = (async () => {
      for (let i = 0; running; i++) {
        const name = `k${kill}-${i}`;
        try {
          const made = await api.create<ConfigMap>(CONFIGMAPS, {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name, namespace: 'default' },
            data: { round: String(i) },
          });
          acknowledged.set(name, made.data?.round ?? '');
          if (i % 3 === 1) {
            const data = { round: `changed ${i}` };
            await api.patch(CONFIGMAPS, 'default', name, 'merge', { data });
            acknowledged.set(name, data.round);
          }
          if (i % 5 === 4) {
            await api.delete(CONFIGMAPS, 'default', name);
            acknowledged.delete(name);
            deleted.add(name);
          }
        } catch {
          // Not acknowledged: it may be there or not. A change that was not acknowledged leaves either state.
          if (acknowledged.has(name)) acknowledged.set(name, 'unknown');
          return;
        }
      }
    })();
    const requests = Array.from({ length: 3 }, async () => {
      while (running) await ask(platform.gateway).catch(() => pause(5));
    });
    const deploying =
      kill % 4 === 3
        ? petrel.run([
            'deploy',
            scratch.path('live.mjs'),
            '-e',
            `KILL=${kill}`,
            '--gateway',
            ':0',
            '--api',
            ':0',
          ])
        : undefined;
    await pause(20 + next() * 600);
    process.kill(platform.pid, 'SIGKILL');
    await pause(next() * 50);
    running = false;
    await Promise.all([writer, ...requests, deploying]);
    api.close();

    const dead = platform.pid;
    // A deploy that found no platform any more has started one itself.
    const status = await petrel.run(['status', '-o', 'json']);
    platform = status.code === 0 ? (JSON.parse(status.stdout) as Status) : await petrel.up();
    assert.notEqual(platform.pid, dead);
    const after = await petrel.api();
    const { items } = await after.list<ConfigMap>(CONFIGMAPS, { namespace: 'default' });
    const stored = new Map(items.map(({ metadata, data }) => [metadata.name, data?.round]));
    for (const [name, round] of acknowledged) {
      assert.ok(stored.has(name) || round === 'unknown', `${name} was acknowledged and is lost`);
      if (round !== 'unknown') assert.equal(stored.get(name), round, name);
    }
    for (const name of deleted) assert.ok(!stored.has(name), `${name} was deleted and is back`);
    const fn = await after.get<PetrelFunction>(FUNCTIONS, 'default', 'live');
    assert.ok(fn.metadata.uid);
    after.close();
    await eventually('the function answers', async () => (await ask(platform.gateway)).body === 'alive');
  }
  // Whatever runs now belongs to the platform that runs now.
  await petrel.stop();
  await eventually('no process is left', async () => processesNaming(petrel.home).length === 0, 15_000);
});

test(`kill -9 of instances and supervisors under load (seed ${SEED})`, async () => {
  const next = seeded(SEED + 1);
  const { gateway, pid } = await petrel.up();
  let running = true;
  const unclear: string[] = [];
  const counts = { ok: 0, failed: 0 };
  let kills = 0;
  const load = Array.from({ length: 4 }, async () => {
    while (running) {
      const answer = await ask(gateway).catch((error: Error) => ({ status: 0, body: error.message }));
      if (answer.status === 200) counts.ok++;
      else {
        counts.failed++;
        // Who was in flight gets one clear answer.
        if (answer.status < 500 || !/"requestId"/.test(answer.body))
          unclear.push(`${answer.status} ${answer.body}`);
      }
    }
  });
  for (let kill = 0; kill < INSTANCE_KILLS; kill++) {
    await eventually('it answers', async () => (await ask(gateway)).status === 200);
    await pause(next() * 200);
    const victims = processesNaming(petrel.home).filter((candidate) => candidate !== pid && candidate > 1);
    const victim = victims[Math.floor(next() * victims.length)];
    try {
      if (victim === undefined) continue;
      process.kill(victim, 'SIGKILL');
      kills++;
    } catch {
      // It ended by itself meanwhile.
    }
  }
  await eventually('it answers after the last kill', async () => (await ask(gateway)).status === 200);
  running = false;
  await Promise.all(load);
  assert.deepEqual(unclear, []);
  assert.ok(counts.ok > 0);
  assert.ok(kills > INSTANCE_KILLS / 2, `only ${kills} kills hit`);
  assert.equal((await petrel.status()).pid, pid, 'the platform survived');
  const api = await petrel.api();
  const { items } = await api.list(FUNCTIONS, { labelSelector: `!${FUNCTION_LABELS.pool}` });
  assert.equal(items.length, 1);
  api.close();
  await petrel.stop();
  await eventually('no process is left', async () => processesNaming(petrel.home).length === 0, 15_000);
});
