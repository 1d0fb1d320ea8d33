/** Port of knative/eventing `test/rekt/{channel,sequence,parallel}_test.go` and of the old suite `test/{conformance,e2e}` on channels; named as there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import {
  CHANNELS,
  CONFIGMAPS,
  IN_MEMORY_CHANNELS,
  PARALLELS,
  SEQUENCES,
  SUBSCRIPTIONS,
} from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import {
  attributesOf,
  destination,
  dropFirst,
  EventWorld,
  fullEvent,
  NAMESPACE,
  type Receiver,
  type Responder,
  replyWith,
} from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const M = 'messaging.knative.dev/v1';
type ChannelKind = 'Channel' | 'InMemoryChannel';
const reference = (name: string, kind: ChannelKind = 'InMemoryChannel') => ({ apiVersion: M, kind, name });

/** A channel that is ready, and its address. */
async function channel(
  spec: object = {},
  kind: ChannelKind = 'InMemoryChannel',
  metadata: object = {},
): Promise<[name: string, url: string]> {
  const name = world.name('channel');
  const resource = kind === 'Channel' ? CHANNELS : IN_MEMORY_CHANNELS;
  await world.create(resource, name, spec, metadata);
  return [name, await world.address(resource, name)];
}

async function subscription(to: object, subscriber: object, spec: object = {}): Promise<string> {
  const name = world.name('subscription');
  await world.create(SUBSCRIPTIONS, name, { channel: to, subscriber, ...spec });
  await world.ready(SUBSCRIPTIONS, name);
  return name;
}

describe('TestChannelConformance: Knative Channel Specification - Control Plane', () => {
  let name = '';
  before(async () => {
    [name] = await channel({ delivery: { deadLetterSink: { uri: 'http://dls.example.com' } } });
  });
  const definition = async (): Promise<UntypedObject> => {
    const { code, stdout } = await world.petrel.run(['version']);
    assert.equal(code, 0, stdout);
    const crds = {
      group: 'apiextensions.k8s.io',
      version: 'v1',
      plural: 'customresourcedefinitions',
      kind: 'CustomResourceDefinition',
      namespaced: false,
    };
    return world.client.get(crds, undefined, 'inmemorychannels.messaging.knative.dev');
  };
  test('Each channel is namespaced', async () => {
    assert.equal((await definition()).spec.scope, 'Namespaced');
  });
  test('label of messaging.knative.dev/subscribable: true', async () => {
    assert.equal((await definition()).metadata.labels?.['messaging.knative.dev/subscribable'], 'true');
  });
  test('label of duck.knative.dev/addressable: true', async () => {
    assert.equal((await definition()).metadata.labels?.['duck.knative.dev/addressable'], 'true');
  });
  test('The category `channel`', async () => {
    assert.ok((await definition()).spec.names.categories.includes('channel'));
  });
  test('each instance SHOULD have annotation: messaging.knative.dev/subscribable: v1', async () => {
    const { metadata } = await world.get(IN_MEMORY_CHANNELS, name);
    assert.equal(metadata.annotations?.['messaging.knative.dev/subscribable'], 'v1');
  });
  test('Each channel CRD MUST contain an array of subscribers: spec.subscribers. Each channel CRD MUST have a status subresource which contains [subscribers (as an array)]. The ready field of the subscriber identified by its uid MUST be set to True when the subscription is ready to be processed.', async () => {
    const [own] = await channel();
    const sub = await subscription(reference(own), { uri: 'http://example.com' });
    const { metadata } = await world.get(SUBSCRIPTIONS, sub);
    const { spec, status } = await world.until(
      IN_MEMORY_CHANNELS,
      own,
      'shows its subscriber',
      (object) => object.spec.subscribers?.length === 1 && object.status.subscribers?.length === 1,
    );
    assert.equal(spec.subscribers[0].subscriberUri, 'http://example.com');
    assert.equal(spec.subscribers[0].uid, metadata.uid);
    assert.deepEqual(status.subscribers, [{ uid: metadata.uid, observedGeneration: 1, ready: 'True' }]);
    await world.remove(SUBSCRIPTIONS, sub);
    await world.until(
      IN_MEMORY_CHANNELS,
      own,
      'has no subscriber',
      ({ spec: now }) => now.subscribers === undefined,
    );
  });
  test('observedGeneration MUST be populated if present', async () => {
    const { status, metadata } = await world.ready(IN_MEMORY_CHANNELS, name);
    assert.equal(status.observedGeneration, metadata.generation);
  });
  test('SHOULD have in status conditions (as an array)', async () => {
    assert.ok(conditionOf(await world.get(IN_MEMORY_CHANNELS, name), 'Ready'));
  });
  test('When the channel instance is ready to receive events status.address.url MUST be populated.', async () => {
    assert.match(await world.address(IN_MEMORY_CHANNELS, name), /^http:/);
  });
  test('Set the Channel status.deadLetterSinkURI if there is a valid spec.delivery.deadLetterSink defined', async () => {
    assert.equal(
      (await world.get(IN_MEMORY_CHANNELS, name)).status.deadLetterSinkUri,
      'http://dls.example.com',
    );
  });
});

