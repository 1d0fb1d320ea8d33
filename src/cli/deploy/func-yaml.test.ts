import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { PetrelError } from '../../base/errors.ts';
import { parseFuncYaml } from './func-yaml.ts';

const FILE = `
specVersion: 0.36.0
name: orders
runtime: typescript
namespace: old
build:
  builder: pack
  buildEnvs: [{name: NODE_ENV, value: production}]
run:
  volumes: [{secret: certs, path: /certs}, {emptyDir: {}, path: /scratch}]
  envs:
    - {name: STAGE, value: test}
    - {name: FROM_HERE, value: '{{ env:USER_NAME }}'}
    - {name: TOKEN, value: '{{ secret:api:token }}'}
    - {name: COLOUR, value: '{{ configMap:look:colour }}'}
    - {value: '{{ secret:everything }}'}
deploy:
  namespace: shop
  annotations: {team: red}
  subscriptions: [{source: default, filters: {type: x}}]
  options:
    scale: {min: 1, max: 5, metric: rps, target: 40, utilization: 80}
    resources: {requests: {cpu: 100m}, limits: {cpu: 1, memory: 256Mi, concurrency: 20}}
`;

test('everything that says how a function runs is taken over', () => {
  assert.deepEqual(parseFuncYaml(parse(FILE), { USER_NAME: 'Ada' }), {
    name: 'orders',
    namespace: 'shop',
    runtime: 'node',
    spec: {
      env: [
        { name: 'STAGE', value: 'test' },
        { name: 'FROM_HERE', value: 'Ada' },
        { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'api', key: 'token' } } },
        { name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'look', key: 'colour' } } },
      ],
      envFrom: [{ secretRef: { name: 'everything' } }],
      build: { env: [{ name: 'NODE_ENV', value: 'production' }] },
      volumes: [
        { name: 'v0', secret: { secretName: 'certs' } },
        { name: 'v1', emptyDir: {} },
      ],
      volumeMounts: [
        { name: 'v0', mountPath: '/certs' },
        { name: 'v1', mountPath: '/scratch' },
      ],
      scale: { min: 1, max: 5 },
      concurrency: 20,
      resources: { limits: { cpu: '1', memory: '256Mi' }, requests: { cpu: '100m' } },
    },
    annotations: {
      team: 'red',
      'autoscaling.knative.dev/metric': 'rps',
      'autoscaling.knative.dev/target': '40',
      'autoscaling.knative.dev/target-utilization-percentage': '80',
    },
    ignored: ['deploy.subscriptions'],
  });
});

test('the least that a file can be', () => {
  assert.deepEqual(parseFuncYaml({ runtime: 'go' }, {}), {
    runtime: 'go',
    spec: {},
    annotations: {},
    ignored: [],
  });
});

const refused: [string, unknown, RegExp][] = [
  ['no runtime', { name: 'x' }, /runtime: must name a language/],
  ['a variable without a name', { runtime: 'go', run: { envs: [{ value: 'x' }] } }, /run\.envs\[0\]\.name/],
  [
    'a variable of this machine that is not set',
    { runtime: 'go', run: { envs: [{ name: 'A', value: '{{ env:GONE }}' }] } },
    /run\.envs\[0\]\.value: GONE is not set/,
  ],
  ['no list', { runtime: 'go', run: { envs: {} } }, /run\.envs: must be a list/],
  [
    'a relative path',
    { runtime: 'go', run: { volumes: [{ secret: 's', path: 'x' }] } },
    /run\.volumes\[0\]\.path/,
  ],
  ['another volume', { runtime: 'go', run: { volumes: [{ path: '/x' }] } }, /must be a secret/],
  ['no mapping', 'text', /must be a mapping/],
];
for (const [title, file, words] of refused)
  test(`refused with the field's path: ${title}`, () => {
    assert.throws(
      () => parseFuncYaml(file, {}),
      (error) =>
        error instanceof PetrelError && error.code === 'InvalidArgument' && words.test(error.message),
    );
  });
