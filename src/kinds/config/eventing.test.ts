import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_EVENTING_CONFIG,
  EVENTING_CONFIG_MAPS,
  EVENTING_CONFIG_NAMES,
  eventingConfigMapProblem,
  withEventingConfigMap,
} from './eventing.ts';

const configured = (name: string, data: Record<string, string>) =>
  withEventingConfigMap(DEFAULT_EVENTING_CONFIG, name, data);

test('without ConfigMaps, and with those that are made, the same holds', () => {
  const made = Object.entries(EVENTING_CONFIG_MAPS).reduce(
    (config, [name, data]) => withEventingConfigMap(config, name, data),
    DEFAULT_EVENTING_CONFIG,
  );
  for (const config of [DEFAULT_EVENTING_CONFIG, made]) {
    assert.equal(config.brokers.classFor('any'), 'Petrel');
    assert.deepEqual(config.brokers.configFor('any'), {
      delivery: { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' },
    });
    assert.deepEqual(config.channelFor('any'), {
      apiVersion: 'messaging.knative.dev/v1',
      kind: 'InMemoryChannel',
    });
    assert.equal(config.ping.dataMaxSize, -1);
    assert.equal(config.features.deliveryTimeout, 'Enabled');
    assert.equal(config.features.authenticationOidc, 'Disabled');
    assert.deepEqual(config.sugar, {});
  }
  for (const name of EVENTING_CONFIG_NAMES) assert.ok(Object.hasOwn(EVENTING_CONFIG_MAPS, name), name);
});

// The flow chart of upstream's `GetBrokerConfig`.
const BROKERS = {
  'default-br-config': `
clusterDefault:
  brokerClass: Cluster
  kind: ConfigMap
  name: cluster
  brokerClasses:
    Special: { kind: ConfigMap, name: special }
namespaceDefaults:
  own:
    brokerClass: Own
    kind: ConfigMap
    name: own
    brokerClasses:
      Other: { kind: ConfigMap, name: other-of-own }
  bare: { brokerClass: Special }
  strict: { disallowDifferentNamespaceConfig: true }
`,
};
const choices: [namespace: string, brokerClass: string | undefined, name: string][] = [
  ['any', undefined, 'cluster'],
  ['any', 'Cluster', 'cluster'],
  ['any', 'Special', 'special'],
  ['any', 'Unknown', 'cluster'],
  ['own', undefined, 'own'],
  ['own', 'Own', 'own'],
  ['own', 'Other', 'other-of-own'],
  ['own', 'Special', 'special'],
  ['own', 'Unknown', 'cluster'],
  ['bare', undefined, 'special'],
];
for (const [namespace, brokerClass, name] of choices) {
  test(`config of a Broker of class ${brokerClass} in ${namespace} is ${name}`, () => {
    const { brokers } = configured('config-br-defaults', BROKERS);
    assert.equal(brokers.configFor(namespace, brokerClass)?.config?.name, name);
  });
}

test('classes by namespace, and whether a config may be elsewhere', () => {
  const { brokers } = configured('config-br-defaults', BROKERS);
  assert.deepEqual(['any', 'own', 'bare'].map(brokers.classFor), ['Cluster', 'Own', 'Special']);
  assert.deepEqual(['any', 'strict'].map(brokers.foreignConfig), [true, false]);
});

test('what cannot be used changes nothing, and is told', () => {
  const bad: [name: string, data: Record<string, string>, why: RegExp][] = [
    ['config-br-defaults', { 'default-br-config': 'a: [' }, /Failed to parse the entry/],
    ['config-br-defaults', { 'default-br-config': 'text' }, /must be a map/],
    ['config-ping-defaults', { 'data-max-size': 'big' }, /failed to parse "data-max-size"/],
    ['config-features', { 'delivery-timeout': 'maybe' }, /must be one of Enabled, Disabled, Allowed/],
  ];
  for (const [name, data, why] of bad) {
    assert.equal(configured(name, data), DEFAULT_EVENTING_CONFIG, name);
    assert.match(eventingConfigMapProblem(name, data) ?? '', why);
  }
  assert.equal(eventingConfigMapProblem('config-of-nobody', { a: 'b' }), undefined);
});

test('flags are read in any case, with values of their own where there are some', () => {
  const { features } = configured('config-features', {
    'transport-encryption': 'strict',
    'default-authorization-mode': 'DENY-ALL',
    'kreference-group': 'ENABLED',
    'something-new': 'enabled',
  });
  assert.deepEqual(
    [features.transportEncryption, features.defaultAuthorizationMode, features.kreferenceGroup],
    ['Strict', 'Deny-All', 'Enabled'],
  );
});

test('sugar and mappings', () => {
  const { sugar } = configured('config-sugar', {
    'namespace-selector': '{}',
    'trigger-selector': 'matchLabels: { a: b }',
  });
  assert.deepEqual(sugar, { namespaces: {}, triggers: { matchLabels: { a: 'b' } } });
  const { mapping } = configured('config-kreference-mapping', { 'Pod.v1': 'http://x', _example: 'y' });
  assert.deepEqual(mapping, { 'Pod.v1': 'http://x' });
});