describe('TestChannelConformance: Knative Channel Specification - Data Plane', () => {
  let url = '';
  let sink: Receiver;
  before(async () => {
    sink = await world.receiver();
    const [name, address] = await channel();
    url = address;
    await subscription(reference(name), destination(sink));
  });
  const minimal = { id: 'x', type: 'sometype', source: '200.request.sender.test.knative.dev' };
  test('Every Channel MUST expose either an HTTP or HTTPS endpoint.', () => assert.match(url, /^https?:/));
  test('The endpoint(s) MUST conform to 0.3 or 1.0 CloudEvents specification.', () =>
    world.produce(url, fullEvent('v1')));
  test('The Channel MUST NOT perform an upgrade of the passed in version. It MUST emit the event with the same version.', async () => {
    await world.produce(url, fullEvent('version'));
    await world.gotAll(sink, ['version']);
    assert.equal(
      sink.accepted.find(({ event }) => event?.id === 'version')?.headers['ce-specversion'],
      '1.0',
    );
  });
  test('It MUST support Binary Content Mode of the HTTP Protocol Binding for CloudEvents.', async () => {
    for (const datacontenttype of [
      'application/vnd.apache.thrift.binary',
      'application/xml',
      'application/json',
    ])
      await world.produce(url, { ...minimal, id: datacontenttype, datacontenttype, data: '{}' });
  });
  test('It MUST support Structured Content Mode of the HTTP Protocol Binding for CloudEvents.', async () => {
    const event = { specversion: '1.0', ...minimal, id: '2222-4444-6666', data: { message: 'helloworld' } };
    const headers = { 'content-type': 'application/cloudevents+json' };
    assert.equal(
      (await world.request(url, { method: 'POST', headers, body: JSON.stringify(event) })).status,
      202,
    );
    await world.gotAll(sink, [event.id]);
  });
  test('If a Channel receives an event queueing request and is unable to parse a valid CloudEvent, then it MUST reject the request.', async () => {
    for (const missing of ['id', 'type', 'source', 'specversion']) {
      const headers: Record<string, string> = { 'ce-specversion': '1.0' };
      for (const [name, value] of Object.entries(minimal)) headers[`ce-${name}`] = value;
      delete headers[`ce-${missing}`];
      assert.equal((await world.request(url, { method: 'POST', headers, body: '{}' })).status, 400, missing);
    }
  });
  // Without an assertion upstream (`todo`), and asserted here.
  test('Channels MUST reject all HTTP event queueing requests with a method other than POST responding with HTTP status code 405 Method Not Supported.', async () => {
    for (const method of ['GET', 'PUT', 'DELETE'])
      assert.equal((await world.request(url, { method })).status, 405);
  });
  test('If a Channel receives a request that does not correspond to a known channel, then it MUST respond with a 404 Not Found.', async () => {
    assert.equal((await world.send(`${url}-none`, minimal)).status, 404);
  });
  test('The Channel MUST respond with 202 Accepted if the event queueing request is accepted by the server.', async () => {
    assert.equal((await world.send(url, { ...minimal, id: 'ok' })).status, 202);
  });
  test('All CloudEvent attributes, including the data attribute, MUST be received at the subscriber identical to how they were received by the Channel.', async () => {
    const sent = fullEvent('whole');
    const { data, ...attributes } = sent;
    await world.produce(url, sent);
    await world.gotAll(sink, ['whole']);
    const got = sink.accepted.find(({ event }) => event?.id === 'whole');
    assert.deepEqual(attributesOf(got?.event, ...Object.keys(attributes)), attributes);
    assert.equal(got?.body, data);
  });
  test('The Channel MUST recognize and pass through all tracing information from sender to subscribers using W3C Tracecontext.', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await world.produce(url, { ...fullEvent('traced'), traceparent });
    await world.gotAll(sink, ['traced']);
    const got = sink.accepted.find(({ event }) => event?.id === 'traced');
    assert.match(String(got?.headers.traceparent), /^00-0af7651916cd43dd8448eb211c80319c-/);
  });
});

