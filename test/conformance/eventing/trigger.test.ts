/** Port of knative/eventing `test/rekt/{trigger,new_trigger_filters,delivery_timeout,crossnamespace}_test.go`; named as there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import {
  CONFIGMAPS,
  IN_MEMORY_CHANNELS,
  NAMESPACES,
  PING_SOURCES,
  PODS,
  SERVICES,
  SUBSCRIPTIONS,
  TRIGGERS,
} from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import { destination, EventWorld, fullEvent, NAMESPACE, Receiver, type Sent } from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const broker = world.broker.bind(world);
const trigger = world.trigger.bind(world);

describe('TestTriggerDefaulting', () => {
  const created = () =>
    world.create(TRIGGERS, world.name('trigger'), {
      broker: 'broker',
      subscriber: { ref: { apiVersion: 'v1', kind: 'Service', name: 'sub' } },
    });
  test('Trigger MUST default spec.filter to empty filter', async () => {
    assert.deepEqual((await created()).spec.filter, {});
  });
  test('Trigger subscriber namespace MUST be defaulted to Trigger namespace', async () => {
    assert.equal((await created()).spec.subscriber.ref.namespace, NAMESPACE);
  });
});

describe('TestTriggerWithDLS', () => {
  const bad = { uri: 'bad://uri' };
  const three = ['1', '2', '3'];
  const sendThree = async (url: string) => {
    for (const id of three) await world.produce(url, fullEvent(id));
  };
  test('Trigger with DLS', async () => {
    const dls = await world.receiver();
    const [name, url] = await broker();
    await trigger(name, bad, { delivery: { deadLetterSink: destination(dls) } });
    await sendThree(url);
    await world.gotAll(dls, three);
  });
  test('When Trigger DLS is defined, Broker DLS is ignored', async () => {
    const [ofTrigger, ofBroker] = [await world.receiver(), await world.receiver()];
    const [name, url] = await broker({ delivery: { deadLetterSink: destination(ofBroker) } });
    await trigger(name, bad, { delivery: { deadLetterSink: destination(ofTrigger) } });
    await sendThree(url);
    await world.gotAll(ofTrigger, three);
    assert.deepEqual(ofBroker.received, []);
  });
  test('Bad Trigger does not affect good Trigger', async () => {
    const [dlq, sink] = [await world.receiver(), await world.receiver()];
    const [name, url] = await broker({ delivery: { deadLetterSink: destination(dlq) } });
    await trigger(name, bad);
    await trigger(name, destination(sink));
    await sendThree(url);
    await world.gotAll(dlq, three);
    await world.gotAll(sink, three);
  });
});

test('TestMultiTriggerTopology', async () => {
  // Every Trigger's answer is what the next one waits for.
  const [name, url] = await broker();
  const last = await world.receiver();
  const legs = 4;
  for (let leg = 0; leg < legs; leg++) {
    const receiver = await world.receiver(() => ({
      status: 200,
      headers: {
        'ce-id': `leg-${leg + 1}`,
        'ce-type': `leg.${leg + 1}`,
        'ce-source': '/leg',
        'ce-specversion': '1.0',
      },
    }));
    await trigger(name, destination(receiver), { filter: { attributes: { type: `leg.${leg}` } } });
  }
  await trigger(name, destination(last), { filter: { attributes: { type: `leg.${legs}` } } });
  await world.produce(url, { id: 'leg-0', type: 'leg.0', source: '/leg' });
  await world.gotAll(last, [`leg-${legs}`]);
});

test('a Trigger whose subscriber is a Kubernetes Service delivers to the Pods behind it, by path, as they come and go', async () => {
  const [name, url] = await broker({
    delivery: { retry: 10, backoffPolicy: 'linear', backoffDelay: 'PT0.2S' },
  });
  const [app, sink] = [world.name('app'), await world.receiver()];
  const port = await freePort();
  // The Pod passes on what it gets: the test sees that it went through it.
  const program = `require('node:http').createServer((request, response) => {
    const headers = { ...request.headers, 'x-path': request.url, host: undefined };
    delete headers.host;
    request.pipe(require('node:http').request(process.env.SINK, { method: 'POST', headers }, (answer) => {
      response.writeHead(answer.statusCode);
      answer.resume().on('end', () => response.end());
    }));
  }).listen(${port}, '127.0.0.1');`;
  await world.create(SERVICES, app, { selector: { app }, ports: [{ port: 80, targetPort: port }] });
  await trigger(name, { ref: { apiVersion: 'v1', kind: 'Service', name: app }, uri: '/hook' });
  await world.produce(url, fullEvent('before'));
  const pod = {
    containers: [
      {
        name: 'c',
        image: 'petrel.dev/host',
        command: [process.execPath, '-e', program],
        env: [{ name: 'SINK', value: sink.url }],
        readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
      },
    ],
  };
  await world.create(PODS, app, pod, { labels: { app } });
  await world.gotAll(sink, ['before']);
  assert.equal(sink.accepted[0]?.headers['x-path'], '/hook');
  await world.remove(PODS, app);
});

test('TestTriggerDependencyAnnotation: a Trigger is ready when what it depends on exists and is ready', async () => {
  const [name] = await broker();
  const sink = await world.receiver();
  const [source, trig] = [world.name('ping'), world.name('trigger')];
  const dependency = JSON.stringify({
    kind: 'PingSource',
    name: source,
    apiVersion: 'sources.knative.dev/v1',
  });
  await world.create(
    TRIGGERS,
    trig,
    { broker: name, subscriber: destination(sink) },
    {
      annotations: { 'knative.dev/dependency': dependency },
    },
  );
  await world.until(
    TRIGGERS,
    trig,
    'waits for it',
    (object) => conditionOf(object, 'DependencyReady')?.reason === 'DependencyDoesNotExist',
  );
  await world.create(PING_SOURCES, source, { sink: destination(sink) });
  await world.client.patch(
    PING_SOURCES,
    NAMESPACE,
    source,
    'merge',
    { status: { observedGeneration: 1, conditions: [{ type: 'Ready', status: 'True' }] } },
    { subresource: 'status' },
  );
  await world.ready(TRIGGERS, trig);
});

describe('TestTriggerDeliveryFormat: Trigger supports delivery format', () => {
  const contentTypes: Record<string, RegExp> = {
    json: /^application\/cloudevents\+json/,
    binary: /^application\/json/,
  };
  for (const [format, contentType] of Object.entries(contentTypes)) {
    test(`Trigger supports sending with ${format} delivery format`, async () => {
      const [name, url] = await broker();
      const sink = await world.receiver();
      await trigger(name, destination(sink), { delivery: { format } });
      await world.produce(url, fullEvent('formatted'));
      await world.gotAll(sink, ['formatted']);
      assert.match(sink.accepted[0]?.headers['content-type'] ?? '', contentType);
    });
  }
});

/** A port that nothing listens on; Pods share the network of the machine. */
async function freePort(): Promise<number> {
  const taken = await Receiver.start();
  const { port } = new URL(taken.url);
  await taken.close();
  return Number(port);
}

