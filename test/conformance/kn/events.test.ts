/** The real `kn` with what it can do for events: brokers, triggers, channels, subscriptions, sources, event types. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BROKERS } from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import { findCommand, RealCommand } from '../../lib/real-command.ts';
import { destination, EventWorld, fullEvent } from '../eventing/world.ts';

const KN = findCommand('kn');
const MISSING = 'no kn on PATH; github.com/knative/client has releases, and $KN may name one';

describe('kn session: events', { skip: KN === undefined ? MISSING : false }, () => {
  const world = new EventWorld();
  before(async () => {
    if (KN !== undefined) await world.start();
  });
  after(async () => {
    if (KN !== undefined) await world.stop();
  });

  const { ok: kn, refused } = new RealCommand(
    'kn',
    KN ?? '',
    () => {
      const { home } = world.petrel;
      return { env: { HOME: home, KUBECONFIG: join(home, 'kubeconfig') } };
    },
    () => world.petrel.log(),
  );
  /** Resolves when what kn prints is as wanted. */
  const says = (wanted: RegExp, ...args: string[]) =>
    eventually(`kn ${args.join(' ')} says ${wanted}`, async () => wanted.test(await kn(...args)));

  test('what sources and channels there can be', async () => {
    const sources = await kn('source', 'list-types');
    for (const kind of [
      'PingSource',
      'ApiServerSource',
      'ContainerSource',
      'SinkBinding',
      'KafkaSource',
      'EventSource',
    ])
      assert.match(sources, new RegExp(`^${kind} `, 'm'));
    assert.match(
      await kn('channel', 'list-types'),
      /^InMemoryChannel +inmemorychannels\.messaging\.knative\.dev/m,
    );
    assert.match(await kn('source', 'list'), /No sources found/);
  });

  test('broker: create, describe, update, list', async () => {
    const out = await kn(
      ...['broker', 'create', 'shop', '--class', 'Petrel', '--dl-sink', 'http://dead.example.com'],
      ...['--retry', '5', '--timeout', 'PT10S', '--backoff-policy', 'linear', '--backoff-delay', 'PT1S'],
      ...['--retry-after-max', 'PT3S'],
    );
    assert.match(out, /Broker 'shop' successfully created in namespace 'default'/);
    await says(/\+\+ Ready/, 'broker', 'describe', 'shop');
    const text = await kn('broker', 'describe', 'shop');
    assert.match(text, /URL: +http:\/\/\S+\/events\/broker\/default\/shop/);
    assert.match(text, /broker\.class=Petrel/);
    await kn('broker', 'update', 'shop', '--retry', '7');
    const { spec } = await world.get(BROKERS, 'shop');
    assert.deepEqual(
      [spec.delivery.retry, spec.delivery.timeout, spec.delivery.deadLetterSink.uri],
      [7, 'PT10S', 'http://dead.example.com'],
    );
    assert.match(await kn('broker', 'list'), /^shop +http:\S+ +\S+ +7 OK \/ 7 +True/m);
    assert.match(await refused('broker', 'create', 'shop'), /already exists/);
    assert.match(
      await refused('broker', 'create', 'other', '--backoff-delay', 'soon'),
      /invalid value: soon: spec\.delivery\.backoffDelay/,
    );
  });

  test('trigger: create with filters, describe, update, list; and events go where it says', async () => {
    const sink = await world.receiver();
    const type = fullEvent('').type;
    const created = await kn(
      ...[
        'trigger',
        'create',
        'orders',
        '--broker',
        'shop',
        '--filter',
        `type=${type}`,
        '--filter',
        'subject=topic',
      ],
      ...['--sink', destination(sink).uri],
    );
    assert.match(created, /Trigger 'orders' successfully created/);
    await says(/\+\+ Ready/, 'trigger', 'describe', 'orders');
    await world.produce(await world.address(BROKERS, 'shop'), fullEvent('by-kn'));
    await world.gotAll(sink, ['by-kn']);
    await kn('trigger', 'update', 'orders', '--filter', 'subject-', '--sink', 'broker:shop');
    const text = await kn('trigger', 'describe', 'orders');
    assert.match(text, /Broker: +shop/);
    assert.doesNotMatch(text, /subject/);
    assert.match(await kn('trigger', 'list'), /^orders +shop +broker:shop +\S+ +\S+ OK/m);
    assert.match(
      await refused(
        'trigger',
        'create',
        'bad',
        '--broker',
        'shop',
        '--filter',
        'Type=x',
        '--sink',
        'http://x',
      ),
      /invalid key name "Type"/,
    );
  });

  test('channel and subscription: create, describe, update, list', async () => {
    await kn('channel', 'create', 'pipe');
    await kn('channel', 'create', 'other', '--type', 'messaging.knative.dev:v1:InMemoryChannel');
    await says(/\+\+ Ready/, 'channel', 'describe', 'pipe');
    assert.match(await kn('channel', 'describe', 'pipe'), /Type: +InMemoryChannel/);
    assert.match(await kn('channel', 'list'), /^pipe +InMemoryChannel +http:\S+ +\S+ +True/m);
    await kn(
      ...['subscription', 'create', 'tap', '--channel', 'pipe', '--sink', 'http://x.example.com'],
      ...['--sink-reply', 'channel:other', '--sink-dead-letter', 'broker:shop'],
    );
    await says(/\+\+ Ready/, 'subscription', 'describe', 'tap');
    await kn('subscription', 'update', 'tap', '--sink', 'channel:other');
    assert.match(
      await kn('subscription', 'list'),
      /^tap +Channel:pipe +channel:other +channel:other +broker:shop/m,
    );
  });

  test('sources: create, describe, update, list', async () => {
    await kn(
      'source',
      'ping',
      'create',
      'tick',
      '--schedule',
      '*/2 * * * *',
      '--data',
      'hi',
      '--sink',
      'broker:shop',
      '--ce-override',
      'region=eu',
    );
    assert.match(await kn('source', 'ping', 'describe', 'tick'), /region: +eu/);
    await kn('source', 'ping', 'update', 'tick', '--schedule', '@hourly');
    assert.match(await kn('source', 'ping', 'list'), /^tick +@hourly +Broker:shop/m);
    assert.match(
      await refused('source', 'ping', 'create', 'bad', '--schedule', 'often', '--sink', 'broker:shop'),
      /spec\.schedule/,
    );
    await kn(
      'source',
      'apiserver',
      'create',
      'changes',
      '--resource',
      'ConfigMap:v1',
      '--mode',
      'Resource',
      '--sink',
      'broker:shop',
    );
    assert.match(await kn('source', 'apiserver', 'describe', 'changes'), /EventMode: +Resource/);
    await kn(
      'source',
      'binding',
      'create',
      'bound',
      '--subject',
      'Deployment:apps/v1:web',
      '--sink',
      'broker:shop',
    );
    assert.match(await kn('source', 'binding', 'describe', 'bound'), /Deployment/);
    await kn('source', 'container', 'create', 'beat', '--image', 'dev.local/beat', '--sink', 'broker:shop');
    const all = await kn('source', 'list');
    for (const name of ['tick', 'changes', 'bound', 'beat']) assert.match(all, new RegExp(`^${name} `, 'm'));
    for (const [kind, name] of [
      ['ping', 'tick'],
      ['apiserver', 'changes'],
      ['binding', 'bound'],
      ['container', 'beat'],
    ])
      await kn('source', kind ?? '', 'delete', name ?? '');
  });

  test('eventtype: create, describe, list; types that come are there by themselves', async () => {
    await kn(
      'eventtype',
      'create',
      'order',
      '--type',
      'com.shop.order',
      '--source',
      '/shop',
      '--broker',
      'shop',
    );
    await says(/\+\+ Ready/, 'eventtype', 'describe', 'order');
    const list = await kn('eventtype', 'list');
    assert.match(list, /^order +com\.shop\.order +\/shop +shop +\S+ +True/m);
    await says(/com\.example\.FullEvent/, 'eventtype', 'list');
    await kn('eventtype', 'delete', 'order');
  });

  test('delete', async () => {
    await kn('trigger', 'delete', 'orders');
    await kn('subscription', 'delete', 'tap');
    await kn('channel', 'delete', 'pipe');
    await kn('broker', 'delete', 'shop', '--wait');
    assert.match(await kn('broker', 'list'), /No brokers found/);
    assert.match(await refused('trigger', 'describe', 'orders'), /not found/);
  });
});