describe('TestChannelConformance: Delivery Spec', () => {
  interface Leg {
    subscriber: Responder;
    reply?: Responder;
    dead: boolean;
  }
  const answer = replyWith({ id: 'answer', type: 'com.example.Answer' });
  const failing =
    (count: number): Responder =>
    (received, index) =>
      index < count ? { status: 500 } : answer(received, index);
  const legs: [what: string, legs: Leg[]][] = [
    [
      'Channels SHOULD retry resending CloudEvents when they fail to either connect or send CloudEvents to subscribers.',
      [{ subscriber: dropFirst(1), dead: false }],
    ],
    [
      'Channels SHOULD support various retry configuration parameters: [the maximum number of retries]',
      [
        { subscriber: dropFirst(1), dead: false },
        { subscriber: failing(1), reply: dropFirst(0), dead: false },
        { subscriber: failing(1), reply: dropFirst(1), dead: false },
        { subscriber: failing(1), reply: dropFirst(2), dead: true },
      ],
    ],
  ];
  for (const [what, all] of legs) {
    test(what, async () => {
      const [name, url] = await channel();
      const made: { leg: Leg; subscriber: Receiver; reply: Receiver | undefined; dlq: Receiver }[] = [];
      for (const leg of all) {
        const subscriber = await world.receiver(leg.subscriber);
        const reply = leg.reply && (await world.receiver(leg.reply));
        const dlq = await world.receiver();
        await subscription(reference(name), destination(subscriber), {
          ...(reply && { reply: destination(reply) }),
          delivery: { deadLetterSink: destination(dlq), retry: 1 },
        });
        made.push({ leg, subscriber, reply, dlq });
      }
      await world.produce(url, fullEvent('retried'));
      for (const { leg, subscriber, reply, dlq } of made) {
        await world.gotAll(subscriber, ['retried']);
        assert.equal(subscriber.received.length, 2, 'failed once, and was not asked again for the reply');
        if (leg.dead) await world.gotAll(dlq, ['retried']);
        else if (reply) await world.gotAll(reply, ['answer']);
        assert.equal(dlq.received.length, leg.dead ? 1 : 0);
      }
    });
  }
});

describe('TestSmoke_Channel, TestSmoke_ChannelImpl, TestSmoke_ChannelWithSubscription, TestSmoke_ChannelImplWithSubscription', () => {
  const names = [
    'customname',
    'name-with-dash',
    'name1with2numbers3',
    'name63-01234567890123456789012345678901234567890123456789012345',
  ];
  for (const [kind, resource] of [
    ['Channel', CHANNELS],
    ['InMemoryChannel', IN_MEMORY_CHANNELS],
  ] as const) {
    for (const base of names) {
      const name = kind === 'Channel' ? `g${base.slice(1)}` : base;
      test(`${kind} ${name} goes ready, with its Subscription`, async () => {
        await world.create(resource, name, {});
        assert.match(await world.address(resource, name), new RegExp(`/${name}$`));
        await subscription(reference(name, kind), { uri: 'http://example.com' });
      });
    }
  }
});

test('TestChannelChain', async () => {
  const sink = await world.receiver();
  const channels: [string, string][] = [];
  for (let i = 0; i < 10; i++) channels.push(await channel());
  for (const [i, [name]] of channels.entries()) {
    const next = channels[i + 1];
    await subscription(reference(name), next ? { ref: reference(next[0]) } : destination(sink));
  }
  await world.produce(channels[0]?.[1] ?? '', fullEvent('chained'));
  await world.gotAll(sink, ['chained']);
});

describe('TestChannelDeadLetterSink, TestGenericChannelDeadLetterSink', () => {
  for (const kind of ['InMemoryChannel', 'Channel'] as const) {
    test(`${kind}: dls receives events`, async () => {
      const [dls, failer] = [await world.receiver(), await world.receiver(dropFirst(1))];
      const [name, url] = await channel({ delivery: { deadLetterSink: destination(dls) } }, kind);
      await subscription(reference(name, kind), destination(failer));
      await world.produce(url, fullEvent('dead'));
      await world.gotAll(dls, ['dead']);
      assert.equal(dls.accepted[0]?.headers['kn-namespace'], NAMESPACE);
    });
  }
  test('As dead letter sink', async () => {
    const [sink, failer] = [await world.receiver(), await world.receiver(dropFirst(10))];
    const [dls] = await channel({}, 'Channel');
    const [name, url] = await channel(
      { delivery: { deadLetterSink: { ref: reference(dls, 'Channel') } } },
      'Channel',
    );
    await subscription(reference(name, 'Channel'), destination(failer));
    await subscription(reference(dls, 'Channel'), destination(sink));
    await world.produce(url, fullEvent('dead'));
    await world.gotAll(sink, ['dead']);
  });
});

