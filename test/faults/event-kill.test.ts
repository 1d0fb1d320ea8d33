/**
 * kill -9 of the whole platform at random moments while events are accepted and delivered, and of functions while they work: whatever was
 * acknowledged is delivered to every trigger. `PETREL_FAULT_KILLS` sets how often, `PETREL_FAULT_SEED` repeats a run's moments.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { eventLoad } from '../lib/event-load.ts';
import { eventually, Petrel, Scratch } from '../lib/platform.ts';
import { seeded } from '../lib/random.ts';

const SEED = Number(process.env.PETREL_FAULT_SEED ?? Date.now() % 1_000_000);
const KILLS = Number(process.env.PETREL_FAULT_KILLS ?? 12);
const CLIENTS = 8;
/** How long the platform may need to hand over what is left after the last kill, ms. */
const REST_MS = 60_000;

/** The two ways to a subscriber. */
const WAYS = ['function', 'uri'] as const;
type Way = (typeof WAYS)[number];

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
/** How often each event came, by way and id. */
const came: Record<Way, Map<string, number>> = { function: new Map(), uri: new Map() };
let calls = 0;
/** How many functions are still to die. */
let deaths = 0;
/** Where events arrive in the end: from the function, which tells of each, and from the trigger with an address. */
const sink = createServer((incoming, response) => {
  incoming.resume();
  incoming.on('end', () => {
    const way = (incoming.url ?? '').slice(1) as Way;
    const id = String(incoming.headers['ce-id']);
    // Some are tried again, so that kills meet every kind of change.
    const refused = way === 'uri' && ++calls % 20 === 0;
    const dies = way === 'function' && deaths > 0;
    if (dies) deaths--;
    // One that dies has done its work, or not.
    if (!refused && (!dies || deaths % 2 === 0)) came[way].set(id, (came[way].get(id) ?? 0) + 1);
    response.writeHead(refused ? 503 : 202).end(dies ? 'die' : '');
  });
});
after(async () => {
  await petrel.stop();
  sink.closeAllConnections();
  await new Promise((resolve) => sink.close(resolve));
  scratch.dispose();
});

test(`acknowledged events outlive ${KILLS} kills of the platform (seed ${SEED})`, async (t) => {
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  const target = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  scratch.write({
    'work.mjs': `export default { async fetch(request) {
      const headers = { 'ce-id': request.headers.get('ce-id') };
      const answer = await fetch('${target}/function', { method: 'POST', headers });
      if ((await answer.text()) === 'die') process.kill(process.pid, 'SIGKILL');
      return new Response(null, { status: 202 });
    } };`,
  });
  let { gateway, pid } = await petrel.up();
  await petrel.deploy(scratch.path('work.mjs'));
  for (const to of ['work', `${target}/uri`])
    await petrel.json([
      ...['trigger', 'create', to === 'work' ? 'work' : 'uri', '--to', to],
      ...['--retry', '30', '--backoff', 'PT0.05S'],
    ]);
  // What came before a trigger is none of its business.
  await eventually('the triggers are ready', async () =>
    (await petrel.json<{ ready: string }[]>(['trigger', 'list'])).every(({ ready }) => ready === 'True'),
  );
  const load = eventLoad(() => gateway, 'default/default');
  await eventually('the broker takes events', async () => (await load.send('first')) === 202);

  const next = seeded(SEED);
  load.start(CLIENTS);
  for (let kill = 0; kill < KILLS; kill++) {
    deaths++;
    await new Promise((resolve) => setTimeout(resolve, next() * 500));
    process.kill(pid, 'SIGKILL');
    ({ gateway, pid } = await petrel.up('--gateway', gateway));
  }
  await eventually('events are taken after the last start', async () => (await load.send('last')) === 202);
  await load.stop();

  const { acknowledged } = load;
  const missing = (way: Way) => [...acknowledged].filter((id) => !came[way].has(id));
  try {
    await eventually(
      'everything acknowledged is delivered on both ways',
      async () => WAYS.every((way) => missing(way).length === 0),
      REST_MS,
    );
  } catch {
    assert.fail(
      `lost: ${WAYS.map((way) => `${way} ${missing(way).length} (${missing(way).slice(0, 10).join(' ')})`).join(', ')}\n${(await petrel.run(['event', 'history', '--id', missing('function')[0] ?? missing('uri')[0] ?? ''])).stdout}\n${(await petrel.run(['dlq', 'list'])).stdout.slice(0, 2000)}${petrel.log()}`,
    );
  }
  assert.ok(acknowledged.size > KILLS * CLIENTS, `only ${acknowledged.size} were acknowledged`);
  const again = WAYS.map(
    (way) => `${[...came[way].values()].reduce((sum, count) => sum + count - 1, 0)} calls more by ${way}`,
  );
  t.diagnostic(`${acknowledged.size} acknowledged, 0 lost, ${again.join(', ')}`);
});
