import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../../object.ts';
import {
  changed,
  configured,
  context,
  denied,
  image,
  object,
  PREFIX,
  service,
  stored,
  strategyOf,
} from './testing.ts';

const A = 'autoscaling.knative.dev';
const C = 'spec.template.spec.containers[0]';
const container = (fields: object): object => ({ containers: [{ image: 'i', ...fields }] });

test('defaults of a minimal Service', () => {
  const created = stored(service(image));
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
  const created = stored(service(image));
  const again = structuredClone(created);
  strategyOf('services').setDefaults?.(again, created, context);
  assert.deepEqual(again, created);
});

test('several containers are numbered, volumes are read-only, probes complete', () => {
  const created = stored(
    service({
      containers: [
        {
          image: 'a',
          ports: [{ containerPort: 80 }],
          readinessProbe: { httpGet: { path: '/' }, periodSeconds: 5 },
          livenessProbe: { grpc: { port: 80 } },
          volumeMounts: [
            { name: 'c', mountPath: '/c' },
            { name: 'e', mountPath: '/e' },
          ],
        },
        { image: 'b', readinessProbe: { tcpSocket: { port: 1 }, timeoutSeconds: 0 } },
        { image: 'c' },
      ],
      initContainers: [{ image: 'i' }, { image: 'j', name: 'mine' }, { image: 'k' }],
      volumes: [
        { name: 'c', configMap: { name: 'c' } },
        { name: 'e', emptyDir: {} },
      ],
    }),
  );
  const { containers, initContainers } = created.spec.template.spec;
  const [first, second, third] = containers;
  assert.deepEqual(
    [...containers, ...initContainers].map((c) => c.name),
    [
      'user-container-0',
      'user-container-1',
      'user-container-2',
      'init-container-0',
      'mine',
      'init-container-1',
    ],
  );
  assert.deepEqual(first.readinessProbe, {
    httpGet: { path: '/' },
    periodSeconds: 5,
    successThreshold: 1,
    failureThreshold: 3,
    timeoutSeconds: 1,
  });
  assert.equal(first.livenessProbe.grpc.service, '');
  assert.deepEqual(second.readinessProbe, { tcpSocket: { port: 1 }, timeoutSeconds: 0, successThreshold: 1 });
  assert.equal(third.readinessProbe, undefined);
  assert.deepEqual(first.volumeMounts, [
    { name: 'c', mountPath: '/c', readOnly: true },
    { name: 'e', mountPath: '/e' },
  ]);
});

test('a long name of the container is cut so that its number fits', () => {
  const name = 'x'.repeat(63);
  const config = configured({ defaults: { 'container-name-template': '{{.Name}}' } });
  const created = service({ containers: [{ image: 'a', ports: [{}] }, { image: 'b' }] }, { name });
  assert.equal(denied('services', created, config), '');
  const [first, second] = created.spec.template.spec.containers;
  assert.match(first.name, /^x{29}[0-9a-f]{32}-0$/);
  assert.match(second.name, /^x{29}[0-9a-f]{32}-1$/);
});

test('time-outs of a part are filled in where they end before the whole', () => {
  const filled = (spec: object, defaults: Record<string, string>) => {
    const created = service({ ...image, ...spec });
    denied('services', created, configured({ defaults }));
    const { timeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds } = created.spec.template.spec;
    return [timeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds];
  };
  assert.deepEqual(filled({}, {}), [300, undefined, undefined]);
  assert.deepEqual(filled({ timeoutSeconds: 0 }, {}), [300, undefined, undefined]);
  assert.deepEqual(filled({ timeoutSeconds: 400 }, {}), [400, 300, undefined]);
  assert.deepEqual(filled({ timeoutSeconds: 100 }, { 'revision-idle-timeout-seconds': '20' }), [
    100,
    undefined,
    20,
  ]);
  assert.deepEqual(filled({ timeoutSeconds: 10 }, { 'revision-idle-timeout-seconds': '20' }), [
    10,
    undefined,
    undefined,
  ]);
});

test('config-defaults fills in what the Service leaves out', () => {
  const created = service({
    containers: [{ image: 'i', resources: { requests: { cpu: 1 } } }],
    containerConcurrency: null,
  });
  const config = configured({
    defaults: {
      'revision-timeout-seconds': '30',
      'container-concurrency': '5',
      'revision-cpu-request': '400m',
      'revision-memory-limit': '200M',
      'container-name-template': '{{.Name}}-{{.Namespace}}',
      'enable-service-links': 'default',
    },
  });
  assert.equal(denied('services', created, config), '');
  const { spec } = created.spec.template;
  assert.deepEqual(
    [spec.timeoutSeconds, spec.containerConcurrency, 'enableServiceLinks' in spec],
    [30, 5, false],
  );
  assert.equal(spec.containers[0].name, 'hello-default');
  assert.deepEqual(spec.containers[0].resources, { requests: { cpu: '1' }, limits: { memory: '200M' } });
});