test('TestChannelAsyncHandler', async () => {
  const sink = await world.receiver();
  const annotations = { 'messaging.knative.dev/async-handler': 'true' };
  const [name, url] = await channel({}, 'InMemoryChannel', { annotations });
  await subscription(reference(name), destination(sink));
  await world.patch(IN_MEMORY_CHANNELS, name, {
    metadata: { annotations: { 'messaging.knative.dev/async-handler': 'false' } },
  });
  await world.ready(IN_MEMORY_CHANNELS, name);
  await world.produce(url, fullEvent('async'));
  await world.gotAll(sink, ['async']);
});

test('TestEventTransformationForSubscriptionV1', async () => {
  const sink = await world.receiver();
  const transform = await world.receiver((received, index) =>
    replyWith({ id: received.event?.id ?? '', type: 'transformed', source: 'transformer' })(received, index),
  );
  const [[first, url], [second]] = [await channel(), await channel()];
  await subscription(reference(first), destination(transform), { reply: { ref: reference(second) } });
  await subscription(reference(second), destination(sink));
  for (const id of ['1', '2', '3']) await world.produce(url, fullEvent(id));
  await world.gotAll(sink, ['1', '2', '3']);
  assert.deepEqual(new Set(sink.accepted.map(({ event }) => event?.type)), new Set(['transformed']));
});

test('TestBinaryEventForChannel, TestStructuredEventForChannel', async () => {
  const sink = await world.receiver();
  const [name, url] = await channel();
  await subscription(reference(name), destination(sink));
  const event = { id: 'binary', type: 'myevent', source: 'http://sender.svc/' };
  await world.produce(url, event);
  const structured = { specversion: '1.0', ...event, id: 'structured' };
  const headers = { 'content-type': 'application/cloudevents+json' };
  await world.request(url, { method: 'POST', headers, body: JSON.stringify(structured) });
  await world.gotAll(sink, ['binary', 'structured']);
});

test('TestChannelPreferHeaderCheck', async () => {
  const sink = await world.receiver();
  const [name, url] = await channel({}, 'Channel');
  await subscription(reference(name, 'Channel'), destination(sink));
  await world.produce(url, fullEvent('prefer'));
  await world.gotAll(sink, ['prefer']);
  const headers = sink.accepted[0]?.headers;
  assert.deepEqual([headers?.prefer, headers?.['kn-namespace']], ['reply', NAMESPACE]);
});

describe('TestChannelDeadLetterSinkExtensions: Knative Channel - DeadLetterSink - with Extensions', () => {
  const deadAfter = async (subscriber: object, id: string) => {
    const dls = await world.receiver();
    const [name, url] = await channel({ delivery: { deadLetterSink: destination(dls) } });
    await subscription(reference(name), subscriber);
    await world.produce(url, fullEvent(id));
    await world.gotAll(dls, [id]);
    return attributesOf(dls.accepted[0]?.event, 'knativeerrordest', 'knativeerrorcode', 'knativeerrordata');
  };
  test('Receives dls extensions when subscriber is unreachable', async () => {
    const uri = 'http://fake.svc.cluster.local';
    assert.equal((await deadAfter({ uri }, 'unreachable')).knativeerrordest, uri);
  });
  test('Receives dls extensions without errordata', async () => {
    const failer = await world.receiver(dropFirst(1, 422));
    const { knativeerrordest, knativeerrorcode } = await deadAfter(destination(failer), 'nodata');
    assert.deepEqual([knativeerrordest, knativeerrorcode], [failer.url, '422']);
  });
  test('Receives dls extensions with errordata Base64encoding', async () => {
    const errorData = '<!doctype html><html>error</html>';
    const failer = await world.receiver(dropFirst(1, 422, errorData));
    const { knativeerrordata } = await deadAfter(destination(failer), 'withdata');
    assert.equal(knativeerrordata, Buffer.from(errorData).toString('base64'));
  });
});

/** Appends to the data. */
const appending =
  (text: string): Responder =>
  ({ event, body }) => ({
    status: 200,
    headers: {
      'ce-id': event?.id ?? '',
      'ce-type': event?.type ?? '',
      'ce-source': event?.source ?? '',
      'ce-specversion': '1.0',
      'content-type': event?.datacontenttype ?? 'text/plain',
    },
    body: body + text,
  });

