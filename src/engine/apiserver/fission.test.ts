/** Fission's kinds as its clients meet them: shapes that Go writes, status of its own, generations, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createTestApi, type TestApi } from './testing.ts';

let api: TestApi;
before(async () => {
  api = await createTestApi();
});
after(() => api.close());

const url = (plural: string, name = '') =>
  `/apis/fission.io/v1/namespaces/default/${plural}${name && `/${name}`}`;
const object = (kind: string, name: string, spec: unknown, more = {}) => ({
  apiVersion: 'fission.io/v1',
  kind,
  metadata: { name, namespace: 'default', creationTimestamp: null },
  spec,
  ...more,
});
/** A Function as the client's types write it: empty structs and nulls included. */
const fn = (name: string, spec: Record<string, unknown> = {}) =>
  object('Function', name, {
    environment: { namespace: 'default', name: 'nodejs' },
    package: { packageref: { namespace: 'default', name: 'hello-pkg', resourceversion: '7' } },
    secrets: null,
    configmaps: null,
    resources: {},
    InvokeStrategy: {
      ExecutionStrategy: {
        ExecutorType: 'poolmgr',
        MinScale: 0,
        MaxScale: 0,
        TargetCPUPercent: 0,
        SpecializationTimeout: 120,
      },
      StrategyType: 'execution',
    },
    functionTimeout: 60,
    idletimeout: 120,
    concurrency: 500,
    requestsPerPod: 1,
    ...spec,
  });

test('every kind is found by its plural, and lists are empty at first', async () => {
  const { body } = await api.call('GET', '/apis/fission.io/v1');
  const plurals = body.resources.map((r: { name: string }) => r.name).filter((n: string) => !n.includes('/'));
  assert.deepEqual(plurals, [
    'functions',
    'environments',
    'packages',
    'httptriggers',
    'timetriggers',
    'kuberneteswatchtriggers',
    'messagequeuetriggers',
    'canaryconfigs',
    'functionversions',
    'functionaliases',
    'fissiontenants',
    'workflows',
    'workflowruns',
  ]);
  for (const plural of plurals) {
    const list = await api.call('GET', `/apis/fission.io/v1/${plural}`);
    assert.equal(list.code, 200, plural);
    assert.deepEqual(list.body.items, [], plural);
  }
});

test('a package begins pending, whatever status its client sends, and its status is a resource of its own', async () => {
  const spec = {
    environment: { namespace: 'default', name: 'nodejs' },
    deployment: { type: 'literal', literal: 'YQ==' },
  };
  const sent = object('Package', 'hello-pkg', spec, { status: { buildstatus: 'succeeded' } });
  const created = await api.call('POST', url('packages'), sent);
  assert.equal(created.code, 201, created.text);
  assert.equal(created.body.status.buildstatus, 'pending');
  const main = await api.call('PUT', url('packages', 'hello-pkg'), {
    ...created.body,
    status: { buildstatus: 'failed' },
  });
  assert.equal(main.body.status.buildstatus, 'pending');
  const status = await api.call('PUT', `${url('packages', 'hello-pkg')}/status`, {
    ...main.body,
    spec: {},
    status: { buildstatus: 'succeeded', lastUpdateTimestamp: null },
  });
  assert.equal(status.body.status.buildstatus, 'succeeded');
  assert.equal(status.body.spec.deployment.literal, 'YQ==');
  assert.equal(status.body.metadata.generation, 1);
});

test('what Fission leaves empty stays empty, and only a new spec is a new generation', async () => {
  const { body: created } = await api.call(
    'POST',
    url('functions'),
    fn('hello', { functionTimeout: undefined }),
  );
  assert.equal(created.spec.functionTimeout, undefined);
  assert.equal(created.metadata.generation, 1);
  const labelled = { ...created, metadata: { ...created.metadata, labels: { a: 'b' } } };
  const same = await api.call('PUT', url('functions', 'hello'), labelled);
  assert.equal(same.body.metadata.generation, 1);
  const other = await api.call('PUT', url('functions', 'hello'), {
    ...same.body,
    spec: { ...same.body.spec, concurrency: 5 },
  });
  assert.equal(other.body.metadata.generation, 2);
  const stale = await api.call('PUT', url('functions', 'hello'), labelled);
  assert.equal(stale.code, 409);
  assert.equal(stale.body.reason, 'Conflict');
});

test('an environment gets its grace period and keeps its version', async () => {
  const { body } = await api.call(
    'POST',
    url('environments'),
    object('Environment', 'nodejs', {
      version: 3,
      runtime: { image: 'fission/node-env' },
      builder: {},
      resources: {},
    }),
  );
  assert.equal(body.spec.terminationGracePeriod, 90);
  const changed = await api.call('PUT', url('environments', 'nodejs'), {
    ...body,
    spec: { ...body.spec, version: 2 },
  });
  assert.equal(changed.code, 422);
  assert.match(changed.body.message, /spec\.version.*immutable/);
});

