import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SERVING_CONFIG } from '../config/index.ts';
import type { UntypedObject } from '../object.ts';
import { parseQuantity } from '../quantity.ts';
import { builtinRegistry } from '../registry.ts';
import { qosClass } from './pod.ts';

const context = { config: DEFAULT_SERVING_CONFIG };

const { strategy } = builtinRegistry().find('', 'v1', 'pods')!;

const pod = (spec: object): UntypedObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: structuredClone(spec),
});
const one = (container: object, spec: object = {}): object => ({
  containers: [{ name: 'a', image: 'i:1', ...container }],
  ...spec,
});

/** The pod after defaulting, and its problems as `field: message`. */
function created(spec: object): { pod: UntypedObject; errors: string[] } {
  const object = pod(spec);
  strategy.prepareForCreate?.(object);
  strategy.setDefaults?.(object, undefined, context);
  return { pod: object, errors: (strategy.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`) };
}

test('defaults of a minimal pod', () => {
  const { pod: object, errors } = created({ containers: [{ name: 'a', image: 'nginx' }] });
  assert.deepEqual(errors, []);
  assert.deepEqual(object.spec, {
    containers: [
      {
        name: 'a',
        image: 'nginx',
        resources: {},
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        imagePullPolicy: 'Always',
      },
    ],
    enableServiceLinks: true,
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  });
  assert.deepEqual(object.status, { phase: 'Pending', qosClass: 'BestEffort' });
});

test('defaults of probes, ports, volumes and requests; what is given stays', () => {
  const { pod: object, errors } = created({
    ...one({
      ports: [{ containerPort: 80 }],
      readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 },
      resources: { limits: { cpu: 1 } },
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
    }),
    terminationGracePeriodSeconds: 0,
    volumes: [{ name: 'v', configMap: { name: 'c' } }, { name: 'e' }],
  });
  assert.deepEqual(errors, []);
  const [container] = object.spec.containers;
  assert.equal(container.ports[0].protocol, 'TCP');
  assert.deepEqual(container.readinessProbe, {
    httpGet: { port: 80, path: '/', scheme: 'HTTP' },
    periodSeconds: 1,
    timeoutSeconds: 1,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.deepEqual(container.resources, { limits: { cpu: '1' }, requests: { cpu: '1' } });
  assert.equal(object.spec.terminationGracePeriodSeconds, 0);
  assert.deepEqual(object.spec.volumes, [
    { name: 'v', configMap: { name: 'c', defaultMode: 420 } },
    { name: 'e', emptyDir: {} },
  ]);
});

test('images are pulled always when their tag says nothing', () => {
  for (const [image, policy] of [
    ['nginx', 'Always'],
    ['nginx:latest', 'Always'],
    ['host:5000/nginx', 'Always'],
    ['nginx:1.2', 'IfNotPresent'],
    ['host:5000/nginx:1.2', 'IfNotPresent'],
    ['nginx@sha256:abc', 'IfNotPresent'],
  ] as const) {
    assert.equal(
      created({ containers: [{ name: 'a', image }] }).pod.spec.containers[0].imagePullPolicy,
      policy,
      image,
    );
  }
});

const wrong: [string, object, string[]][] = [
  ['no containers', {}, ['spec.containers: Required value']],
  [
    'no image, no name',
    { containers: [{}] },
    ['spec.containers[0].name: Required value', 'spec.containers[0].image: Required value'],
  ],
  [
    'name twice',
    {
      containers: [
        { name: 'a', image: 'i' },
        { name: 'a', image: 'i' },
      ],
    },
    ['spec.containers[1].name: Duplicate value: "a"'],
  ],
  [
    'a name with dots',
    { containers: [{ name: 'a.b', image: 'i' }] },
    ['spec.containers[0].name: Invalid value: "a.b": must not contain dots'],
  ],
  [
    'restart policy',
    one({}, { restartPolicy: 'Sometimes' }),
    ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
  ],
  [
    'pull policy',
    one({ imagePullPolicy: 'x' }),
    [
      'spec.containers[0].imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never"',
    ],
  ],
  [
    'port range',
    one({ ports: [{ containerPort: 70000 }] }),
    [
      'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ],
  ],
  ['env name', one({ env: [{ name: '' }] }), ['spec.containers[0].env[0].name: Required value']],
  [
    'env with value and source',
    one({ env: [{ name: 'A', value: 'x', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }),
    [
      'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ],
  ],
  [
    'env without a source',
    one({ env: [{ name: 'A', valueFrom: {} }] }),
    [
      'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
    ],
  ],
  [
    'envFrom without a source',
    one({ envFrom: [{}] }),
    ['spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
  ],
  [
    'mount without volume',
    one({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
  ],
  [
    'mount path twice',
    one(
      {
        volumeMounts: [
          { name: 'v', mountPath: '/v' },
          { name: 'v', mountPath: '/v' },
        ],
      },
      { volumes: [{ name: 'v' }] },
    ),
    ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/v": must be unique'],
  ],
  [
    'subPath upwards',
    one({ volumeMounts: [{ name: 'v', mountPath: '/v', subPath: '../x' }] }, { volumes: [{ name: 'v' }] }),
    ['spec.containers[0].volumeMounts.subPath: Invalid value: "../x": must not contain \'..\''],
  ],
  [
    'volume with two sources',
    one({}, { volumes: [{ name: 'v', emptyDir: {}, configMap: { name: 'c' } }] }),
    ['spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type'],
  ],
  [
    'volume names',
    one({}, { volumes: [{ name: 'v' }, { name: 'v' }] }),
    ['spec.volumes[1].name: Duplicate value: "v"'],
  ],
  [
    'items of a secret',
    one(
      {},
      {
        volumes: [
          {
            name: 'v',
            secret: { secretName: 's', items: [{ key: 'k', path: '../../etc' }], defaultMode: 512 },
          },
        ],
      },
    ),
    [
      'spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
      'spec.volumes[0].secret.items[0].path: Invalid value: "../../etc": must not contain \'..\'',
    ],
  ],
  [
    'requests above limits',
    one({ resources: { requests: { cpu: '2' }, limits: { cpu: '1500m' } } }),
    [
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m',
    ],
  ],
  [
    'probe without handler',
    one({ livenessProbe: {} }),
    ['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
  ],
  [
    'liveness success threshold',
    one({ livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } }),
    ['spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1'],
  ],
  [
    'negative grace',
    one({}, { terminationGracePeriodSeconds: -1 }),
    ['spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0'],
  ],
];
for (const [what, spec, expected] of wrong) {
  test(`refused: ${what}`, () => assert.deepEqual(created(spec).errors, expected));
}

function updated(change: (spec: UntypedObject['spec']) => void): string[] {
  const { pod: old } = created(one({ env: [{ name: 'A', value: '1' }] }, { tolerations: [{ key: 'k' }] }));
  const object = structuredClone(old);
  change(object.spec);
  strategy.setDefaults?.(object, old, context);
  return (strategy.validateUpdate?.(object, old) ?? []).map((e) => `${e.field}: ${e.message}`);
}

test('what an update may change', () => {
  assert.deepEqual(
    updated(() => {}),
    [],
  );
  assert.deepEqual(
    updated((spec) => {
      spec.containers[0].image = 'i:2';
    }),
    [],
  );
  assert.deepEqual(
    updated((spec) => {
      spec.activeDeadlineSeconds = 10;
    }),
    [],
  );
  assert.deepEqual(
    updated((spec) => {
      spec.tolerations.push({ key: 'more' });
    }),
    [],
  );
  assert.deepEqual(
    updated((spec) => {
      spec.nodeName = 'n';
    }),
    [],
    'binding',
  );
});

test('what an update may not change', () => {
  assert.match(
    updated((spec) => {
      spec.containers[0].env[0].value = '2';
    })[0] ?? '',
    /^spec: Forbidden: pod updates may not change fields other than .*changed: spec\.containers$/s,
  );
  assert.deepEqual(
    updated((spec) => {
      spec.containers.push({ name: 'b', image: 'i' });
    }),
    ['spec.containers: Forbidden: pod updates may not add or remove containers'],
  );
  assert.equal(
    updated((spec) => {
      spec.tolerations = [];
    }).length,
    1,
  );
  assert.match(
    updated((spec) => {
      spec.restartPolicy = 'Never';
    })[0] ?? '',
    /changed: spec\.restartPolicy/,
  );
});

test('quality of service', () => {
  const of = (...resources: object[]) => qosClass({ containers: resources.map((r) => ({ resources: r })) });
  const full = { limits: { cpu: '1', memory: '1Gi' } };
  assert.equal(of({}), 'BestEffort');
  assert.equal(of(full), 'Guaranteed');
  assert.equal(of(full, {}), 'Burstable');
  assert.equal(of({ ...full, requests: { cpu: '500m' } }), 'Burstable');
});

test('quantities', () => {
  for (const [text, value] of [
    ['100m', 0.1],
    ['1.5', 1.5],
    ['1Ki', 1024],
    ['2G', 2e9],
    ['1e3', 1000],
    ['-1', -1],
    ['1E', 1e18],
  ] as const) {
    assert.equal(parseQuantity(text), value, text);
  }
  assert.ok(Number.isNaN(parseQuantity('much')));
});
