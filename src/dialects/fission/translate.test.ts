/** What Fission's fields become: languages and entry points, a Function's spec, container Services. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { builtinRegistry } from '../../kinds/registry.ts';
import { type Language, languageOf } from './languages.ts';
import { type Environment, type FissionFunctionSpec, isProblem } from './model.ts';
import { type Code, type Subject, translatedName, upToDate } from './parts.ts';
import { containerService } from './services.ts';
import { petrelFunction } from './translate.ts';

const DIGEST = `sha256:${'a'.repeat(64)}` as const;
const environment = (image: string, annotations = {}): Environment => ({
  apiVersion: 'fission.io/v1',
  kind: 'Environment',
  metadata: { name: 'env', namespace: 'default', annotations },
  spec: {
    version: 3,
    runtime: {
      image,
      container: {
        env: [
          { name: 'A', value: 'env' },
          { name: 'B', value: 'env' },
        ],
      },
    },
  },
});
const subject = (spec: FissionFunctionSpec, name = 'hello'): Subject => ({
  object: {
    apiVersion: 'fission.io/v1',
    kind: 'Function',
    metadata: { name, namespace: 'default', uid: 'u-1', labels: { team: 'a' } },
  },
  spec: { environment: { name: 'env' }, ...spec },
  functionName: name,
  functionUid: 'u-1',
});
const code = (more: Partial<Code> = {}): Code => ({
  digest: DIGEST,
  source: false,
  has: () => false,
  ...more,
});
const language = (image: string): Language => {
  const found = languageOf(environment(image));
  assert.ok(!isProblem(found), image);
  return found;
};
const translated = (spec: FissionFunctionSpec, more: Partial<Code> = {}): PetrelFunction =>
  petrelFunction(subject(spec), environment('fission/node-env'), language('fission/node-env'), code(more));

const IMAGES: [image: string, runtime: string][] = [
  ['fission/node-env:latest', 'node'],
  ['ghcr.io/fission/node-env-22', 'node'],
  ['ghcr.io/fission/node-env@sha256:abc', 'node'],
  ['registry.local:5000/mirror/python-env:1.2', 'python'],
  ['fission/python-fastapi-env', 'python'],
  ['ghcr.io/fission/python-3.11-env', 'python'],
  ['fission/go-env-1.23', 'go'],
  ['fission/jvm-env', 'java'],
  ['fission/jvm-jersey-env-22', 'java'],
  ['fission/ruby-env', 'ruby'],
  ['fission/php7-env', 'php'],
  ['fission/perl-env', 'perl'],
  ['fission/binary-env', 'exec'],
  ['petrel.dev/runtime/wasm', 'wasm'],
  ['dev.local/anything', ''],
];
for (const [image, runtime] of IMAGES)
  test(`${image} is ${runtime || 'itself'}`, () => assert.equal(language(image).runtime, runtime));

test('an annotation wins over the image; an image that nobody knows is a problem in words', () => {
  const said = languageOf(environment('fission/node-env', { 'petrel.dev/runtime': 'python' }));
  assert.equal(!isProblem(said) && said.runtime, 'python');
  const itself = languageOf(environment('example.com/x', { 'petrel.dev/runtime': 'image' }));
  assert.equal(!isProblem(itself) && itself.runtime, '');
  const unknown = languageOf(environment('fission/tensorflow-serving-env'));
  assert.ok(isProblem(unknown));
  assert.match(unknown.message, /tensorflow-serving-env.*petrel\.dev\/runtime/);
});

const ENTRIES: [
  image: string,
  name: string,
  single: string | undefined,
  files: string[],
  expected: object,
][] = [
  ['node-env', '', undefined, [], {}],
  ['node-env', 'hello', undefined, [], { entry: 'hello' }],
  ['node-env', 'lib/hello.go', undefined, [], { entry: 'lib/hello', handler: 'go' }],
  ['node-env', 'hello.js', undefined, [], { entry: 'hello.js' }],
  ['node-env', 'hello', 'index.js', [], {}],
  ['node-env', 'hello.go', 'index.js', [], { handler: 'go' }],
  ['python-env', '', undefined, [], { entry: 'main.py', handler: 'main' }],
  ['python-env', 'other', undefined, [], { entry: 'main.py', handler: 'other' }],
  ['python-env', 'pkg.mod.func', undefined, [], { entry: 'pkg/mod.py', handler: 'func' }],
  ['python-env', 'pkg.func', undefined, ['pkg/__init__.py'], { entry: 'pkg/__init__.py', handler: 'func' }],
  ['python-env', '', 'main.py', [], { entry: 'main.py', handler: 'main' }],
  ['python-env', 'hello.go', 'hello.py', [], { entry: 'hello.py', handler: 'go' }],
  ['go-env', 'Handler', undefined, [], { handler: 'Handler' }],
  ['jvm-env', 'io.fission.HelloWorld', undefined, [], { handler: 'io.fission.HelloWorld' }],
  ['ruby-env', 'hello.handler', undefined, [], { entry: 'hello.rb', handler: 'handler' }],
  ['php-env', 'handler', undefined, [], { handler: 'handler' }],
  ['binary-env', 'run.sh', undefined, [], { entry: 'run.sh' }],
  ['binary-env', '', 'main', [], { entry: 'main' }],
];
for (const [image, name, single, files, expected] of ENTRIES) {
  test(`${image}: "${name}" ${single ? `in ${single}` : 'in a package'} is ${JSON.stringify(expected)}`, () =>
    assert.deepEqual(
      language(image).entryPoint(name, single, (file) => files.includes(file)),
      expected,
    ));
}

test('an empty spec has what Fission takes for empty fields', () => {
  const { spec } = translated({});
  assert.deepEqual(
    [spec.concurrency, spec.timeoutSeconds, spec.scale, spec.build, spec.shape],
    [1, 60, { max: 500 }, { mode: 'never' }, 'fission'],
  );
});

test('everything that a function can say', () => {
  const { spec, metadata } = translated({
    env: [{ name: 'A', value: 'fn' }],
    envFrom: [{ secretRef: { name: 's' } }],
    secrets: [
      { name: 's', namespace: 'default' },
      { name: 't', mountPath: 'x/y' },
    ],
    configmaps: [{ name: 'c', namespace: 'default' }],
    functionTimeout: 9999,
    idletimeout: 120,
    requestsPerPod: 7,
    concurrency: 3,
    retainPods: 2,
    onceOnly: true,
    streaming: { maxDurationSeconds: 90 },
    provisionedConcurrency: {
      target: 2,
      windows: [{ name: 'day', start: 'CRON_TZ=Asia/Tokyo 0 9 * * *', duration: '8h', target: 5 }],
    },
    versioning: { mode: 'manual', retain: 4 },
    state: { keyspace: 'k', defaultTTL: '1m30s', maxKeys: 5, sticky: { source: 'queryparam', name: 'user' } },
    tool: { description: 'Says hello.' },
    invocation: {
      retry: { maxAttempts: 5, backoffBase: '500ms', backoffCap: '1m0s', jitter: false },
      maxAge: '1h0m0s',
      onFailure: { function: { name: 'sorry' } },
    },
  });
  assert.deepEqual(spec.env, [
    { name: 'A', value: 'fn' },
    { name: 'B', value: 'env' },
  ]);
  assert.deepEqual(
    spec.volumeMounts?.map(({ mountPath }) => mountPath),
    ['/secrets/default/s', '/secrets/x/y', '/configs/default/c'],
  );
  assert.deepEqual(spec.scale, { min: 2, max: 3 });
  assert.equal(spec.concurrency, 7);
  assert.equal(spec.timeoutSeconds, 90);
  assert.equal(spec.onceOnly, true);
  assert.equal(spec.retainRevisions, 4);
  assert.deepEqual(spec.provisioned, {
    target: 2,
    windows: [{ name: 'day', cron: '0 9 * * *', timeZone: 'Asia/Tokyo', durationSeconds: 28_800, target: 5 }],
  });
  assert.deepEqual(spec.state, { keyspace: 'k', defaultTtlSeconds: 90, maxKeys: 5 });
  assert.deepEqual(spec.sticky, { queryParameter: 'user' });
  assert.deepEqual(spec.tool, { description: 'Says hello.', name: 'default-hello' });
  assert.deepEqual(spec.invocation, {
    maxAttempts: 5,
    backoffSeconds: 0.5,
    backoffCapSeconds: 60,
    jitter: 0,
    maxAgeSeconds: 3600,
    onFailure: { function: 'sorry' },
  });
  assert.equal(metadata.annotations?.['autoscaling.knative.dev/scale-to-zero-pod-retention-period'], '120s');
  assert.equal(JSON.parse(metadata.annotations?.['petrel.dev/pod-labels'] ?? '').functionUid, 'u-1');
  assert.equal(metadata.labels?.team, 'a');
});

test('what is translated is what the API takes', () => {
  const registry = builtinRegistry();
  const specs: FissionFunctionSpec[] = [
    {},
    { functionTimeout: 9999, requestsPerPod: 5000 },
    { tool: { description: 'x' } },
  ];
  for (const spec of specs) {
    const { strategy } = registry.byKind('petrel.dev', 'v1', 'Function')!;
    assert.deepEqual(strategy.validate?.(translated(spec) as unknown as UntypedObject), []);
  }
});

test('newdeploy: no bound on requests, bounds on instances, the processor as measure', () => {
  const ExecutionStrategy = { ExecutorType: 'newdeploy', MinScale: 1, MaxScale: 4, TargetCPUPercent: 60 };
  const { spec, metadata } = translated({ InvokeStrategy: { ExecutionStrategy } });
  assert.deepEqual([spec.concurrency, spec.scale], [0, { min: 1, max: 4 }]);
  assert.equal(metadata.annotations?.['autoscaling.knative.dev/target'], '60');
  const measured = (resource: object) => {
    const hpaMetrics = [{ type: 'Pods' }, { type: 'Resource', resource }];
    const strategy = { ...ExecutionStrategy, TargetCPUPercent: 0, hpaMetrics };
    const { annotations = {} } = translated({ InvokeStrategy: { ExecutionStrategy: strategy } }).metadata;
    return ['class', 'metric', 'target'].map((key) => annotations[`autoscaling.knative.dev/${key}`]);
  };
  const hpa = 'hpa.autoscaling.knative.dev';
  assert.deepEqual(measured({ name: 'cpu', target: { averageUtilization: 50 } }), [hpa, 'cpu', '50']);
  assert.deepEqual(measured({ name: 'memory', target: { averageValue: '64Mi' } }), [hpa, 'memory', '64']);
  assert.deepEqual(measured({ name: 'gpu', target: {} }), [undefined, undefined, undefined]);
});

test('source is built: by the language, or by a command with its variables', () => {
  assert.deepEqual(translated({}, { source: true }).spec.build, { mode: 'auto' });
  assert.deepEqual(translated({}, { source: true, buildCommand: '/build' }).spec.build, { mode: 'auto' });
  const { mode, command } = translated({}, { source: true, buildCommand: './build.sh' }).spec.build ?? {};
  assert.equal(mode, 'always');
  assert.match(command ?? '', /SRC_PKG="\$PWD"[\s\S]*\.\/build\.sh[\s\S]*PETREL_OUTPUT/);
});

test('a container: its own port and command, the function’s variables and files', () => {
  const { spec } = containerService(
    subject({
      environment: {},
      InvokeStrategy: { ExecutionStrategy: { ExecutorType: 'container', MaxScale: 2 } },
      env: [{ name: 'X', value: 'fn' }],
      secrets: [{ name: 's' }],
      podspec: {
        containers: [
          {
            name: 'c',
            image: 'i',
            env: [{ name: 'X', value: 'pod' }],
            ports: [{ name: 'http-env', containerPort: 8888 }],
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    }),
  );
  const [container] = spec.template.spec.containers;
  assert.deepEqual(container?.env, [{ name: 'X', value: 'fn' }]);
  assert.deepEqual(container?.ports, [{ containerPort: 8888 }]);
  assert.deepEqual(
    container?.volumeMounts?.map(({ mountPath }) => mountPath),
    ['/secrets/default/s'],
  );
  assert.deepEqual(
    spec.template.spec.volumes?.map(({ name }) => name),
    ['v', 'secrets-0'],
  );
  assert.equal(spec.template.metadata?.annotations?.['autoscaling.knative.dev/max-scale'], '2');
});

test('names that cannot be host names get one of their own; the same translation is written once', () => {
  assert.equal(translatedName('hello'), 'hello');
  assert.match(translatedName('9lives'), /^fn-9lives-[0-9a-f]{8}$/);
  assert.ok(translatedName('x'.repeat(63)).length <= 52);
  assert.ok(upToDate(translated({}), translated({})));
  assert.ok(!upToDate(translated({}), translated({ requestsPerPod: 2 })));
});
