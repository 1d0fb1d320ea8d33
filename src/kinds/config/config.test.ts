import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONFIG_NAMES,
  configMapProblem,
  DEFAULT_SERVING_CONFIG,
  domainFor,
  parseConfigAutoscaler,
  parseConfigDefaults,
  parseConfigDeployment,
  parseConfigDomain,
  parseConfigFeatures,
  parseConfigGc,
  parseConfigNetwork,
  runtimeClassFor,
  withConfigMap,
} from './index.ts';

test('what upstream gives as examples is accepted, and mostly says what holds anyway', () => {
  const examples = {
    'container-concurrency-target-percentage': '70',
    'container-concurrency-target-default': '100',
    'requests-per-second-target-default': '200',
    'target-burst-capacity': '211',
    'stable-window': '60s',
    'panic-window-percentage': '10.0',
    'panic-threshold-percentage': '200.0',
    'max-scale-up-rate': '1000.0',
    'max-scale-down-rate': '2.0',
    'enable-scale-to-zero': 'true',
    'scale-to-zero-grace-period': '30s',
    'scale-to-zero-pod-retention-period': '0s',
    'pod-autoscaler-class': 'kpa.autoscaling.knative.dev',
    'activator-capacity': '100.0',
    'initial-scale': '1',
    'min-scale': '0',
    'max-scale': '0',
    'scale-down-delay': '0s',
    'max-scale-limit': '0',
  };
  assert.deepEqual(parseConfigAutoscaler(examples), DEFAULT_SERVING_CONFIG.autoscaler);
  assert.deepEqual(
    parseConfigGc({
      'retain-since-create-time': '48h',
      'retain-since-last-active-time': '15h',
      'min-non-active-revisions': '20',
      'max-non-active-revisions': '1000',
    }),
    DEFAULT_SERVING_CONFIG.gc,
  );
  const deployment = parseConfigDeployment({
    'registries-skipping-tag-resolving': 'kind.local, ko.local,dev.local',
    'digest-resolution-timeout': '10s',
    'progress-deadline': '600s',
    'queue-sidecar-cpu-request': '25m',
    'runtime-class-name': '',
    'pod-is-always-schedulable': 'false',
  });
  assert.deepEqual(deployment, DEFAULT_SERVING_CONFIG.deployment);
});

test('values are read, whatever their spelling', () => {
  assert.equal(
    parseConfigAutoscaler({ 'container-concurrency-target-percentage': '0.5' })
      .containerConcurrencyTargetFraction,
    0.5,
  );
  assert.equal(parseConfigAutoscaler({ 'stable-window': '1m30s' }).stableWindowMs, 90_000);
  assert.equal(parseConfigFeatures({ 'kubernetes.podspec-affinity': 'dIsAbLeD' }).affinity, 'Disabled');
  assert.equal(
    parseConfigFeatures({ 'secure-pod-defaults': 'allowrootbounded' }).securePodDefaults,
    'AllowRootBounded',
  );
  const gc = parseConfigGc({
    'retain-since-create-time': 'Disabled',
    'max-non-active-revisions': 'disabled',
  });
  assert.deepEqual([gc.retainSinceCreateTimeMs, gc.maxNonActiveRevisions], [undefined, undefined]);
  const defaults = parseConfigDefaults({
    'revision-timeout-seconds': '100',
    'revision-cpu-request': '400m',
    'enable-service-links': 'default',
    'container-name-template': '{{.Name}}-{{.Namespace}}',
  });
  assert.equal(defaults.responseStartTimeoutSeconds, 100, 'follows the time-out');
  assert.deepEqual([defaults.requests, defaults.limits], [{ cpu: '400m' }, {}]);
  assert.equal(defaults.enableServiceLinks, undefined);
  assert.equal(defaults.containerName({ Name: 'a', Namespace: 'b' }), 'a-b');
  const network = parseConfigNetwork({
    'domain-template': '{{.Name}}.{{.Domain}}',
    rolloutDuration: '30',
    'rollout-duration': '60',
  });
  assert.equal(network.domainTemplate({ Name: 'n', Namespace: 's', Domain: 'd' }), 'n.d');
  const byAnnotation = parseConfigNetwork({ 'domain-template': '{{index .Annotations "sub"}}.{{.Domain}}' });
  const values = { Name: 'n', Namespace: 's', Domain: 'd', Annotations: { sub: 'x' } };
  assert.equal(byAnnotation.domainTemplate(values), 'x.d');
  assert.equal(network.tagTemplate({ Name: 'n', Tag: 't' }), 't-n');
  assert.equal(network.rolloutDurationSeconds, 60, 'the newer key counts');
  assert.equal(parseConfigNetwork({ 'http-protocol': 'Redirected' }).httpProtocol, 'redirected');
});