const container = (securityContext: unknown) => ({
  containers: [{ name: 'a', image: 'b', securityContext }],
});
const executor = (ExecutorType: string, more = {}) => ({
  InvokeStrategy: { StrategyType: 'execution', ExecutionStrategy: { ExecutorType, ...more } },
});
const trigger = (spec: Record<string, unknown>) =>
  object('HTTPTrigger', 'bad', { functionref: { type: 'name', name: 'hello' }, ...spec });
const REFUSED: [what: string, plural: string, body: unknown, message: RegExp][] = [
  [
    'an executor that does not exist',
    'functions',
    fn('bad', executor('vm')),
    /must be one of poolmgr, newdeploy, container/,
  ],
  [
    'newdeploy without a maximum',
    'functions',
    fn('bad', executor('newdeploy')),
    /maximum scale must be greater than 0/,
  ],
  [
    'a minimum above the maximum',
    'functions',
    fn('bad', executor('newdeploy', { MinScale: 3, MaxScale: 2 })),
    /maximum scale must be greater than or equal to minimum/,
  ],
  [
    'a container without pod spec',
    'functions',
    fn('bad', executor('container', { MaxScale: 1 })),
    /requires a pod spec/,
  ],
  [
    'too little time to specialise',
    'functions',
    fn('bad', executor('poolmgr', { SpecializationTimeout: 30 })),
    /SpecializationTimeout: Invalid value: 30: should be greater than or equal to 120/,
  ],
  [
    'the host network',
    'functions',
    fn('bad', { podspec: { hostNetwork: true } }),
    /spec\.podspec\.hostNetwork is not allowed/,
  ],
  [
    'privileges',
    'functions',
    fn('bad', { podspec: container({ privileged: true }) }),
    /privileged=true is not allowed/,
  ],
  [
    "another namespace's secret",
    'functions',
    fn('bad', { secrets: [{ namespace: 'other', name: 's' }] }),
    /spec\.secrets\[0\]\.namespace.*must be the function's own namespace/,
  ],
  [
    'a mount path that climbs',
    'functions',
    fn('bad', { configmaps: [{ namespace: 'default', name: 's', mountPath: '../x' }] }),
    /spec\.configmaps\[0\]\.mountPath.*clean relative path/,
  ],
  ['a tool that says nothing', 'functions', fn('bad', { tool: {} }), /spec\.tool\.description: Required/],
  [
    'a trigger without a path',
    'httptriggers',
    trigger({ relativeurl: '' }),
    /at least one of relativeurl or prefix/,
  ],
  [
    "the router's own path",
    'httptriggers',
    trigger({ relativeurl: '/router-healthz' }),
    /must start with '\/'/,
  ],
  [
    'a trigger for everything',
    'httptriggers',
    trigger({ prefix: '/' }),
    /HTTPTriggerSpec\.prefix must start/,
  ],
  [
    'weights without functions',
    'httptriggers',
    trigger({ relativeurl: '/a', functionref: { type: 'function-weights', name: '' } }),
    /spec\.functionref\.functionweights: Required/,
  ],
  [
    'every origin with credentials',
    'httptriggers',
    trigger({ relativeurl: '/a', corsConfig: { allowOrigins: ['*'], allowCredentials: true } }),
    /browsers refuse the response/,
  ],
  [
    'two archives in one',
    'packages',
    object('Package', 'bad', { environment: {}, deployment: { literal: 'YQ==', url: 'http://x' } }),
    /at most one of literal, url, or oci/,
  ],
  [
    'a checksum nobody knows',
    'packages',
    object('Package', 'bad', {
      environment: {},
      deployment: { url: 'http://x', checksum: { type: 'md5', sum: 'a' } },
    }),
    /'sha256'/,
  ],
  [
    'a watch on something else',
    'kuberneteswatchtriggers',
    object('KubernetesWatchTrigger', 'bad', {
      namespace: 'default',
      type: 'NODE',
      functionref: { type: 'name', name: 'hello' },
    }),
    /must be one of POD, SERVICE/,
  ],
  [
    'an alias of nothing',
    'functionaliases',
    object('FunctionAlias', 'bad', { functionName: 'hello' }),
    /exactly one of version and packageDigest/,
  ],
];

for (const [what, plural, body, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    const { code, body: answer } = await api.call('POST', url(plural), body);
    assert.equal(code, 422);
    assert.equal(answer.reason, 'Invalid');
    assert.match(answer.message, message);
  });
}
