import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest, PetrelFunction } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { FUNCTIONS, KSERVICES, REVISIONS, RUNTIMES } from '../../kube/refs.ts';
import { createWorld, until } from '../testing/world.ts';

const NAME = 'hello';
const functionOf = (digest: Digest, spec: Partial<PetrelFunction['spec']> = {}): PetrelFunction => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Function',
  metadata: { name: NAME, namespace: 'default' },
  spec: { runtime: 'node', package: { digest }, ...spec },
});

async function started(t: import('node:test').TestContext) {
  const world = await createWorld(t);
  await world.functions.start();
  const { client } = world;
  const get = () => client.get<PetrelFunction>(FUNCTIONS, 'default', NAME);
  const service = () => client.get<Service>(KSERVICES, 'default', NAME);
  const ready = async (): Promise<Condition | undefined> =>
    (await get()).status?.conditions?.find(({ type }) => type === 'Ready');
  const readyWith = (reason: string) =>
    until(async () => {
      const condition = await ready();
      return condition?.reason === reason && condition;
    }, `Ready with reason ${reason}`);
  const hasService = () => until(() => service().catch(() => undefined), 'there is a Service');
  const setStatus = async (status: object) => {
    const found = await service();
    await client.updateStatus(KSERVICES, { ...found, status } as never);
  };
  return { ...world, get, service, ready, readyWith, hasService, setStatus };
}