type Case = [attributes: Partial<Sent>, delivered: boolean];

/** One Trigger for each of `filters`; what each of them is to get. */
async function filtered(
  triggers: { filters?: object[]; filter?: Record<string, string>; cases: Case[] }[],
): Promise<void> {
  const [name, url] = await broker();
  const sinks: Receiver[] = [];
  for (const { filters, filter } of triggers) {
    const sink = await world.receiver();
    sinks.push(sink);
    await trigger(name, destination(sink), {
      ...(filters && { filters }),
      ...(filter && { filter: { attributes: filter } }),
    });
  }
  // The one that takes everything tells that the others had their chance.
  const all = await world.receiver();
  await trigger(name, destination(all));
  const events = (triggers[0]?.cases ?? []).map(([attributes], i) => ({
    id: `event-${i}`,
    type: 'com.example.MinEvent',
    source: 'http://example.com/source',
    ...attributes,
  }));
  for (const sent of events) await world.produce(url, sent);
  await world.gotAll(
    all,
    events.map(({ id }) => id),
  );
  for (const [i, { cases }] of triggers.entries()) {
    const wanted = events.filter((_, event) => cases[event]?.[1]).map(({ id }) => id);
    await world.gotAll(sinks[i] as Receiver, wanted);
    assert.deepEqual((sinks[i] as Receiver).ids.sort(), wanted.sort());
  }
}