test('the domain of a Route is that of the most specific selector', () => {
  const config = parseConfigDomain({
    'example.com': '',
    'example.org': 'selector:\n  app: nonprofit\n',
    'special.org': 'selector:\n  app: nonprofit\n  tier: gold',
    _example: 'not: [read',
  });
  assert.equal(domainFor(config), 'example.com');
  assert.equal(domainFor(config, { app: 'nonprofit' }), 'example.org');
  assert.equal(domainFor(config, { app: 'nonprofit', tier: 'gold' }), 'special.org');
  assert.equal(
    domainFor(config, { 'networking.knative.dev/visibility': 'cluster-local' }),
    'svc.cluster.local',
  );
  assert.equal(domainFor(parseConfigDomain({}, 'localhost')), 'localhost');
  assert.equal(domainFor(parseConfigDomain({ 'one.com': 'selector: {tier: 1}' }), { tier: '1' }), 'one.com');
  assert.equal(domainFor(parseConfigDomain({ 'b.com': '', 'a.com': '' })), 'a.com');
});

test('the runtime class of a Revision follows its labels', () => {
  const config = parseConfigDeployment({
    'runtime-class-name': 'kata: {}\ngvisor:\n  selector:\n    my-label: selector\n',
  });
  assert.equal(runtimeClassFor(config), 'kata');
  assert.equal(runtimeClassFor(config, { 'my-label': 'selector' }), 'gvisor');
  assert.equal(runtimeClassFor(DEFAULT_SERVING_CONFIG.deployment), undefined);
});