test('a Function becomes a Service that says everything it needs', async (t) => {
  const { client, digest, hasService, get, readyWith } = await started(t);
  await client.create(
    FUNCTIONS,
    functionOf(digest, {
      entry: 'hello.js',
      handler: 'main',
      shape: 'handler',
      env: [{ name: 'A', value: '1' }],
      envFrom: [{ configMapRef: { name: 'c' } }],
      volumes: [{ name: 'v', emptyDir: {} }],
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
      resources: { limits: { memory: '64Mi' } },
      concurrency: 5,
      scale: { min: 1, max: 3 },
      timeoutSeconds: 9,
    }),
  );
  const service = await hasService();
  const fn = await get();
  assert.deepEqual(service.metadata.ownerReferences, [
    {
      apiVersion: 'petrel.dev/v1',
      kind: 'Function',
      name: NAME,
      uid: fn.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ]);
  assert.deepEqual(service.spec.template.metadata?.annotations, {
    'petrel.dev/package': digest,
    'petrel.dev/runtime': 'node',
    'petrel.dev/entry': 'hello.js',
    'petrel.dev/handler': 'main',
    'petrel.dev/shape': 'handler',
    'autoscaling.knative.dev/min-scale': '1',
    'autoscaling.knative.dev/max-scale': '3',
  });
  assert.deepEqual(service.spec.template.spec, {
    containers: [
      {
        name: 'user-container',
        image: 'petrel.dev/runtime/node',
        env: [{ name: 'A', value: '1' }],
        envFrom: [{ configMapRef: { name: 'c' } }],
        resources: { limits: { memory: '64Mi' } },
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
      },
    ],
    volumes: [{ name: 'v', emptyDir: {} }],
    containerConcurrency: 5,
    timeoutSeconds: 9,
  });
  await readyWith('Deploying');
});

test('the revision gets the name that the Function asks for, and a generated one after that', async (t) => {
  const { client, digest, hasService, service, get } = await started(t);
  const named = functionOf(digest, {});
  await client.create(FUNCTIONS, {
    ...named,
    metadata: { ...named.metadata, annotations: { 'petrel.dev/revision-name': 'hello-blue' } },
  });
  assert.equal((await hasService()).spec.template.metadata?.name, 'hello-blue');
  const fn = await get();
  await client.update(FUNCTIONS, { ...fn, metadata: { ...fn.metadata, annotations: {} } });
  await until(async () => (await service()).spec.template.metadata?.name === undefined);
});

test('a change of the Function changes the template and leaves traffic alone', async (t) => {
  const { client, digest, hasService, service, get } = await started(t);
  await client.create(FUNCTIONS, functionOf(digest, { env: [{ name: 'A', value: '1' }] }));
  const traffic = [{ revisionName: 'hello-00001', percent: 100 }];
  const first = await hasService();
  // Defaults that a server fills in are no difference.
  const defaulted = { ...first.spec.template, spec: { ...first.spec.template.spec, timeoutSeconds: 300 } };
  await client.update(KSERVICES, { ...first, spec: { template: defaulted, traffic } });
  const fn = await get();
  await client.update(FUNCTIONS, { ...fn, spec: { ...fn.spec, env: [] } });
  const changed = await until(async () => {
    const found = await service();
    return found.spec.template.spec.containers[0]?.env?.length === 0 && found;
  });
  assert.deepEqual(changed.spec.traffic, traffic);
  const { generation } = changed.metadata;
  const again = await get();
  await client.update(FUNCTIONS, { ...again, metadata: { ...again.metadata, labels: { x: 'y' } } });
  await client.update(KSERVICES, {
    ...changed,
    spec: {
      ...changed.spec,
      template: {
        ...changed.spec.template,
        spec: { ...changed.spec.template.spec, containers: [{ name: 'user-container', image: 'evil' }] },
      },
    },
  });
  const repaired = await until(async () => {
    const found = await service();
    return found.metadata.generation === (generation ?? 0) + 2 && found;
  });
  assert.equal(repaired.spec.template.spec.containers[0]?.image, 'petrel.dev/runtime/node');
});

test('the status is the Service’s, a load error in the code’s own words', async (t) => {
  const { client, digest, hasService, setStatus, ready, get, readyWith } = await started(t);
  await client.create(FUNCTIONS, functionOf(digest));
  const service = await hasService();
  const message = 'hello.js:1\nexport default {{\n^\nSyntaxError: Unexpected token';
  await client.create(REVISIONS, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: { name: 'hello-00001', namespace: 'default' },
    spec: service.spec.template.spec,
  } as never);
  const revision = await client.get(REVISIONS, 'default', 'hello-00001');
  await client.updateStatus(REVISIONS, {
    ...revision,
    status: { conditions: [{ type: 'Ready', status: 'False', reason: 'load_error', message }] },
  } as never);
  await setStatus({
    observedGeneration: 1,
    latestCreatedRevisionName: 'hello-00001',
    conditions: [
      {
        type: 'Ready',
        status: 'False',
        reason: 'RevisionFailed',
        message: 'Revision "hello-00001" failed with message: …',
      },
    ],
  });
  const failed = await readyWith('load_error');
  assert.deepEqual([failed.status, failed.message], ['False', message]);

  // The next one is on its way: that there was none before it is not the end.
  await client.create(REVISIONS, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: { name: 'hello-00002', namespace: 'default' },
    spec: service.spec.template.spec,
  } as never);
  await setStatus({
    observedGeneration: 1,
    latestCreatedRevisionName: 'hello-00002',
    conditions: [
      {
        type: 'Ready',
        status: 'False',
        reason: 'RevisionMissing',
        message: 'Configuration "hello" does not have any ready Revision.',
      },
    ],
  });
  assert.equal((await readyWith('RevisionMissing')).status, 'Unknown');

  await setStatus({
    observedGeneration: 1,
    url: 'http://hello.default.localhost:8080',
    latestCreatedRevisionName: 'hello-00002',
    latestReadyRevisionName: 'hello-00002',
    conditions: [{ type: 'Ready', status: 'True' }],
  });
  await until(async () => (await ready())?.status === 'True');
  const { status, metadata } = await get();
  assert.equal(status?.observedGeneration, metadata.generation);
  assert.equal(status?.url, 'http://hello.default.localhost:8080');
  assert.deepEqual(
    [status?.latestCreatedRevisionName, status?.latestReadyRevisionName],
    ['hello-00002', 'hello-00002'],
  );

  const fn = await get();
  await client.update(FUNCTIONS, { ...fn, spec: { ...fn.spec, entry: 'other.js' } });
  const waiting = await readyWith('Deploying');
  assert.equal(waiting.status, 'Unknown');
});