test('secure-pod-defaults fills in what the restricted profile asks for', () => {
  const secured = (value: string, spec: object = {}) => {
    const created = service({ containers: [{ image: 'i', ports: [{ containerPort: 80 }] }], ...spec });
    assert.equal(denied('services', created, configured({ features: { 'secure-pod-defaults': value } })), '');
    return created.spec.template.spec.containers[0].securityContext;
  };
  const bounded = {
    allowPrivilegeEscalation: false,
    seccompProfile: { type: 'RuntimeDefault' },
    capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
  };
  assert.deepEqual(secured('allowrootbounded'), bounded);
  assert.deepEqual(secured('Enabled'), { ...bounded, runAsNonRoot: true });
  assert.deepEqual(secured('Enabled', { securityContext: { runAsNonRoot: false } }), bounded);
  assert.equal(secured('Disabled'), undefined);
});

test('names', () => {
  const wrong = /^not a DNS 1035 label: \[a DNS-1035 label must .*\]: metadata\.name$/;
  assert.match(denied('services', service(image, { name: '1st' })), wrong);
  assert.match(
    denied('configurations', object('Configuration', { template: { spec: image } }, { name: 'a.b' })),
    wrong,
  );
  assert.match(
    denied('routes', object('Route', { traffic: [{ percent: 100, revisionName: 'r' }] }, { name: 'A' })),
    wrong,
  );
  assert.match(
    denied('services', service(image, { name: 'x', generateName: '1a-' })),
    /^not a DNS 1035 label prefix: \[a DNS-1035 label must .*\]: metadata\.generateName$/,
  );
});

test('annotations of a Service: those of revisions are refused, the bounds of all of them are not', () => {
  const with_ = (given: object) => denied('services', service(image, { annotations: given }));
  const misplaced = (key: string) =>
    `invalid key name "${key}": metadata.annotations\nautoscaling annotations must be put under "spec.template.metadata.annotations" to work`;
  assert.equal(with_({ [`${A}/target`]: '1' }), misplaced(`${A}/target`));
  assert.equal(with_({ [`${A}/min-scale`]: '1', [`${A}/max-scale`]: '5' }), '');
  assert.equal(with_({ [`${A}/min-scale`]: 'x' }), `invalid value: x: metadata.annotations.${A}/min-scale`);
  assert.equal(
    with_({ [`${A}/min-scale`]: '5', [`${A}/max-scale`]: '1' }),
    `max-scale=1 is less than min-scale=5: metadata.annotations.${A}/max-scale, metadata.annotations.${A}/min-scale`,
  );
  const own = (name: string, value: string) => with_({ [`autoscaling.petrel.dev/${name}`]: value });
  assert.equal(
    own('min-scale', 'x'),
    'invalid value: x: metadata.annotations.autoscaling.petrel.dev/min-scale',
  );
  assert.match(own('window', '1s'), /^expected 6s <= 1s <= 1h0m0s: .*petrel\.dev\/window$/);
  assert.equal(own('metric', 'cpu'), '', "the class may be the template's");
  assert.match(own('class', 'x.knative.dev'), /^invalid value: x\.knative\.dev/);
  for (const [name, value] of [
    ['min-scale', '2'],
    ['class', 'hybrid.autoscaling.petrel.dev'],
    ['keep-alive', '10m'],
  ] as const)
    assert.equal(own(name, value), '', name);
  const route = (metadata: object) =>
    denied(
      'routes',
      object(
        'Route',
        { traffic: [{ percent: 100, revisionName: 'r' }] },
        { annotations: { [`${A}/min-scale`]: '1' }, ...metadata },
      ),
    );
  assert.equal(route({}), misplaced(`${A}/min-scale`));
  assert.equal(
    route({ ownerReferences: [{ kind: 'Service', name: 'hello' }] }),
    '',
    "a copy of the Service's",
  );
});

test('roll-out durations', () => {
  const K = 'serving.knative.dev/rollout-duration';
  const with_ = (value: string, key = K) =>
    denied('services', service(image, { annotations: { [key]: value } }));
  assert.equal(with_('23s'), '');
  assert.equal(with_('soon'), `invalid value: soon: metadata.annotations.${K}`);
  assert.equal(
    with_('1982ms'),
    `rollout-duration=1982ms is not at second precision: metadata.annotations.${K}`,
  );
  assert.equal(
    with_('-1s', 'serving.knative.dev/rolloutDuration'),
    'rollout-duration=-1s must be positive: metadata.annotations.serving.knative.dev/rolloutDuration',
  );
});

