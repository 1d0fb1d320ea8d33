import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, changed, denied, object, type Refused } from './testing.ts';

const CLASS = 'eventing.knative.dev/broker.class';
const classed = (name: string) => ({ annotations: { [CLASS]: name } });
const subscriber = { ref: { kind: 'Service', apiVersion: 'serving.knative.dev/v1', name: 's' } };
const trigger = { broker: 'default', subscriber };
const UPSTREAM = {
  'config-br-defaults': {
    'default-br-config': `
clusterDefault:
  brokerClass: MTChannelBasedBroker
  apiVersion: v1
  kind: ConfigMap
  name: config-br-default-channel
  namespace: knative-eventing
  delivery: { retry: 3, backoffPolicy: linear, backoffDelay: PT1S }
  brokerClasses:
    Kafka: { apiVersion: v1, kind: ConfigMap, name: kafka-broker-config, namespace: knative-eventing }
namespaceDefaults:
  shop: { brokerClass: Kafka }
`,
  },
};

test('a Broker of no class gets ours, and delivery as upstream has it', () => {
  const broker = accepted(object('Broker', {}));
  assert.equal(broker.metadata.annotations?.[CLASS], 'Petrel');
  assert.deepEqual(broker.spec, {
    delivery: { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' },
  });
});

test('config-br-defaults: classes of the cluster and of a namespace, with what configures them', () => {
  const broker = accepted(object('Broker', {}), UPSTREAM);
  assert.equal(broker.metadata.annotations?.[CLASS], 'MTChannelBasedBroker');
  assert.equal(broker.spec.config.name, 'config-br-default-channel');
  assert.deepEqual(broker.spec.delivery, { retry: 3, backoffPolicy: 'linear', backoffDelay: 'PT1S' });
  const shop = accepted(object('Broker', {}, { namespace: 'shop' }), UPSTREAM);
  assert.equal(shop.metadata.annotations?.[CLASS], 'Kafka');
  assert.equal(shop.spec.config.name, 'kafka-broker-config');
  const own = accepted(object('Broker', { delivery: { retry: 1 } }, classed('Mine')), UPSTREAM);
  assert.deepEqual([own.metadata.annotations?.[CLASS], own.spec.delivery], ['Mine', { retry: 1 }]);
});

test('class and config of a Broker never change, its delivery does', () => {
  const config = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a' };
  const old = accepted(object('Broker', { config }));
  assert.match(
    changed(old, ({ spec }) => {
      spec.config.name = 'b';
    }),
    /^Immutable fields changed \(-old \+new\): spec\nspec\.config\.name:\n\t-: "a"\n\t\+: "b"/,
  );
  assert.match(
    changed(old, ({ metadata }) => {
      metadata.annotations = { [CLASS]: 'Kafka' };
    }),
    /^Immutable annotations changed \(-old \+new\): annotations\n/,
  );
  assert.equal(
    changed(old, ({ spec }) => {
      spec.delivery = { retry: 1, timeout: 'PT3S' };
    }),
    '',
  );
});

test('a Trigger gets a filter, a label, and namespaces', () => {
  const created = accepted(
    object('Trigger', {
      ...trigger,
      delivery: { deadLetterSink: { ref: { ...subscriber.ref, name: 'd' } } },
    }),
  );
  assert.deepEqual(created.spec.filter, {});
  assert.deepEqual(created.metadata.labels, { 'eventing.knative.dev/broker': 'default' });
  assert.equal(created.spec.subscriber.ref.namespace, 'default');
  assert.equal(created.spec.delivery.deadLetterSink.ref.namespace, 'default');
  assert.match(
    changed(created, ({ spec }) => {
      spec.broker = 'other';
    }),
    /^Immutable fields changed \(-old \+new\): broker, spec\n/,
  );
});

const filters = (...list: object[]) => ({ ...trigger, filters: list });
const RULE = 'Attribute name must start with a letter and can only contain lowercase alphanumeric';
const annotated = (key: string, text: string) => ({ annotations: { [key]: text } });
const DEPENDENCY = 'knative.dev/dependency';
const W = 'eventing.petrel.dev';

const refused: Refused[] = [
  ['Broker', 'empty class', {}, `missing field(s): ${CLASS}`, classed('')],
  [
    'Broker',
    'config without its parts',
    { config: { namespace: 'x' } },
    'missing field(s): spec.config.apiVersion, spec.config.kind, spec.config.name',
  ],
  [
    'Broker',
    'config elsewhere',
    { config: { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', namespace: 'other' } },
    'mismatched namespaces: spec.config.namespace\nparent namespace: "default" does not match ref: "other"',
    {},
    {
      'config-br-defaults': {
        'default-br-config':
          'clusterDefault: { brokerClass: Petrel, disallowDifferentNamespaceConfig: true }',
      },
    },
  ],
  ['Broker', 'negative retry', { delivery: { retry: -1 } }, 'invalid value: -1: spec.delivery.retry'],
  [
    'Broker',
    'delivery that says nothing useful',
    {
      delivery: {
        timeout: 'PT0S',
        backoffPolicy: 'quadratic',
        backoffDelay: '1s',
        format: 'xml',
        retryAfterMax: '-PT1S',
        deadLetterSink: {},
      },
    },
    [
      'expected at least one, got none: spec.delivery.deadLetterSink.ref, spec.delivery.deadLetterSink.uri',
      'invalid value: -PT1S: spec.delivery.retryAfterMax',
      'invalid value: 1s: spec.delivery.backoffDelay',
      'invalid value: PT0S: spec.delivery.timeout',
      'invalid value: quadratic: spec.delivery.backoffPolicy',
      'invalid value: xml: spec.delivery.format',
    ].join('\n'),
  ],
  [
    'Broker',
    'fields of features that are off',
    { delivery: { timeout: 'PT1S', retryAfterMax: 'PT1S' } },
    'must not set the field(s): spec.delivery.retryAfterMax, spec.delivery.timeout',
    {},
    { 'config-features': { 'delivery-timeout': 'disabled', 'delivery-retryafter': 'Disabled' } },
  ],
  [
    'Broker',
    'wishes that cannot be',
    {},
    [
      `invalid value: 1: metadata.annotations[${W}/retention-bytes]`,
      'must be a whole number of bytes between 1048576 and 1125899906842624, such as "512Ki" or "10Gi"',
      `invalid value: x: metadata.annotations[${W}/retention-age]`,
      'must be a duration such as "30m", "168h" or "P7D"',
    ].join('\n'),
    { annotations: { [CLASS]: 'Petrel', [`${W}/retention-bytes`]: '1', [`${W}/retention-age`]: 'x' } },
  ],
  ['Trigger', 'no broker', { subscriber }, 'missing field(s): spec.broker'],
  [
    'Trigger',
    'two brokers',
    { ...trigger, brokerRef: { name: 'b' } },
    'expected exactly one, got both: spec.broker, spec.brokerRef',
  ],
  [
    'Trigger',
    'no subscriber',
    { broker: 'default' },
    'expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri',
  ],
  [
    'Trigger',
    'ref and an absolute URI',
    { broker: 'default', subscriber: { ...subscriber, uri: 'http://a' } },
    'Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present: spec.subscriber.ref, spec.subscriber.uri, spec.subscriber[apiVersion, kind, name]',
  ],
  [
    'Trigger',
    'a relative URI alone',
    { broker: 'default', subscriber: { uri: '/path' } },
    'invalid value: Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent: spec.subscriber.uri',
  ],
  [
    'Trigger',
    'a reference by group',
    { broker: 'default', subscriber: { ref: { kind: 'K', name: 'n', group: 'g' } } },
    'missing field(s): spec.subscriber.ref.apiVersion\nmust not set the field(s): spec.subscriber.ref.group',
  ],
  [
    'Trigger',
    'names of attributes',
    { ...trigger, filter: { attributes: { Type: 'x', ok1: '' } } },
    `invalid key name "Type": spec.filter.attributes[Type]\n${RULE}`,
  ],
  [
    'Trigger',
    'two dialects at once',
    filters({ exact: { type: 'a' } }, { exact: { type: 'a' }, not: { prefix: { type: 'b' } } }),
    'multiple dialects found, filters can have only one dialect set: ',
  ],
  [
    'Trigger',
    'an attribute deep inside',
    filters({ all: [{ any: [{ suffix: { 'a-b': 'c' } }] }] }),
    `invalid key name "a-b": spec.filters[0].all[0].any[0].suffix[a-b]\n${RULE}`,
  ],
  [
    'Trigger',
    'an expression that is none',
    filters({ cesql: 'type = ' }),
    'invalid value: type = : spec.filters[0].cesql\nparse error: ',
  ],
  [
    'Trigger',
    'a dependency that is no reference',
    trigger,
    `The provided annotation was not a corev1.ObjectReference: "[]": metadata.annotations[${DEPENDENCY}]\nit is no JSON object`,
    annotated(DEPENDENCY, '[]'),
  ],
  [
    'Trigger',
    'a dependency elsewhere',
    trigger,
    `Namespace must be empty or equal to the trigger namespace "default": metadata.annotations[${DEPENDENCY}].namespace\nmissing field(s): metadata.annotations[${DEPENDENCY}].apiVersion`,
    annotated(DEPENDENCY, '{"kind":"PingSource","name":"p","namespace":"n"}'),
  ],
  [
    'Trigger',
    'injection for another broker',
    { ...trigger, broker: 'b' },
    'The provided injection annotation is only used for default broker, but non-default broker specified here: "b": metadata.annotations[eventing.knative.dev/injection]',
    annotated('eventing.knative.dev/injection', 'enabled'),
  ],
  [
    'Trigger',
    'injection of neither kind',
    trigger,
    'The provided injection annotation value can only be "enabled" or "disabled", not "wut": metadata.annotations[eventing.knative.dev/injection]',
    annotated('eventing.knative.dev/injection', 'wut'),
  ],
  [
    'Trigger',
    'an order of Kafka that there is not',
    trigger,
    'invalid value: sorted: metadata.annotations[kafka.eventing.knative.dev/delivery.order]\nmust be "ordered" or "unordered"',
    annotated('kafka.eventing.knative.dev/delivery.order', 'sorted'),
  ],
  ['EventType', 'no type', { source: 'a' }, 'missing field(s): spec.type'],
  [
    'EventPolicy',
    'neither, both, and a star in the middle',
    { from: [{}, { sub: 'a*b' }], to: [{ ref: { kind: 'Broker' }, selector: {} }] },
    [
      'expected exactly one, got both: spec.to[0].ref, spec.to[0].selector',
      'expected exactly one, got neither: spec.from[0].ref, spec.from[0].sub',
      "invalid value: a*b: spec.from[1].sub\n'*' is only allowed as suffix",
      'missing field(s): spec.to[0].ref.apiVersion, spec.to[0].ref.name',
    ].join('\n'),
  ],
  ['EventTransform', 'nothing', {}, 'expected exactly one, got neither: spec.jsonata'],
  [
    'EventTransform',
    'a reply without sink',
    { jsonata: { expression: '$' }, reply: { discard: true } },
    'reply is set without spec.sink: spec.reply',
  ],
];
for (const [kind, what, spec, words, metadata, maps] of refused) {
  test(`${kind} refused: ${what}`, () => {
    const said = denied(object(kind, spec, metadata), undefined, maps);
    assert.equal(said.replace(/(parse error: ).*/s, '$1'), words);
  });
}

test('a slip of the pen in our annotations is told with what there is', () => {
  const words = denied(object('Trigger', trigger, annotated(`${W}/order-by`, 'subject')));
  assert.match(
    words,
    /^invalid value: subject: metadata\.annotations\[.*order-by\]\nthere are: .*ordered-by/,
  );
});