test('a Service that is somebody else’s stays as it is', async (t) => {
  const { client, digest, readyWith, service } = await started(t);
  const theirs = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: NAME, namespace: 'default' },
    spec: { template: { spec: { containers: [{ image: 'theirs' }] } } },
  };
  await client.create(KSERVICES, theirs as never);
  await client.create(FUNCTIONS, functionOf(digest));
  const taken = await readyWith('NotOwned');
  assert.match(taken.message ?? '', /Service "hello" in namespace "default" that this Function does not own/);
  assert.deepEqual((await service()).spec, theirs.spec);
  await client.delete(KSERVICES, 'default', NAME);
  await readyWith('Deploying');
});

test('a runtime or a package that is not there is named, and its arrival is noticed', async (t) => {
  const { client, digest, readyWith, packages, service, get } = await started(t);
  await client.create(FUNCTIONS, functionOf(digest, { runtime: 'cobol' }));
  const unknown = await readyWith('RuntimeNotFound');
  assert.match(unknown.message ?? '', /no runtime "cobol". Choose one of: node/);
  await client.create(RUNTIMES, {
    apiVersion: 'petrel.dev/v1',
    kind: 'Runtime',
    metadata: { name: 'cobol' },
    spec: {
      language: 'cobol',
      extensions: ['.cob'],
      // What it is started with is there; what that needs is not.
      command: ['sh', '-c', 'exec /no/such/cobol'],
      tools: [{ command: '/no/such/cobol', for: 'run', install: 'Borrow a mainframe.' }],
    },
  } as never);
  const unavailable = await readyWith('RuntimeUnavailable');
  assert.match(unavailable.message ?? '', /"\/no\/such\/cobol" was not found.*Borrow a mainframe/);

  const fn = await get();
  await client.update(FUNCTIONS, {
    ...fn,
    spec: { runtime: 'node', package: { digest: `sha256:${'0'.repeat(64)}` } },
  });
  const missing = await readyWith('PackageMissing');
  assert.match(missing.message ?? '', /Deploy the function again/);
  assert.equal(await packages.stat(`sha256:${'0'.repeat(64)}`), undefined);
  await assert.rejects(service(), { code: 404 });
});

test('the Runtimes of the platform are applied, users’ pool sizes kept, readiness and warmth shown', async (t) => {
  const { client, functions, make } = await started(t);
  type R = import('../../kinds/function.ts').Runtime;
  const runtime = await client.get<R>(RUNTIMES, undefined, 'node');
  assert.equal(runtime.status?.conditions?.[0]?.status, 'True');
  await functions.stop();
  await client.update(RUNTIMES, {
    ...runtime,
    spec: { ...runtime.spec, command: ['old'], pool: { min: 1, max: 1 } },
  });
  const second = make();
  t.after(() => second.stop());
  await second.start();
  const after = await client.get<R>(RUNTIMES, undefined, 'node');
  assert.deepEqual(after.spec.command, ['$(NODE)', '$(RUNTIME_DIR)/main.js']);
  assert.deepEqual(after.spec.pool, { min: 1, max: 1 });
});

test('what is provisioned holds at once: on the Service, without another template', async (t) => {
  const { client, digest, hasService, service, get } = await started(t);
  await client.create(FUNCTIONS, functionOf(digest, { provisioned: { target: 2 } }));
  const { metadata, spec } = await hasService();
  assert.equal(metadata.annotations?.['autoscaling.petrel.dev/min-scale'], '2');
  await client.update(KSERVICES, {
    ...(await service()),
    metadata: { ...metadata, annotations: { ...metadata.annotations, mine: 'stays' } },
  });
  const { provisioned: _, ...bare } = (await get()).spec;
  await client.update(FUNCTIONS, { ...(await get()), spec: bare });
  const after = await until(async () => {
    const found = await service();
    return !('autoscaling.petrel.dev/min-scale' in (found.metadata.annotations ?? {})) && found;
  }, 'the bound is gone');
  assert.equal(after.metadata.annotations?.mine, 'stays');
  assert.deepEqual(after.spec.template, spec.template);
});
