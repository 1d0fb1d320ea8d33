import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../object.ts';
import { builtinRegistry } from '../registry.ts';

const registry = builtinRegistry();
const PREFIX =
  'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: ';

function strategyOf(plural: string) {
  return registry.find('serving.knative.dev', 'v1', plural)!.strategy;
}
const object = (kind: string, spec: object, metadata: object = {}): UntypedObject => ({
  apiVersion: 'serving.knative.dev/v1',
  kind,
  metadata: { name: 'hello', namespace: 'default', ...metadata },
  spec: structuredClone(spec),
});
const service = (spec: object, metadata: object = {}, template: object = {}): UntypedObject =>
  object('Service', { template: { metadata: template, spec }, traffic: undefined }, metadata);
const image = { containers: [{ image: 'dev.local/hello' }] };

/** The refusal of a create after defaulting, without its prefix; empty when accepted. */
function denied(plural: string, created: UntypedObject): string {
  const strategy = strategyOf(plural);
  strategy.setDefaults?.(created, undefined);
  const message = strategy.deny?.(created, undefined) ?? '';
  if (message === '') return '';
  assert.ok(message.startsWith(PREFIX), message);
  return message.slice(PREFIX.length);
}

test('defaults of a minimal Service', () => {
  const created = service(image);
  assert.equal(denied('services', created), '');
  assert.deepEqual(created.spec, {
    template: {
      metadata: {},
      spec: {
        containers: [
          {
            image: 'dev.local/hello',
            name: 'user-container',
            resources: {},
            readinessProbe: { tcpSocket: { port: 0 }, successThreshold: 1 },
          },
        ],
        timeoutSeconds: 300,
        containerConcurrency: 0,
        enableServiceLinks: false,
      },
    },
    traffic: [{ latestRevision: true, percent: 100 }],
  });
});

test('defaulting what is defaulted changes nothing', () => {
  const created = service(image);
  denied('services', created);
  const again = structuredClone(created);
  strategyOf('services').setDefaults?.(again, created);
  assert.deepEqual(again, created);
});

test('several containers are numbered, volumes are read-only, probes complete', () => {
  const created = service({
    containers: [
      {
        image: 'a',
        ports: [{ containerPort: 80 }],
        readinessProbe: { httpGet: { path: '/' }, periodSeconds: 5 },
        volumeMounts: [
          { name: 'c', mountPath: '/c' },
          { name: 'e', mountPath: '/e' },
        ],
      },
      { image: 'b' },
    ],
    volumes: [
      { name: 'c', configMap: { name: 'c' } },
      { name: 'e', emptyDir: {} },
    ],
  });
  assert.equal(denied('services', created), '');
  const [first, second] = created.spec.template.spec.containers;
  assert.deepEqual([first.name, second.name], ['user-container-0', 'user-container-1']);
  assert.deepEqual(first.readinessProbe, {
    httpGet: { path: '/' },
    periodSeconds: 5,
    successThreshold: 1,
    failureThreshold: 3,
    timeoutSeconds: 1,
  });
  assert.equal(second.readinessProbe, undefined);
  assert.deepEqual(first.volumeMounts, [
    { name: 'c', mountPath: '/c', readOnly: true },
    { name: 'e', mountPath: '/e' },
  ]);
});

