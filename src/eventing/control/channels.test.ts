import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { conditionOf } from '../../kinds/conditions.ts';
import { CHANNELS, IN_MEMORY_CHANNELS, PARALLELS, SEQUENCES, SUBSCRIPTIONS } from '../../kube/refs.ts';
import { BASE, createWorld, type World } from './testing.ts';

async function world(t: TestContext): Promise<World> {
  const made = await createWorld();
  t.after(() => made.close());
  return made;
}

const SINK = { uri: 'http://sink.example.com/in' };
const REPLY = { uri: 'http://reply.example.com' };
const M = 'messaging.knative.dev/v1';
const channel = (name: string, kind = 'Channel') => ({ apiVersion: M, kind, name });
const to = (name: string) => ({ url: `${BASE}/channel/default/${name}` });

test('a Channel makes an InMemoryChannel and takes its address, its wishes and its subscribers', async (t) => {
  const { create, condition, engine, get, remove, eventually, until } = await world(t);
  await create(
    CHANNELS,
    'c',
    { delivery: { retry: 2, deadLetterSink: SINK } },
    { annotations: { 'eventing.petrel.dev/dedup-window': '1m' } },
  );
  const made = await condition(CHANNELS, 'c', 'True');
  assert.equal(made.status.address.url, to('c').url);
  assert.equal(made.status.deadLetterSinkUri, SINK.uri);
  assert.deepEqual(made.status.channel, { ...channel('c', 'InMemoryChannel'), namespace: 'default' });
  const backing = await get(IN_MEMORY_CHANNELS, 'c');
  assert.equal(backing.metadata.ownerReferences?.[0]?.uid, made.metadata.uid);
  assert.equal(engine.streams.get('channel/default/c')?.dedupMs, 60_000);
  assert.equal(engine.streams.get('channel/default/c')?.ttl, false);

  await create(SUBSCRIPTIONS, 's', { channel: channel('c'), subscriber: SINK, reply: REPLY });
  const subscription = await condition(SUBSCRIPTIONS, 's', 'True');
  assert.deepEqual(subscription.status.physicalSubscription, {
    subscriberUri: SINK.uri,
    replyUri: REPLY.uri,
    deadLetterSinkUri: SINK.uri,
  });
  const spec = engine.subscriptions.get('subscription/default/s');
  assert.equal(spec?.stream, 'channel/default/c');
  assert.deepEqual(spec?.subscriber, { url: SINK.uri });
  assert.deepEqual(spec?.reply, { url: REPLY.uri });
  assert.equal(spec?.terms.retry, 2, 'as the channel says');
  assert.equal(spec?.terms.deadLetter?.url, SINK.uri);
  const shown = await until(CHANNELS, 'c', (o) => o.status?.subscribers?.length === 1, 'with its subscriber');
  assert.deepEqual(shown.status.subscribers, [
    { uid: subscription.metadata.uid, observedGeneration: 1, ready: 'True' },
  ]);

  await remove(SUBSCRIPTIONS, 's');
  await until(CHANNELS, 'c', (o) => o.status?.subscribers === undefined, 'without subscribers');
  await remove(CHANNELS, 'c');
  // Nobody collects garbage in this test; the backing channel goes as it would.
  await remove(IN_MEMORY_CHANNELS, 'c');
  await eventually('nothing', () =>
    engine.streams.size + engine.subscriptions.size === 0 ? true : undefined,
  );
});

test('a Subscription says what it waits for', async (t) => {
  const { create, condition, engine } = await world(t);
  const ref = channel('next', 'InMemoryChannel');
  await create(SUBSCRIPTIONS, 's', { channel: channel('c', 'InMemoryChannel'), subscriber: { ref } });
  const first = await condition(SUBSCRIPTIONS, 's', 'Unknown ChannelReferenceFailed');
  assert.equal(
    conditionOf(first, 'ReferencesResolved')?.message,
    'Failed to get Spec.Channel or backing channel: inmemorychannels.messaging.knative.dev "c" not found',
  );
  await create(IN_MEMORY_CHANNELS, 'c', {});
  const second = await condition(SUBSCRIPTIONS, 's', 'False SubscriberResolveFailed');
  assert.match(
    conditionOf(second, 'ReferencesResolved')?.message ?? '',
    /^Failed to resolve spec\.subscriber: failed to get object default\/next: inmemorychannels/,
  );
  assert.equal(engine.subscriptions.size, 0);
  await create(IN_MEMORY_CHANNELS, 'next', {});
  await condition(SUBSCRIPTIONS, 's', 'True');
  assert.deepEqual(engine.subscriptions.get('subscription/default/s')?.subscriber, {
    ...to('next'),
  });
});