describe('TestMTChannelBrokerNewTriggerFilters: New Trigger Filters', () => {
  const matched = { type: 'com.example.FullEvent', source: 'http://example.com/source' };
  const single: Case[] = [
    [matched, true],
    [{ type: 'org.wrong.type', source: 'org.wrong.source' }, false],
  ];
  const part = (from: number, to?: number) => ({
    type: matched.type.slice(from, to),
    source: matched.source.slice(from, to),
  });
  const dialects: Record<string, object> = {
    'Exact filter': { exact: matched },
    'Prefix filter': { prefix: part(0, 4) },
    'Suffix filter': { suffix: part(5) },
    'CloudEvents SQL filter': { cesql: `type = '${matched.type}' AND source = '${matched.source}'` },
  };
  for (const [what, filter] of Object.entries(dialects))
    test(what, () => filtered([{ filters: [filter], cases: single }]));

  const exact = (type: string) => ({ exact: { type } });
  test('AnyFilterFeature', () =>
    filtered([
      {
        filters: [
          {
            any: [
              exact('exact.event.type'),
              { prefix: { type: 'prefix' } },
              { suffix: { type: 'suffix' } },
              { not: { cesql: "type LIKE '%event.type%'" } },
              { cesql: "type = 'cesql.event.type'" },
            ],
          },
        ],
        cases: [
          [{ type: 'exact.event.type' }, true],
          [{ type: 'prefix.event.type' }, true],
          [{ type: 'event.type.suffix' }, true],
          [{ type: 'not.type.event' }, true],
          [{ type: 'cesql.event.type' }, true],
          [{ type: 'not.event.type' }, false],
        ],
      },
    ]));
  test('AnyFilterMultipleExactFiltersFeature', () =>
    filtered([
      {
        filters: [
          { any: ['update', 'add', 'delete'].map((verb) => exact(`dev.knative.apiserver.resource.${verb}`)) },
        ],
        cases: [
          ...['update', 'add', 'delete'].map(
            (verb): Case => [{ type: `dev.knative.apiserver.resource.${verb}` }, true],
          ),
          [{ type: 'prefix.event.type' }, false],
        ],
      },
    ]));
  test('AllFilterFeature', () =>
    filtered([
      {
        filters: [
          {
            all: [
              exact('exact.prefix.suffix.event.type'),
              { prefix: { type: 'exact.prefix' } },
              { suffix: { type: 'suffix.event.type' } },
              { cesql: "type LIKE 'exact.prefix.suffix%'" },
            ],
          },
        ],
        cases: [
          [{ type: 'not.event.type' }, false],
          [{ type: 'exact.prefix.suffix.event' }, false],
          [{ type: 'exact.prefix.suffix.event.suffix.event.type' }, false],
          [{ type: 'exact.prefix.suffix.event.type' }, true],
        ],
      },
    ]));
  test('MultipleTriggersAndSinksFeature', () => {
    const cases = (...delivered: boolean[]) =>
      ['type1', 'both.should.match', 'type2', 'type3'].map(
        (type, i): Case => [{ type }, delivered[i] ?? false],
      );
    const either = (type: string) => [{ any: [exact(type), { prefix: { type: 'both' } }] }];
    return filtered([
      { filters: either('type1'), cases: cases(true, true, false, false) },
      { filters: either('type2'), cases: cases(false, true, true, false) },
    ]);
  });
  test('MissingAttributesFeature', () =>
    filtered([
      {
        filters: [
          {
            any: [
              { exact: { customattribute: 'x' } },
              { cesql: "missing = 'x'" },
              { prefix: { subject: 'x' } },
            ],
          },
        ],
        cases: [
          [{ type: 'without' }, false],
          [{ customattribute: 'x' }, true],
          [{ subject: 'xyz' }, true],
        ],
      },
    ]));
  test('FilterAttributeWithEmptyFiltersFeature', () =>
    filtered([
      {
        filters: [],
        filter: { type: 'org.wanted' },
        cases: [
          [{ type: 'org.wanted' }, true],
          [{ type: 'org.other' }, false],
        ],
      },
    ]));
  test('FiltersOverrideAttributeFilterFeature', () =>
    filtered([
      {
        filters: [exact('org.filters')],
        filter: { type: 'org.attributes' },
        cases: [
          [{ type: 'org.filters' }, true],
          [{ type: 'org.attributes' }, false],
        ],
      },
    ]));
  test('MultipleFiltersFeature', () =>
    filtered([
      {
        filters: [{ prefix: { type: 'com' } }, { suffix: { type: 'created' } }, { cesql: 'EXISTS region' }],
        cases: [
          [{ type: 'com.order.created', region: 'eu' }, true],
          [{ type: 'com.order.created' }, false],
          [{ type: 'com.order.deleted', region: 'eu' }, false],
          [{ type: 'org.order.created', region: 'eu' }, false],
        ],
      },
    ]));
});