test('TestSequence', async () => {
  const sink = await world.receiver();
  const steps = await Promise.all(
    ['-step1', '-step2', '-step3'].map((text) => world.receiver(appending(text))),
  );
  const name = world.name('sequence');
  await world.create(SEQUENCES, name, {
    steps: steps.map((step) => destination(step)),
    reply: destination(sink),
    channelTemplate: { apiVersion: M, kind: 'InMemoryChannel' },
  });
  const url = await world.address(SEQUENCES, name);
  await world.produce(url, { ...fullEvent('sequence'), datacontenttype: 'text/plain', data: 'TestSequence' });
  await world.gotAll(sink, ['sequence']);
  assert.equal(sink.accepted[0]?.body, 'TestSequence-step1-step2-step3');
});

test('TestParallel: test Parallel with two branches, only first one passed', async () => {
  const sink = await world.receiver();
  const passing = await world.receiver(appending(''));
  const stopping = await world.receiver();
  const [one, two] = [
    await world.receiver(appending('appended data')),
    await world.receiver(appending('appended data')),
  ];
  const name = world.name('parallel');
  await world.create(PARALLELS, name, {
    branches: [
      { filter: destination(passing), subscriber: destination(one) },
      { filter: destination(stopping), subscriber: destination(two) },
    ],
    reply: destination(sink),
    channelTemplate: { apiVersion: M, kind: 'InMemoryChannel' },
  });
  const url = await world.address(PARALLELS, name);
  await world.produce(url, { id: 'parallel', type: 'myevent', source: 'http://sender.svc/', data: 'x' });
  await world.gotAll(sink, ['parallel']);
  await world.gotAll(stopping, ['parallel']);
  assert.deepEqual(
    sink.received.map(({ body }) => body),
    ['xappended data'],
  );
  assert.equal(two.received.length, 0);
});

describe('TestSmoke_Parallel, TestSmoke_ParallelDelivery, TestSmoke_Parallel_with_no_filter, TestSmoke_Sequence, TestSmoke_SequenceDelivery', () => {
  const to = { uri: 'http://example.com' };
  const delivery = { retry: 2, backoffPolicy: 'linear', backoffDelay: 'PT1S', deadLetterSink: to };
  const smoke: [string, typeof PARALLELS, object][] = [
    [
      'Parallel',
      PARALLELS,
      {
        branches: [
          { filter: to, subscriber: to, reply: to },
          { filter: to, subscriber: to },
        ],
        reply: to,
      },
    ],
    ['Parallel with delivery', PARALLELS, { branches: [{ filter: to, subscriber: to, delivery }] }],
    ['Parallel with no filter', PARALLELS, { branches: [{ subscriber: to }] }],
    ['Sequence', SEQUENCES, { steps: [to, to] }],
    ['Sequence with delivery', SEQUENCES, { steps: [{ ...to, delivery }], reply: to }],
  ];
  for (const [what, resource, spec] of smoke) {
    test(`${what} goes ready`, async () => {
      const name = world.name('flow');
      await world.create(resource, name, spec);
      await world.ready(resource, name);
    });
  }
});

test('TestChannelClusterDefaulter, TestChannelNamespaceDefaulter, TestChannelNamespaceDefaulting: default-ch-webhook decides what Channels are', async () => {
  const template = async () =>
    (await world.create(CHANNELS, world.name('defaulted'), {})).spec.channelTemplate;
  assert.deepEqual(await template(), { apiVersion: M, kind: 'InMemoryChannel' });
  const write = (text: string) =>
    world.client.patch(CONFIGMAPS, 'knative-eventing', 'default-ch-webhook', 'merge', {
      data: { 'default-ch-config': text },
    });
  const before = await world.client.get<UntypedObject>(CONFIGMAPS, 'knative-eventing', 'default-ch-webhook');
  await write(
    `clusterDefault: { apiVersion: a/v1, kind: Cluster }\nnamespaceDefaults:\n  ${NAMESPACE}: { apiVersion: b/v1, kind: Namespaced, spec: { x: 1 } }`,
  );
  try {
    await eventually('the namespace decides', async () => (await template()).kind === 'Namespaced');
    await write('clusterDefault: { apiVersion: a/v1, kind: Cluster }');
    await eventually('the cluster decides', async () => (await template()).kind === 'Cluster');
  } finally {
    await write(before.data['default-ch-config']);
  }
});