const container = (fields: object): object => ({ containers: [{ image: 'i', ...fields }] });
const C = 'spec.template.spec.containers[0]';
const specs: [string, object, string][] = [
  ['no containers', {}, 'missing field(s): spec.template.spec.containers'],
  ['no image', { containers: [{}] }, `missing field(s): ${C}.image`],
  [
    'image that is none',
    container({ image: 'a b' }),
    `Failed to parse image reference: ${C}.image\nimage: "a b", error: could not parse reference: a b`,
  ],
  [
    'lifecycle and tty',
    container({ lifecycle: {}, tty: true }),
    `must not set the field(s): ${C}.lifecycle, ${C}.tty`,
  ],
  [
    'node selector',
    { ...container({}), nodeSelector: { a: 'b' } },
    'must not set the field(s): spec.template.spec.nodeSelector',
  ],
  [
    'reserved name',
    container({ name: 'queue-proxy' }),
    `"queue-proxy" is a reserved container name: ${C}.name`,
  ],
  [
    'reserved variable',
    container({ env: [{ name: 'K_SERVICE', value: 'x' }] }),
    `"K_SERVICE" is a reserved environment variable: ${C}.env[0].name`,
  ],
  [
    'port name',
    container({ ports: [{ name: 'web', containerPort: 1 }] }),
    `Port name web is not allowed: ${C}.ports\nName must be empty, or one of: 'h2c', 'http1'`,
  ],
  [
    'reserved port',
    container({ ports: [{ containerPort: 8012 }] }),
    `invalid value: 8012 is a reserved port: ${C}.ports.containerPort\n8012 is a reserved port, please use a different value`,
  ],
  [
    'port range',
    container({ ports: [{ containerPort: 70000 }] }),
    `expected 0 <= 70000 <= 65535: ${C}.ports.containerPort`,
  ],
  [
    'two ports',
    container({ ports: [{ containerPort: 1 }, { containerPort: 2 }] }),
    'more than one container port is set: spec.template.spec.containers[*].ports\nOnly a single port is allowed across all containers',
  ],
  [
    'two containers, no port',
    { containers: [{ image: 'a' }, { image: 'b' }] },
    'missing field(s): spec.template.spec.containers[*].ports',
  ],
  [
    'volume not mounted',
    { ...container({}), volumes: [{ name: 'v', emptyDir: {} }] },
    'volume with name "v" not mounted: spec.template.spec.volumes[0].name',
  ],
  [
    'mount without volume',
    container({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    `volumeMount has no matching volume: ${C}.volumeMounts[0].name`,
  ],
  [
    'reserved path',
    {
      ...container({ volumeMounts: [{ name: 'v', mountPath: '/dev/' }] }),
      volumes: [{ name: 'v', emptyDir: {} }],
    },
    `mountPath "/dev" is a reserved path: ${C}.volumeMounts[0].mountPath`,
  ],
  [
    'concurrency',
    { ...container({}), containerConcurrency: 1001 },
    'expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency',
  ],
  [
    'timeout',
    { ...container({}), timeoutSeconds: 601 },
    'expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds',
  ],
  [
    'idle timeout',
    { ...container({}), timeoutSeconds: 10, idleTimeoutSeconds: 11 },
    'expected 0 <= 11 <= 10: spec.template.spec.idleTimeoutSeconds',
  ],
  [
    'aggressive probing allows no thresholds',
    container({ readinessProbe: { failureThreshold: 3 } }),
    `failureThreshold is disallowed when periodSeconds is zero: ${C}.readinessProbe.failureThreshold`,
  ],
  [
    'privileged',
    container({ securityContext: { privileged: true } }),
    `must not set the field(s): ${C}.securityContext.privileged`,
  ],
];
for (const [what, spec, expected] of specs) {
  test(`Service refused: ${what}`, () => assert.equal(denied('services', service(spec)), expected));
}

test('names and annotations', () => {
  assert.match(
    denied('services', service(image, { name: '1st' })),
    /^not a DNS 1035 label: \[a DNS-1035 label must .*\]: metadata\.name$/,
  );
  assert.equal(
    denied('services', service(image, { annotations: { 'autoscaling.knative.dev/min-scale': '1' } })),
    'invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations\nautoscaling annotations must be put under "spec.template.metadata.annotations" to work',
  );
  const annotated = (annotations: object) => denied('services', service(image, {}, { annotations }));
  assert.equal(
    annotated({ 'autoscaling.knative.dev/min-scale': '1', 'autoscaling.knative.dev/maxScale': '0' }),
    '',
  );
  assert.equal(
    annotated({ 'autoscaling.knative.dev/min-scale': 'x' }),
    'invalid value: x: spec.template.metadata.annotations.autoscaling.knative.dev/min-scale',
  );
  assert.match(
    annotated({ 'autoscaling.knative.dev/min-scale': '3', 'autoscaling.knative.dev/max-scale': '2' }),
    /^max-scale=2 is less than min-scale=3: /,
  );
});

test('a name brought along', () => {
  assert.equal(denied('services', service(image, {}, { name: 'hello-v1' })), '');
  assert.equal(
    denied('services', service(image, {}, { name: 'other' })),
    'invalid value: "other" must have prefix "hello-": spec.template.metadata.name',
  );
  assert.equal(
    denied('services', service(image, { generateName: 'hello-', name: 'hello-x' }, { name: 'hello-x-v1' })),
    'must not set the field(s): spec.template.metadata.name',
  );
  const strategy = strategyOf('services');
  const old = service(image, {}, { name: 'hello-v1' });
  strategy.setDefaults?.(old, undefined);
  const next = structuredClone(old);
  assert.equal(strategy.deny?.(next, old), undefined);
  next.spec.template.spec.containers[0].image = 'dev.local/other';
  assert.equal(
    strategy.deny?.(next, old),
    `${PREFIX}Saw the following changes without a name change (-old +new): spec.template.metadata.name\nspec.template.spec.containers[0].image:\n\t-: "dev.local/hello"\n\t+: "dev.local/other"\n`,
  );
  next.spec.template.metadata.name = 'hello-v2';
  assert.equal(strategy.deny?.(next, old), undefined);
});

const traffics: [string, object[], string][] = [
  ['sum', [{ percent: 50, latestRevision: true }], 'Traffic targets sum to 50, want 100: spec.traffic'],
  [
    'percent',
    [{ percent: 101 }, { percent: -1 }],
    'expected 0 <= -1 <= 100: spec.traffic[1].percent\nexpected 0 <= 101 <= 100: spec.traffic[0].percent',
  ],
  [
    'tags',
    [{ percent: 100, tag: 'a' }, { tag: 'a' }],
    'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
  ],
  [
    'configuration',
    [{ percent: 100, configurationName: 'c' }],
    'must not set the field(s): spec.traffic[0].configurationName',
  ],
  [
    'latest and a revision',
    [{ percent: 100, revisionName: 'r', latestRevision: true }],
    'may not set revisionName "r" when latestRevision is true: spec.traffic[0].latestRevision',
  ],
  ['url', [{ percent: 100, url: 'http://x' }], 'must not set the field(s): spec.traffic[0].url'],
];
for (const [what, traffic, expected] of traffics) {
  test(`traffic refused: ${what}`, () => {
    const created = service(image);
    created.spec.traffic = traffic;
    assert.equal(denied('services', created), expected);
  });
}

test('a Route names one of revision and configuration', () => {
  const route = (target: object) =>
    denied('routes', object('Route', { traffic: [{ percent: 100, ...target }] }));
  assert.equal(route({ configurationName: 'c' }), '');
  assert.equal(route({ revisionName: 'r' }), '');
  assert.match(
    route({}),
    /^expected exactly one, got neither: spec\.traffic\[0\]\.configurationName, spec\.traffic\[0\]\.revisionName$/,
  );
  assert.match(route({ configurationName: 'c', revisionName: 'r' }), /^expected exactly one, got both/);
});

test('a Revision never changes, and is not defaulted again', () => {
  const strategy = strategyOf('revisions');
  const old = object('Revision', image);
  strategy.setDefaults?.(old, undefined);
  const next = structuredClone(old);
  delete next.spec.timeoutSeconds;
  strategy.setDefaults?.(next, old);
  assert.equal(next.spec.timeoutSeconds, undefined);
  assert.match(
    strategy.deny?.(next, old) ?? '',
    /Immutable fields changed \(-old \+new\): spec\nspec\.timeoutSeconds:\n\t-: 300/,
  );
  assert.equal(
    strategy.deny?.({ ...old, metadata: { ...old.metadata, labels: { a: 'b' } } }, old),
    undefined,
  );
});

test('who created and who changed', () => {
  const strategy = strategyOf('services');
  const [creator, modifier] = ['serving.knative.dev/creator', 'serving.knative.dev/lastModifier'];
  const old = service(image);
  strategy.setDefaults?.(old, undefined, 'ann');
  assert.deepEqual(old.metadata.annotations, { [creator]: 'ann', [modifier]: 'ann' });
  const next = structuredClone(old);
  strategy.setDefaults?.(next, old, 'bob');
  assert.equal(next.metadata.annotations?.[modifier], 'ann', 'the spec did not change');
  next.spec.template.spec.timeoutSeconds = 5;
  strategy.setDefaults?.(next, old, 'bob');
  assert.deepEqual(next.metadata.annotations, { [creator]: 'ann', [modifier]: 'bob' });
  assert.equal(strategy.deny?.(next, old), undefined);
  next.metadata.annotations = { [creator]: 'eve', [modifier]: 'bob' };
  assert.equal(
    strategy.deny?.(next, old),
    `${PREFIX}annotation value is immutable: metadata.annotations.${creator}`,
  );
  const owned = service(image, {
    ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 'x', uid: '1' }],
  });
  strategyOf('configurations').setDefaults?.(owned, undefined, 'ann');
  assert.equal(owned.metadata.annotations, undefined);
});
