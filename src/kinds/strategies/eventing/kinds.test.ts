import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, changed, denied, object, type Refused } from './testing.ts';

const sink = { uri: 'http://sink.example.com' };
const ref = { kind: 'Broker', apiVersion: 'eventing.knative.dev/v1', name: 'b' };
const channel = { kind: 'Channel', apiVersion: 'messaging.knative.dev/v1', name: 'c' };
const TEMPLATE = { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' };
const KAFKA = {
  'default-ch-webhook': {
    'default-ch-config':
      'clusterDefault: { apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel }\nnamespaceDefaults:\n  default: { apiVersion: messaging.knative.dev/v1beta1, kind: KafkaChannel, spec: { numPartitions: 3 } }',
  },
};

test('what makes channels gets a template, as default-ch-webhook says for its namespace', () => {
  const specs: Record<string, object> = {
    Channel: {},
    Sequence: { steps: [{ ref }] },
    Parallel: { branches: [{ subscriber: { ref } }] },
  };
  for (const [kind, spec] of Object.entries(specs)) {
    assert.deepEqual(accepted(object(kind, spec)).spec.channelTemplate, TEMPLATE, kind);
    assert.deepEqual(
      accepted(object(kind, spec), KAFKA).spec.channelTemplate,
      { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'KafkaChannel', spec: { numPartitions: 3 } },
      kind,
    );
  }
  assert.equal(
    accepted(object('Channel', {})).metadata.annotations?.['messaging.knative.dev/subscribable'],
    'v1',
  );
  assert.equal(accepted(object('Sequence', specs.Sequence ?? {})).spec.steps[0].ref.namespace, 'default');
});

test('what a Channel is made of and what a Subscription is about never changes', () => {
  const old = accepted(object('Channel', {}));
  assert.match(
    changed(old, ({ spec }) => {
      spec.channelTemplate.kind = 'KafkaChannel';
    }),
    /^Immutable fields changed \(-old \+new\): spec\nspec\.channelTemplate\.kind:/,
  );
  const subscription = accepted(object('Subscription', { channel, subscriber: { ref } }));
  assert.match(
    changed(subscription, ({ spec }) => {
      spec.channel.name = 'd';
    }),
    /^Immutable fields changed \(-old \+new\): spec\nspec\.channel\.name:/,
  );
  assert.equal(
    changed(subscription, ({ spec }) => {
      spec.subscriber = sink;
      spec.delivery = { retry: 1 };
    }),
    '',
  );
});

test('defaults of sources', () => {
  assert.equal(accepted(object('PingSource', { sink })).spec.schedule, '* * * * *');
  const { mode, serviceAccountName } = accepted(
    object('ApiServerSource', { sink, resources: [{ apiVersion: 'v1', kind: 'Event' }] }),
  ).spec;
  assert.deepEqual([mode, serviceAccountName], ['Reference', 'default']);
  const container = accepted(
    object('ContainerSource', { sink, template: { spec: { containers: [{ image: 'i' }, { image: 'j' }] } } }),
  );
  assert.deepEqual(
    container.spec.template.spec.containers.map(({ name }: { name: string }) => name),
    ['x-0', 'x-1'],
  );
  const { consumerGroup, consumers, initialOffset, ordering } = accepted(
    object('KafkaSource', { sink, topics: ['t'], bootstrapServers: ['k:9092'] }),
  ).spec;
  assert.deepEqual(
    [consumerGroup, consumers, initialOffset, ordering],
    ['knative-kafka-source-u-1', 1, 'latest', 'ordered'],
  );
  const subject = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' };
  assert.equal(accepted(object('SinkBinding', { sink, subject })).spec.subject.namespace, 'default');
});

test('a JobSink tells its Jobs that they work in batches, and its Job is checked as one', () => {
  const job = {
    spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } } },
  };
  const [container] = accepted(object('JobSink', { job })).spec.job.spec.template.spec.containers;
  assert.deepEqual(container.env, [{ name: 'K_EXECUTION_MODE', value: 'batch' }]);
  const bad = { spec: { template: { spec: { containers: [{ name: 'c', image: 'i' }] } } } };
  assert.match(denied(object('JobSink', { job: bad })), /restartPolicy.*: spec\.job/);
});