test('labels that name an owner', () => {
  const configuration = (ownerReferences: object[]) =>
    denied(
      'configurations',
      object(
        'Configuration',
        { template: { spec: image } },
        { labels: { 'serving.knative.dev/service': 's' }, ownerReferences },
      ),
    );
  assert.equal(configuration([]), 'missing field(s): metadata.labels.serving.knative.dev/service');
  assert.equal(
    configuration([{ kind: 'Service', name: 'other' }]),
    'missing field(s): metadata.labels.serving.knative.dev/service',
  );
  assert.equal(configuration([{ kind: 'Service', name: 's' }]), '');
  const revision = (ownerReferences: object[]) =>
    denied(
      'revisions',
      object('Revision', image, { labels: { 'serving.knative.dev/configuration': 'c' }, ownerReferences }),
    );
  assert.equal(revision([]), 'missing field(s): metadata.labels.serving.knative.dev/configuration');
  assert.equal(revision([{ kind: 'Configuration', name: 'c' }]), '');
});

test('a name brought along', () => {
  const named = (name: string, metadata: object = {}) =>
    denied('services', service(image, metadata, { name }));
  assert.equal(named('hello-v1'), '');
  assert.equal(
    named('other'),
    'invalid value: "other" must have prefix "hello-": spec.template.metadata.name',
  );
  assert.match(
    named('hello_v1'),
    /^invalid value: not a DNS 1035 label: \[a DNS-1035 label .*\]: spec\.template\.metadata\.name$/,
  );
  assert.equal(
    named('hello-x-v1', { generateName: 'hello-', name: 'hello-x' }),
    'must not set the field(s): spec.template.metadata.name',
  );
  assert.match(
    denied('services', service(image, {}, { generateName: '1a-' })),
    /^invalid value: not a DNS 1035 label prefix: \[.*\]: spec\.template\.metadata\.generateName$/,
  );
  const old = stored(service(image, {}, { name: 'hello-v1' }));
  assert.equal(
    changed(() => {}, old),
    '',
  );
  assert.equal(
    changed((next) => {
      next.spec.template.spec.containers[0].image = 'dev.local/other';
    }, old),
    'Saw the following changes without a name change (-old +new): spec.template.metadata.name\nspec.template.spec.containers[0].image:\n\t-: "dev.local/hello"\n\t+: "dev.local/other"\n',
  );
  assert.equal(
    changed((next) => {
      next.spec.template.spec.containers[0].image = 'dev.local/other';
      next.spec.template.metadata.name = 'hello-v2';
    }, old),
    '',
  );
});