test('subscribers that stand in the channel itself', async (t) => {
  const { create, condition, engine, patch, eventually } = await world(t);
  const one = { uid: 'u-1', generation: 3, subscriberUri: SINK.uri, delivery: { retry: 4 } };
  await create(IN_MEMORY_CHANNELS, 'c', { subscribers: [one] });
  const { status } = await condition(IN_MEMORY_CHANNELS, 'c', 'True');
  assert.deepEqual(status.subscribers, [{ uid: 'u-1', observedGeneration: 3, ready: 'True' }]);
  const [spec] = engine.subscriptions.values();
  assert.deepEqual(
    [spec?.stream, spec?.subscriber?.url, spec?.terms.retry],
    ['channel/default/c', SINK.uri, 4],
  );
  await patch(IN_MEMORY_CHANNELS, 'c', { spec: { subscribers: null } });
  await eventually('none', () => (engine.subscriptions.size === 0 ? true : undefined));
});

test('a Channel of a kind that there is not says so', async (t) => {
  const { create, condition } = await world(t);
  const channelTemplate = { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'NatsJetStreamChannel' };
  await create(CHANNELS, 'c', { channelTemplate });
  const { status } = await condition(CHANNELS, 'c', 'False ChannelFailure');
  assert.match(JSON.stringify(status), /no matches for kind .*NatsJetStreamChannel/);
});

test('a name that somebody else has is not taken', async (t) => {
  const { create, condition } = await world(t);
  await create(IN_MEMORY_CHANNELS, 'c', {});
  await create(CHANNELS, 'c', {});
  const { status } = await condition(CHANNELS, 'c', 'False ChannelFailure');
  assert.match(JSON.stringify(status), /Channel \\"c\\" does not own InMemoryChannel \\"c\\"/);
});

test('a Sequence is channels and subscriptions one after the other', async (t) => {
  const { create, condition, engine, patch, get, client, eventually } = await world(t);
  const step = (n: number) => ({ uri: `http://step-${n}.example.com` });
  await create(SEQUENCES, 's', {
    steps: [step(0), { ...step(1), delivery: { retry: 9 } }, step(2)],
    reply: REPLY,
  });
  const { status } = await condition(SEQUENCES, 's', 'True');
  assert.equal(status.address.url, to('s-kn-sequence-0').url);
  assert.deepEqual(
    status.channelStatuses.map((one: { channel: { name: string }; ready: { status: string } }) => [
      one.channel.name,
      one.ready.status,
    ]),
    [0, 1, 2].map((n) => [`s-kn-sequence-${n}`, 'True']),
  );
  const spec = (n: number) => engine.subscriptions.get(`subscription/default/s-kn-sequence-${n}`);
  assert.deepEqual(
    [0, 1, 2].map((n) => [spec(n)?.subscriber?.url, spec(n)?.reply?.url, spec(n)?.terms.retry]),
    [
      [step(0).uri, to('s-kn-sequence-1').url, 0],
      [step(1).uri, to('s-kn-sequence-2').url, 9],
      [step(2).uri, REPLY.uri, 0],
    ],
  );
  await patch(SEQUENCES, 's', { spec: { steps: [step(0), step(7)] } });
  await eventually('the shorter one', async () => {
    const { items } = await client.list(SUBSCRIPTIONS, { namespace: 'default' });
    const channels = await client.list(IN_MEMORY_CHANNELS, { namespace: 'default' });
    return items.length === 2 && channels.items.length === 2 ? true : undefined;
  });
  await eventually('the other step', () =>
    spec(1)?.subscriber?.url === step(7).uri && spec(1)?.reply?.url === REPLY.uri ? true : undefined,
  );
  await condition(SEQUENCES, 's', 'True');
  assert.equal((await get(SEQUENCES, 's')).status.channelStatuses.length, 2);
});

test('a Parallel is a channel with a branch for each filter', async (t) => {
  const { create, condition, engine } = await world(t);
  const branch = (n: number) => ({
    filter: { uri: `http://filter-${n}.example.com` },
    subscriber: { uri: `http://branch-${n}.example.com` },
  });
  const everything = {
    subscriber: { uri: 'http://all.example.com' },
    reply: { uri: 'http://own.example.com' },
  };
  await create(PARALLELS, 'p', { branches: [branch(0), everything], reply: REPLY });
  const { status } = await condition(PARALLELS, 'p', 'True');
  assert.equal(status.address.url, to('p-kn-parallel').url);
  assert.equal(status.ingressChannelStatus.channel.name, 'p-kn-parallel');
  assert.equal(status.branchStatuses.length, 2);
  assert.equal(status.branchStatuses[0].filterSubscriptionStatus.ready.status, 'True');
  const spec = (name: string) => {
    const { stream, subscriber, reply } = engine.subscriptions.get(`subscription/default/${name}`) ?? {};
    return [stream, subscriber?.url, reply?.url];
  };
  const parallel = 'channel/default/p-kn-parallel';
  assert.deepEqual(spec('p-kn-parallel-filter-0'), [
    parallel,
    branch(0).filter.uri,
    to('p-kn-parallel-0').url,
  ]);
  assert.deepEqual(spec('p-kn-parallel-0'), [`${parallel}-0`, branch(0).subscriber.uri, REPLY.uri]);
  assert.deepEqual(spec('p-kn-parallel-filter-1'), [parallel, to('p-kn-parallel-1').url, undefined]);
  assert.deepEqual(spec('p-kn-parallel-1'), [
    `${parallel}-1`,
    everything.subscriber.uri,
    everything.reply.uri,
  ]);
});
