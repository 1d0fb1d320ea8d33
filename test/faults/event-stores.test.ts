/**
 * kill -9 of the server that keeps a Broker's events, and of the platform, at random moments while events are accepted and delivered:
 * whatever was acknowledged is delivered. `PETREL_FAULT_KILLS` sets how often, `PETREL_FAULT_SEED` repeats a run's moments.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { farBroker, STORES } from '../lib/brokers/stores.ts';
import { eventLoad } from '../lib/event-load.ts';
import { eventually, Petrel, Scratch } from '../lib/platform.ts';
import { seeded } from '../lib/random.ts';

const SEED = Number(process.env.PETREL_FAULT_SEED ?? Date.now() % 1_000_000);
const KILLS = Number(process.env.PETREL_FAULT_KILLS ?? 4);
const PRODUCERS = 8;
/** How long the platform may need to hand over what is left after the last kill, ms. */
const REST_MS = 60_000;
/** Accepted between kills, at least: one that meets no load says nothing. */
const BETWEEN = 20;

/** Who is killed: mostly the server, then the platform, then the platform while there is no server. */
const VICTIMS = ['server', 'server', 'server', 'platform', 'both'] as const;

for (const store of STORES) {
  const server = await store.start();
  if (typeof server === 'string') {
    test(store.name, { skip: server }, () => {});
    continue;
  }
  test(`acknowledged events of class ${store.name} outlive ${KILLS} kills (seed ${SEED})`, async (t) => {
    const scratch = new Scratch();
    const petrel = new Petrel(scratch.path('h'));
    const came = new Map<string, number>();
    let calls = 0;
    const sink = createServer((incoming, response) => {
      incoming.resume();
      incoming.on('end', () => {
        // Some are tried again, so that kills meet every kind of change.
        const refused = ++calls % 20 === 0;
        const id = String(incoming.headers['ce-id']);
        if (!refused) came.set(id, (came.get(id) ?? 0) + 1);
        response.writeHead(refused ? 503 : 202).end();
      });
    });
    after(async () => {
      await petrel.stop();
      await server.stop();
      sink.closeAllConnections();
      await new Promise((resolve) => sink.close(resolve));
      scratch.dispose();
    });
    await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
    const target = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`;
    scratch.write({ 'broker.yaml': farBroker(store, server) });
    let { gateway, pid } = await petrel.up();
    const applied = await petrel.run(['deploy', scratch.path('broker.yaml')]);
    assert.equal(applied.code, 0, applied.stderr + applied.stdout);
    await petrel.json([
      ...['trigger', 'create', 'uri', '--broker', 'far', '--to', target],
      ...['--retry', '30', '--backoff', 'PT0.05S'],
    ]);
    await eventually('the trigger is ready', async () =>
      (await petrel.json<{ ready: string }[]>(['trigger', 'list'])).every(({ ready }) => ready === 'True'),
    );
    const load = eventLoad(() => gateway, 'default/far');
    await eventually('the broker takes events', async () => (await load.send('first')) === 202);

    const next = seeded(SEED);
    const killPlatform = () => process.kill(pid, 'SIGKILL');
    const startPlatform = async () => {
      ({ gateway, pid } = await petrel.up('--gateway', gateway));
    };
    const count = { server: 0, platform: 0 };
    load.start(PRODUCERS);
    for (let kill = 0; kill < KILLS; kill++) {
      const before = load.acknowledged.size;
      await eventually(
        `events are taken before kill ${kill}`,
        async () => load.acknowledged.size >= before + BETWEEN,
        REST_MS,
      );
      await new Promise((resolve) => setTimeout(resolve, next() * 500));
      const victim = VICTIMS[kill % VICTIMS.length] ?? 'server';
      if (victim !== 'platform') {
        await server.kill();
        count.server++;
      }
      if (victim !== 'server') {
        killPlatform();
        count.platform++;
        await startPlatform();
      }
      if (victim !== 'platform') await server.start();
    }
    await eventually(
      'events are taken after the last start',
      async () => (await load.send('last')) === 202,
      REST_MS,
    );
    await load.stop();

    const { acknowledged } = load;
    const missing = () => [...acknowledged].filter((id) => !came.has(id));
    await eventually(
      'everything acknowledged is delivered',
      async () => missing().length === 0,
      REST_MS,
    ).catch(async () => {
      const lost = missing();
      const { stdout } = await petrel.run(['event', 'history', '--broker', 'far', '--id', lost[0] ?? '']);
      assert.fail(
        `lost ${lost.length} of ${acknowledged.size} (${lost.slice(0, 10).join(' ')})\n${stdout}\n${petrel.log()}\n${server.output().slice(-3000)}`,
      );
    });
    const again = [...came.values()].reduce((sum, times) => sum + times - 1, 0);
    t.diagnostic(
      `${store.name}: ${acknowledged.size} acknowledged over ${count.server} kills of the server and ${count.platform} of the platform, 0 lost, ${again} delivered again`,
    );
  });
}