test('TestDeliveryTimeout: a subscriber that takes too long has failed', async () => {
  const [slow, dlq] = [await world.receiver(() => ({ delayMs: 3000 })), await world.receiver()];
  const channel = world.name('channel');
  await world.create(IN_MEMORY_CHANNELS, channel, {});
  const url = await world.address(IN_MEMORY_CHANNELS, channel);
  const subscription = world.name('subscription');
  await world.create(SUBSCRIPTIONS, subscription, {
    channel: { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel', name: channel },
    subscriber: destination(slow),
    delivery: { timeout: 'PT1S', deadLetterSink: destination(dlq) },
  });
  await world.ready(SUBSCRIPTIONS, subscription);
  await world.produce(url, fullEvent('late'));
  await world.gotAll(dlq, ['late']);
});

test('TestBrokerTriggerWithDeliveryTimeout', async () => {
  const [name] = await broker({ delivery: { timeout: 'PT1S' } });
  const sink = await world.receiver();
  await trigger(name, destination(sink), { delivery: { timeout: 'PT10S' } });
});

test('TestBrokerTriggerCrossNamespaceReference', async () => {
  const features = (flag: string) =>
    world.client.patch(CONFIGMAPS, 'knative-eventing', 'config-features', 'merge', {
      data: { 'cross-namespace-event-links': flag },
    });
  const [name, url] = await broker();
  const namespace = 'cross-namespace';
  await world.client.create(NAMESPACES, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const sink = await world.receiver();
  const object = {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 'elsewhere', namespace },
    spec: {
      brokerRef: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name, namespace: NAMESPACE },
      subscriber: destination(sink),
    },
  };
  await assert.rejects(world.client.create(TRIGGERS, object), /CrossNamespaceEventLinks is disabled/);
  await features('enabled');
  try {
    await world.client.create(TRIGGERS, object);
    await eventually('the Trigger is ready', async () => {
      const found = await world.client.get<UntypedObject>(TRIGGERS, namespace, 'elsewhere');
      return conditionOf(found, 'Ready')?.status === 'True';
    });
    await world.produce(url, fullEvent('across'));
    await world.gotAll(sink, ['across']);
  } finally {
    await features('disabled');
  }
});
