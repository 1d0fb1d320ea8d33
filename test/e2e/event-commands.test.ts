/** The commands about events on the real platform: sent, followed, found with their path, delivered again, and the dead letters of both kinds. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, Petrel, ROOT, Scratch } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));

interface Path {
  offset: number;
  event: { attributes: Record<string, string>; data?: string };
  steps: { subscription: string; what: string; status?: number }[];
}
interface Letter {
  kind: string;
  id: string;
  subscription: string;
  status: number;
  reason: string;
  event: { attributes: Record<string, string>; data: string };
}

before(async () => {
  await petrel.up();
  scratch.write({
    'ship.mjs': `export default { async fetch(request) {
      const text = await request.text();
      if (text.includes('bad')) return new Response('no such order', { status: 422 });
      return new Response(null, { status: 202 });
    } };`,
  });
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

test('where there is nothing of events, commands say so and nothing is made', async () => {
  assert.equal((await petrel.refused(['event', 'tail'])).code, 'NotFound');
  assert.equal((await petrel.refused(['event', 'history'])).code, 'NotFound');
  assert.equal((await petrel.refused(['event', 'send', '--data', 'x'])).code, 'NotFound');
  assert.deepEqual(await petrel.json(['event', 'streams']), {});
  assert.deepEqual(await petrel.json(['dlq', 'list', '-A']), []);
  assert.deepEqual(await petrel.json(['dlq', 'redrive', '--all']), { count: 0 });
  assert.equal((await petrel.refused(['dlq', 'show', 'e1'])).code, 'NotFound');
  assert.equal(existsSync(join(petrel.home, 'events')), false);
});

test('what is typed wrongly is told', async () => {
  for (const args of [
    ['event', 'sent'],
    ['event', 'history', '--since', 'yesterday'],
    ['event', 'tail', '--filter', 'cron: * * * * *'],
    ['event', 'replay'],
    ['event', 'send', 'No Name'],
    ['event', 'send', '--attribute', 'Upper=1'],
    ['dlq', 'show', '12'],
    ['dlq', 'purge'],
    ['source', 'create', 'x', '--kind', 'webhok', '--to', 'broker/default'],
    ['source', 'create', 'x', '--kind', 'timer', '--set', 'schedule=99 * * * *', '--to', 'broker/default'],
    ['deploy', scratch.path('ship.mjs'), '--on', 'cron: 99 * * * *'],
    ['deploy', scratch.path('ship.mjs'), '--on', 'type=com.*.paid'],
    ['deploy', scratch.path('ship.mjs'), '--on', 'cesql: INT(amount'],
  ])
    assert.equal((await petrel.refused(args)).code, 'InvalidArgument', args.join(' '));
});

test('nothing was made of mistakes', async () => {
  assert.deepEqual(await petrel.json(['list']), []);
  assert.deepEqual(await petrel.json(['source', 'list']), []);
});

test('what a new function is called for is said when it works, and where requests go', async () => {
  const wishes = ['--on', 'type=never', '--on', 'webhook: unsigned=true'];
  const { on } = await petrel.json<{ on: { name: string; ready: boolean; address?: string }[] }>([
    'deploy',
    scratch.path('ship.mjs'),
    '--name',
    'called',
    ...wishes,
  ]);
  assert.deepEqual(
    on.map(({ name, ready, address }) => [name, ready, address?.replace(/^.*\/events/, '/events')]),
    [
      ['called-default', true, undefined],
      ['called-webhook', true, '/events/source/default/called-webhook'],
    ],
  );
  const { calledBy } = await petrel.json<{ calledBy: { kind: string; name: string }[] }>([
    'describe',
    'called',
  ]);
  assert.deepEqual(
    calledBy.map(({ kind, name }) => `${kind} ${name}`),
    ['trigger called-default', 'source called-webhook'],
  );
  assert.equal((await petrel.refused(['trigger', 'pause', 'nobody'])).code, 'NotFound');
});

test('sent, followed, found, delivered again', async () => {
  await petrel.deploy(scratch.path('ship.mjs'));
  await petrel.json([
    'trigger',
    'create',
    'ship',
    '--filter',
    'type=com.shop.*',
    '--to',
    'ship',
    '--retry',
    '0',
  ]);
  await eventually('the trigger is ready', async () =>
    (await petrel.json<{ ready: string }[]>(['trigger', 'list'])).every(({ ready }) => ready === 'True'),
  );
  await eventually('the broker takes events', async () => {
    const { code } = await petrel.run(['event', 'send', '--type', 'first', '--id', '0']);
    return code === 0;
  });

  const tail = spawn(
    join(ROOT, 'petrel'),
    ['event', 'tail', '--since', '1h', '--type', 'com.shop.*', '--limit', '2', '-o', 'json'],
    { env: { ...process.env, PETREL_HOME: petrel.home }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let followed = '';
  tail.stdout.setEncoding('utf8').on('data', (part) => {
    followed += part;
  });
  const ended = new Promise((resolve) => tail.once('close', resolve));

  const sent = await petrel.json<{ id: string; stream: string }>([
    ...['event', 'send', '--type', 'com.shop.paid', '--data', '{"order":7}', '--subject', 'a b'],
    ...['--attribute', 'partitionkey=x'],
  ]);
  assert.equal(sent.stream, 'broker/default/default');
  scratch.write({ 'data.txt': 'from a file' });
  await petrel.json([
    'event',
    'send',
    '--type',
    'other',
    '--id',
    '2',
    '--data',
    `@${scratch.path('data.txt')}`,
  ]);
  await petrel.json(['event', 'send', 'default', '--type', 'com.shop.sent', '--id', '3']);

  assert.equal(await ended, 0);
  const events = followed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Path['event'] & { offset: number });
  assert.deepEqual(
    events.map(({ offset, attributes, data }) => [offset, attributes.type, attributes.subject, data]),
    [
      [1, 'com.shop.paid', 'a b', '{"order":7}'],
      [3, 'com.shop.sent', undefined, undefined],
    ],
  );
  assert.equal(events[0]?.attributes.partitionkey, 'x');
  assert.equal(events[0]?.attributes.datacontenttype, 'application/json');

  const path = (id: string) => petrel.json<Path[]>(['event', 'history', '--id', id]);
  const deliveries = async () =>
    (await path(sent.id))[0]?.steps.filter(
      ({ subscription, what }) => subscription === 'trigger/default/ship' && what === 'delivered',
    ).length ?? 0;
  await eventually('it is delivered', async () => (await deliveries()) === 1);
  assert.deepEqual(
    (await petrel.json<Path[]>(['event', 'history', '--type', '*', '--limit', '2'])).map(
      ({ offset }) => offset,
    ),
    [2, 3],
  );
  const [other] = await path('2');
  assert.equal(other?.event.data, 'from a file');
  assert.match(
    (await petrel.run(['event', 'history', '--id', '2'])).stdout,
    /accepted[\s\S]*wanted by nobody/,
  );
  assert.equal((await petrel.json<Path[]>(['event', 'history', '--cesql', "subject = 'a b'"])).length, 1);

  assert.deepEqual(await petrel.json(['event', 'replay', '--id', sent.id, '--to', 'trigger/ship']), {
    count: 1,
  });
  await eventually('it is delivered again', async () => (await deliveries()) === 2);
  assert.equal((await petrel.refused(['event', 'replay', '--all', '--to', 'nobody'])).code, 'NotFound');

  const streams = await petrel.json<Record<string, { events: number; accepted: number }>>([
    'event',
    'streams',
  ]);
  assert.equal(streams['broker/default/default']?.events, 4);
});

test('a dead event is listed, shown whole, tried again and thrown away; also after a restart', async () => {
  await petrel.json(['event', 'send', '--type', 'com.shop.paid', '--id', 'b1', '--data', '{"bad":1}']);
  const letters = () => petrel.json<Letter[]>(['dlq', 'list']);
  const [letter] = await eventually('it is dead', async () => {
    const found = await letters();
    return found.length > 0 ? found : undefined;
  });
  assert.equal(letter?.kind, 'event');
  assert.equal(letter.subscription, 'trigger/default/ship');
  assert.equal(letter.status, 422);
  assert.equal(letter.event.attributes.id, 'b1');
  assert.match(
    (await petrel.run(['dlq', 'list'])).stdout,
    new RegExp(`${letter.id} +trigger/ship +com.shop.paid`),
  );
  assert.match(
    (await petrel.run(['dlq', 'show', letter.id])).stdout,
    /no such order[\s\S]*type: +com.shop.paid[\s\S]*{"bad":1}/,
  );
  assert.deepEqual(await petrel.json(['dlq', 'list', '-n', 'elsewhere']), []);

  process.kill((await petrel.status()).pid, 'SIGKILL');
  await petrel.up();
  assert.deepEqual((await letters())[0]?.event, letter.event);
  assert.deepEqual(await petrel.json(['dlq', 'redrive', letter.id]), { count: 1 });
  const [again] = await eventually('it is dead again', async () => {
    const found = await letters();
    return found.length === 1 && found[0]?.id !== letter.id ? found : undefined;
  });
  assert.deepEqual(await petrel.json(['dlq', 'redrive', 'trigger/ship']), { count: 1 });
  await eventually('and again', async () => {
    const found = await letters();
    return found.length === 1 && found[0]?.id !== again?.id;
  });
  assert.deepEqual(await petrel.json(['dlq', 'purge', 'trigger/default/ship']), { count: 1 });
  assert.deepEqual(await letters(), []);
  assert.equal((await petrel.refused(['dlq', 'redrive', letter.id])).code, 'NotFound');
});