const times: [string, string, string?][] = [
  ['*/2 * * * *', ''],
  ['10 0 9 * * MON-FRI', ''],
  ['@hourly', ''],
  ['0 0 ? * *', ''],
  ['0 9 * * *', '', 'Europe/Berlin'],
  ['CRON_TZ=Asia/Tokyo 0 9 * * *', ''],
  ['@every 1h', 'invalid value: unsupported descriptor @every: spec.schedule'],
  ['@nightly', 'invalid value: schedule "@nightly" has 1 fields instead of 5: spec.schedule'],
  ['* *', 'invalid value: schedule "* *" has 2 fields instead of 5: spec.schedule'],
  ['61 * * * * *', 'invalid value: "61" is no minute from 0 to 59: spec.schedule'],
  [
    '* * * * *',
    'invalid value: provided bad location Mars/Base: unknown time zone Mars/Base: spec.timezone',
    'Mars/Base',
  ],
];
for (const [schedule, words, timezone] of times) {
  test(`PingSource with ${schedule} ${timezone ?? ''}${words === '' ? '' : ' refused'}`, () =>
    assert.equal(denied(object('PingSource', { sink, schedule, timezone })), words));
}

const refused: Refused[] = [
  [
    'Channel',
    'subscribers of its own',
    { subscribers: [{ uid: 'a' }] },
    'must not set the field(s): spec.subscribable.subscribers',
  ],
  [
    'Channel',
    'half a template',
    { channelTemplate: { kind: 'X' } },
    'missing field(s): spec.channelTemplate.apiVersion',
  ],
  [
    'InMemoryChannel',
    'a subscriber without an address',
    { subscribers: [{ uid: 'a' }] },
    'missing field(s): spec.subscribable.subscriber[0].replyURI, spec.subscribable.subscriber[0].subscriberURI\nexpected at least one of, got none',
  ],
  [
    'Subscription',
    'no channel',
    { subscriber: sink },
    'missing field(s): spec.channel\nthe Subscription must reference a channel',
  ],
  [
    'Subscription',
    'no subscriber',
    { channel, subscriber: {} },
    'missing field(s): spec.subscriber\nthe Subscription must reference a subscriber',
  ],
  [
    'Subscription',
    'a channel elsewhere',
    { channel: { ...channel, namespace: 'n' }, subscriber: sink },
    'must not set the field(s): spec.channel.namespace\nonly name, apiVersion and kind are supported fields when feature.CrossNamespaceEventLinks is disabled',
  ],
  ['Sequence', 'no steps', {}, 'missing field(s): spec.steps'],
  [
    'Sequence',
    'an empty step',
    { steps: [{ delivery: { retry: 1 } }] },
    'expected at least one, got none: spec.steps[0].ref, spec.steps[0].uri',
  ],
  ['Parallel', 'no branches', {}, 'missing field(s): spec.branches'],
  [
    'Parallel',
    'a branch without subscriber',
    { branches: [{ filter: sink }] },
    'expected at least one, got none: spec.branches[0].subscriber.ref, spec.branches[0].subscriber.uri',
  ],
  ['PingSource', 'no sink', {}, 'expected at least one, got none: spec.sink.ref, spec.sink.uri'],
  [
    'PingSource',
    'both kinds of data',
    { sink, data: 'a', dataBase64: 'YQ==' },
    'expected exactly one, got both: spec.data, spec.dataBase64',
  ],
  [
    'PingSource',
    'no base64',
    { sink, dataBase64: '?' },
    'invalid value: illegal base64 data: spec.dataBase64',
  ],
  [
    'PingSource',
    'more data than config-ping-defaults allows',
    { sink, data: 'abcdef' },
    'invalid value: the data length of 6 bytes exceeds limit set at 5.: spec.data',
    {},
    { 'config-ping-defaults': { 'data-max-size': '5' } },
  ],
  [
    'PingSource',
    'overrides that are no extensions',
    { sink, ceOverrides: { extensions: { 'a-b': 'c', type: 'd' } } },
    'invalid key name "a-b": spec.ceOverrides.extensions\nkeys are expected to be alphanumeric\ninvalid key name "type": spec.ceOverrides.extensions\nis an attribute of every event and cannot be overridden',
  ],
  [
    'ApiServerSource',
    'mode and resources',
    { sink, mode: 'Whole', resources: [{ apiVersion: 'a/b/c', kind: ' ' }] },
    'invalid value: Whole: spec.mode\ninvalid value: a/b/c: spec.resources[0].apiVersion\nmissing field(s): spec.resources[0].kind',
  ],
  ['ContainerSource', 'no containers', { sink }, 'missing field(s): spec.containers'],
  [
    'SinkBinding',
    'a subject elsewhere',
    { sink, subject: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'n' } },
    'invalid value: n: spec.subject.namespace',
  ],
  [
    'SinkBinding',
    'name and selector',
    { sink, subject: { apiVersion: 'v1', kind: 'Pod', name: 'p', selector: {} } },
    'expected exactly one, got both: spec.subject.name, spec.subject.selector',
  ],
  [
    'KafkaSource',
    'nothing of Kafka',
    { sink, initialOffset: 'middle', ordering: 'x' },
    'invalid value: middle: spec.initialOffset\ninvalid value: x: spec.ordering\nmissing field(s): spec.bootstrapServers, spec.topics',
  ],
  [
    'KafkaSink',
    'nothing of Kafka',
    { contentMode: 'x', numPartitions: 0 },
    'invalid value: : spec.topic\ninvalid value: 0: spec.numPartitions\ninvalid value: []: spec.bootstrapServers\ninvalid value: x: spec.contentMode',
  ],
  ['JobSink', 'no Job', {}, 'expected exactly one, got neither: spec.job'],
  ['IntegrationSink', 'none', {}, 'at least one sink type must be specified: spec'],
  ['IntegrationSink', 'two', { log: {}, aws: { s3: {} } }, 'only one sink type can be set: spec'],
  [
    'IntegrationSink',
    'a bucket without name, place and key',
    { aws: { s3: {} } },
    'missing field(s): spec.aws.auth.secret.ref.name, spec.aws.s3.arn, spec.aws.s3.region',
  ],
  ['EventSource', 'no type', { sink }, 'missing field(s): spec.type'],
  [
    'EventSource',
    'half a reference to a Secret',
    { type: 'kafka', sink, config: { a: [{ secretKeyRef: { name: 's' } }] } },
    'missing field(s): spec.config.a[0].secretKeyRef.key',
  ],
  [
    'EventSink',
    'a type that is no name',
    { type: 'A b' },
    'invalid key name "A b": spec.type\nmust be a name such as "kafka"',
  ],
];
for (const [kind, what, spec, words, metadata, maps] of refused) {
  test(`${kind} refused: ${what}`, () => {
    assert.equal(denied(object(kind, spec, metadata), undefined, maps), words);
  });
}

test('of a KafkaSource the group stays, of a KafkaSink the topic', () => {
  const source = accepted(object('KafkaSource', { sink, topics: ['t'], bootstrapServers: ['k:9092'] }));
  assert.match(
    changed(source, ({ spec }) => {
      spec.consumerGroup = 'g';
    }),
    /^Immutable fields changed/,
  );
  const kafka = accepted(object('KafkaSink', { topic: 't', bootstrapServers: ['k:9092'] }));
  assert.equal(
    changed(kafka, ({ spec }) => {
      spec.topic = 'u';
    }),
    'Immutable field updated: spec.topic',
  );
});