const wrong: [string, Record<string, string>, string][] = [
  [
    'autoscaler',
    { 'initial-scale': 'x' },
    'failed to parse data: failed to parse "initial-scale": strconv.ParseInt: parsing "x": invalid syntax',
  ],
  [
    'autoscaler',
    { 'min-scale': '3000000000' },
    'failed to parse data: failed to parse "min-scale": strconv.ParseInt: parsing "3000000000": value out of range',
  ],
  [
    'autoscaler',
    { 'enable-scale-to-zero': 'yes' },
    'failed to parse data: failed to parse "enable-scale-to-zero": strconv.ParseBool: parsing "yes": invalid syntax',
  ],
  [
    'autoscaler',
    { 'max-scale-up-rate': 'fast' },
    'failed to parse data: failed to parse "max-scale-up-rate": strconv.ParseFloat: parsing "fast": invalid syntax',
  ],
  [
    'autoscaler',
    { 'stable-window': '60' },
    'failed to parse data: failed to parse "stable-window": time: missing unit in duration "60"',
  ],
  [
    'autoscaler',
    { 'stable-window': '1x' },
    'failed to parse data: failed to parse "stable-window": time: unknown unit "x" in duration "1x"',
  ],
  [
    'autoscaler',
    { 'stable-window': 'soon' },
    'failed to parse data: failed to parse "stable-window": time: invalid duration "soon"',
  ],
  [
    'autoscaler',
    { 'scale-to-zero-grace-period': '-4m' },
    'scale-to-zero-grace-period must be positive, was: -4m0s',
  ],
  ['autoscaler', { 'scale-down-delay': '-1s' }, 'scale-down-delay cannot be negative, was: -1s'],
  [
    'autoscaler',
    { 'scale-down-delay': '14ms' },
    'scale-down-delay = 14ms, must be specified with at most second precision',
  ],
  [
    'autoscaler',
    { 'scale-to-zero-pod-retention-period': '-4s' },
    'scale-to-zero-pod-retention-period cannot be negative, was: -4s',
  ],
  [
    'autoscaler',
    { 'target-burst-capacity': '-11' },
    'target-burst-capacity must be either non-negative or -1 (for unlimited), was: -11.000000',
  ],
  [
    'autoscaler',
    { 'container-concurrency-target-percentage': '-42' },
    'container-concurrency-target-percentage = -42.000000 is outside of valid range of (0, 100]',
  ],
  [
    'autoscaler',
    { 'container-concurrency-target-percentage': '120' },
    'container-concurrency-target-percentage = 1.200000 is outside of valid range of (0, 100]',
  ],
  [
    'autoscaler',
    { 'container-concurrency-target-default': '0.01' },
    "container-concurrency-target-percentage and container-concurrency-target-default yield target concurrency of 0.006999999999999999, can't be less than 0.01",
  ],
  [
    'autoscaler',
    { 'requests-per-second-target-default': '0' },
    'requests-per-second-target-default must be at least 0.01, was: 0',
  ],
  ['autoscaler', { 'activator-capacity': '0.95' }, 'activator-capacity = 0.95, must be at least 1'],
  ['autoscaler', { 'max-scale-up-rate': '1' }, 'max-scale-up-rate = 1, must be greater than 1.0'],
  ['autoscaler', { 'max-scale-down-rate': '0.5' }, 'max-scale-down-rate = 0.5, must be greater than 1.0'],
  ['autoscaler', { 'stable-window': '4s' }, 'stable-window = 4s, must be in [6s; 1h0m0s] range'],
  [
    'autoscaler',
    { 'stable-window': '60s10ms' },
    'stable-window = 1m0.01s, must be specified with at most second precision',
  ],
  [
    'autoscaler',
    { 'panic-window-percentage': '110' },
    'panic-window-percentage = 110, must be in [1, 100] interval',
  ],
  [
    'autoscaler',
    { 'initial-scale': '-1' },
    'initial-scale = -1, must be at least 0 (or at least 1 when allow-zero-initial-scale is false)',
  ],
  [
    'autoscaler',
    { 'initial-scale': '0', 'allow-zero-initial-scale': 'false' },
    'initial-scale = 0, must be at least 0 (or at least 1 when allow-zero-initial-scale is false)',
  ],
  ['autoscaler', { 'min-scale': '-1' }, 'min-scale = -1, must be at least 0'],
  ['autoscaler', { 'max-scale': '-1' }, 'max-scale = -1, must be in [0, max-scale-limit(0)] range'],
  [
    'autoscaler',
    { 'max-scale': '11', 'max-scale-limit': '10' },
    'max-scale = 11, must be in [1, max-scale-limit(10)] range',
  ],
  [
    'autoscaler',
    { 'max-scale': '0', 'max-scale-limit': '10' },
    'max-scale = 0, must be in [1, max-scale-limit(10)] range',
  ],
  ['autoscaler', { 'max-scale-limit': '-1' }, 'max-scale-limit = -1, must be at least 0'],
  ['autoscaler', { 'min-scale': '4', 'max-scale': '3' }, 'min-scale (4) must be less than max-scale (3)'],
  [
    'defaults',
    { 'revision-timeout-seconds': 'asdf' },
    'failed to parse "revision-timeout-seconds": strconv.ParseInt: parsing "asdf": invalid syntax',
  ],
  [
    'defaults',
    { 'revision-cpu-request': 'bad' },
    'failed to parse "revision-cpu-request": quantities must match the regular expression \'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$\'',
  ],
  [
    'defaults',
    { 'revision-timeout-seconds': '601' },
    'revision-timeout-seconds (601) cannot be greater than max-revision-timeout-seconds (600)',
  ],
  [
    'defaults',
    { 'revision-response-start-timeout-seconds': '301' },
    'revision-response-start-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)',
  ],
  [
    'defaults',
    { 'revision-idle-timeout-seconds': '301' },
    'revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)',
  ],
  [
    'defaults',
    { 'container-concurrency-max-limit': '0' },
    'expected 1 <= 0 <= 2147483647: container-concurrency-max-limit',
  ],
  ['defaults', { 'container-concurrency': '2000' }, 'expected 0 <= 2000 <= 1000: container-concurrency'],
  [
    'defaults',
    { 'container-name-template': '{{.Name' },
    'failed to parse "container-name-template": template: unclosed action',
  ],
  [
    'defaults',
    { 'container-name-template': '{{.NotAField}}' },
    "error executing template: template: can't evaluate field NotAField in <.NotAField>",
  ],
  [
    'features',
    { 'kubernetes.podspec-affinity': 'off' },
    'failed to parse "kubernetes.podspec-affinity": must be one of Enabled, Allowed, Disabled, was "off"',
  ],
  [
    'features',
    { 'secure-pod-defaults': 'Allowed' },
    'failed to parse "secure-pod-defaults": must be one of Enabled, AllowRootBounded, Disabled, was "Allowed"',
  ],
  [
    'gc',
    { 'retain-since-create-time': '-1h' },
    'failed to parse retain-since-create-time: must be non-negative',
  ],
  ['gc', { 'min-non-active-revisions': '-1' }, 'min-non-active-revisions must be non-negative, was: -1'],
  [
    'gc',
    { 'max-non-active-revisions': '10' },
    'min-non-active-revisions(20) must be <= max-non-active-revisions(10)',
  ],
  ['network', { 'rollout-duration': '-1' }, 'rollout-duration must be a positive integer, but was -1'],
  [
    'network',
    { 'rollout-duration': 'mil' },
    'failed to parse "rollout-duration": strconv.ParseInt: parsing "mil": invalid syntax',
  ],
  [
    'network',
    { 'domain-template': '{{.Name}}/{{.Domain}}' },
    'failed to parse "domain-template": domain template has url path: /baz.com',
  ],
  [
    'network',
    { 'domain-template': '{{.Foo}}' },
    'failed to parse "domain-template": template: can\'t evaluate field Foo in <.Foo>',
  ],
  ['network', { 'domain-template': ' ' }, 'failed to parse "domain-template": empty hostname'],
  [
    'network',
    { 'domain-template': '{{.Labels.app}}.com' },
    'failed to parse "domain-template": "<no value>.com" is no host name',
  ],
  ['network', { 'tag-template': '{{.Tag}' }, 'failed to parse "tag-template": template: unclosed action'],
  [
    'network',
    { 'http-protocol': 'under-the-bridge' },
    'httpProtocol under-the-bridge in config-network ConfigMap is not supported',
  ],
  [
    'network',
    { 'system-internal-tls': 'maybe' },
    'system-internal-tls with value: "maybe" in config-network ConfigMap is not supported',
  ],
  ['domain', { bad_domain: '' }, 'failed to parse "bad_domain": a lowercase RFC 1123 subdomain'],
  ['domain', { 'a.com': 'selector: 5' }, 'failed to parse "a.com": selector must be a map from text to text'],
  ['domain', { 'a.com': 'k: [' }, 'failed to parse "a.com": '],
  [
    'deployment',
    { 'progress-deadline': '-1s' },
    'progress-deadline cannot be a non-positive duration, was -1s',
  ],
  [
    'deployment',
    { 'progress-deadline': '1982ms' },
    'progress-deadline must be rounded to a whole second, was: 1.982s',
  ],
  [
    'deployment',
    { 'digest-resolution-timeout': '-1s' },
    'digest-resolution-timeout cannot be a non-positive duration, was -1s',
  ],
  [
    'deployment',
    { 'default-affinity-type': 'coconut' },
    'unsupported default-affinity-type value: "coconut"',
  ],
  [
    'deployment',
    { 'queue-sidecar-cpu-request': 'x' },
    'failed to parse "queue-sidecar-cpu-request": quantities must match',
  ],
  [
    'deployment',
    { 'runtime-class-name': '???: {}' },
    'runtime-class-name ??? selector not valid DNSSubdomain: [',
  ],
  [
    'gc',
    { 'min-non-active-revisions': '' },
    'failed to parse data: failed to parse "min-non-active-revisions": strconv.ParseInt: parsing "": invalid syntax',
  ],
  [
    'gc',
    { 'max-non-active-revisions': '-1' },
    'failed to parse max-non-active-revisions: strconv.ParseUint: parsing "-1": invalid syntax',
  ],
  [
    'autoscaler',
    { 'stable-window': '1m1' },
    'failed to parse data: failed to parse "stable-window": time: missing unit in duration "1m1"',
  ],
];
for (const [name, data, expected] of wrong) {
  test(`config-${name} refused: ${JSON.stringify(data)}`, () => {
    const problem = configMapProblem(`config-${name}`, data) ?? '';
    assert.equal(problem.slice(0, expected.length), expected);
  });
}

test('the example is not to be edited, and other ConfigMaps are none of our business', () => {
  const annotations = { 'knative.dev/example-checksum': '8587edfa' };
  assert.match(
    configMapProblem('config-gc', { _example: 'edited' }, annotations) ?? '',
    /^the update modifies a key in "_example"/,
  );
  assert.equal(configMapProblem('config-gc', { _example: 'anything' }), undefined);
  assert.equal(configMapProblem('config-mine', { 'initial-scale': 'x' }), undefined);
});

test('one ConfigMap after another, and back', () => {
  const changed = withConfigMap(DEFAULT_SERVING_CONFIG, 'config-gc', { 'min-non-active-revisions': '2' });
  assert.equal(changed.gc.minNonActiveRevisions, 2);
  assert.equal(changed.autoscaler, DEFAULT_SERVING_CONFIG.autoscaler);
  assert.equal(withConfigMap(changed, 'config-gc', { 'min-non-active-revisions': 'x' }), changed);
  assert.deepEqual(withConfigMap(changed, 'config-gc', undefined), DEFAULT_SERVING_CONFIG);
  assert.equal(CONFIG_NAMES.length, 7);
});