const traffics: [string, object[], string][] = [
  ['sum', [{ percent: 50, latestRevision: true }], 'Traffic targets sum to 50, want 100: spec.traffic'],
  ['no percent at all', [{ latestRevision: true }], 'Traffic targets sum to 0, want 100: spec.traffic'],
  [
    'percent',
    [{ percent: 101 }, { percent: -1 }],
    'expected 0 <= -1 <= 100: spec.traffic[1].percent\nexpected 0 <= 101 <= 100: spec.traffic[0].percent',
  ],
  [
    'tags',
    [{ percent: 100, tag: 'a' }, { tag: 'a' }, { tag: 'a' }],
    'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag, spec.traffic[2].tag',
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
  [
    'neither latest nor a revision',
    [{ percent: 100, latestRevision: false }],
    'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
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

test('traffic of tags and names that are none', () => {
  const created = service(image);
  created.spec.traffic = [{ percent: 100 }, { tag: 'A', revisionName: 'b_' }];
  assert.match(
    denied('services', created),
    /^invalid key name "b_": spec\.traffic\[1\]\.revisionName\nname part must .*\ninvalid value: not a DNS 1035 label: \[a DNS-1035 .*\]: spec\.traffic\.tag\[1\]$/,
  );
  assert.deepEqual(created.spec.traffic[1], {
    tag: 'A',
    revisionName: 'b_',
    latestRevision: false,
    percent: 0,
  });
});

test('a Route names one of revision and configuration', () => {
  const route = (target: object) =>
    denied('routes', object('Route', { traffic: [{ percent: 100, ...target }] }));
  assert.equal(route({ configurationName: 'c' }), '');
  assert.equal(route({ revisionName: 'r' }), '');
  const both = 'spec.traffic[0].configurationName, spec.traffic[0].revisionName';
  assert.equal(route({}), `expected exactly one, got neither: ${both}`);
  assert.equal(
    route({ configurationName: 'c', revisionName: 'r' }),
    `expected exactly one, got both: ${both}`,
  );
  assert.match(
    route({ configurationName: '_' }),
    /^invalid key name "_": spec\.traffic\[0\]\.configurationName\n/,
  );
  assert.equal(denied('routes', object('Route', {})), 'Traffic targets sum to 0, want 100: spec.traffic');
});

test('a Revision never changes, and is not defaulted again', () => {
  const strategy = strategyOf('revisions');
  const old = object('Revision', image);
  strategy.setDefaults?.(old, undefined, context);
  const next = structuredClone(old);
  delete next.spec.timeoutSeconds;
  strategy.setDefaults?.(next, old, context);
  assert.equal(next.spec.timeoutSeconds, undefined);
  assert.equal(
    strategy.deny?.(next, old, context),
    `${PREFIX}Immutable fields changed (-old +new): spec\nspec.timeoutSeconds:\n\t-: "300"\n\t+: ""\n`,
  );
  const labelled = { ...old, metadata: { ...old.metadata, labels: { a: 'b' } } };
  assert.equal(strategy.deny?.(labelled, old, context), undefined);
  const annotated = { ...old, metadata: { ...old.metadata, annotations: { [`${A}/min-scale`]: 'x' } } };
  assert.match(strategy.deny?.(annotated, old, context) ?? '', /invalid value: x: metadata\.annotations/);
});

test('who created and who changed', () => {
  const strategy = strategyOf('services');
  const [creator, modifier] = ['serving.knative.dev/creator', 'serving.knative.dev/lastModifier'];
  const old = service(image);
  strategy.setDefaults?.(old, undefined, { ...context, user: 'ann' });
  assert.deepEqual(old.metadata.annotations, { [creator]: 'ann', [modifier]: 'ann' });
  const timeout = (next: UntypedObject) => {
    next.spec.template.spec.timeoutSeconds = 5;
  };
  const set = (key: string, value: string) => (next: UntypedObject) => {
    next.metadata.annotations = { ...next.metadata.annotations, [key]: value };
  };
  const next = structuredClone(old);
  strategy.setDefaults?.(next, old, { ...context, user: 'bob' });
  assert.equal(next.metadata.annotations?.[modifier], 'ann', 'the spec did not change');
  timeout(next);
  strategy.setDefaults?.(next, old, { ...context, user: 'bob' });
  assert.deepEqual(next.metadata.annotations, { [creator]: 'ann', [modifier]: 'bob' });
  assert.equal(changed(timeout, old, 'bob'), '');
  assert.equal(
    changed(set(creator, 'eve'), old, 'eve'),
    `annotation value is immutable: metadata.annotations.${creator}`,
  );
  assert.equal(
    changed(set(modifier, 'eve'), old, 'eve'),
    `invalid value: eve: metadata.annotations.${modifier}`,
  );
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Service', name: 'x', uid: '1' }];
  const owned = object('Configuration', { template: { spec: image } }, { ownerReferences });
  strategyOf('configurations').setDefaults?.(owned, undefined, { ...context, user: 'ann' });
  assert.equal(owned.metadata.annotations, undefined, "it copies the Service's");
});

test('warnings of what Kubernetes leaves insecure', () => {
  const warned = (spec: object, maps = {}) => {
    const created = service(spec);
    const config = configured(maps);
    strategyOf('services').setDefaults?.(created, undefined, { config });
    return strategyOf('services').warn?.(created, undefined, { config });
  };
  const insecure =
    'Kubernetes default value is insecure, Knative may default this to secure in a future release: ';
  const fields = (...names: string[]) => names.map((name) => `${C}.securityContext.${name}`).join(', ');
  assert.deepEqual(warned(image), [
    insecure + fields('allowPrivilegeEscalation', 'capabilities', 'runAsNonRoot', 'seccompProfile'),
  ]);
  const securityContext = { allowPrivilegeEscalation: false, capabilities: {}, seccompProfile: {} };
  assert.deepEqual(warned({ ...container({ securityContext }), securityContext: { runAsNonRoot: true } }), [
    insecure + fields('capabilities.drop', 'seccompProfile.type'),
  ]);
  const safe = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    capabilities: { drop: ['all'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  assert.deepEqual(warned(container({ securityContext: safe })), [
    `invalid value: all: ${C}.securityContext.capabilities.drop\nMust be spelled as 'ALL'`,
  ]);
  assert.deepEqual(warned(image, { features: { 'secure-pod-defaults': 'Enabled' } }), []);
  const old = service(
    image,
    {},
    { annotations: { 'queue.sidecar.serving.knative.dev/resource-percentage': '1' } },
  );
  assert.match(
    strategyOf('services').warn?.(old, undefined, context)?.[1] ?? '',
    /^Queue proxy resource percentage annotation is deprecated\. .* per service: $/,
  );
});
