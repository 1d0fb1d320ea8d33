import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Digest, PetrelFunction, Runtime } from '../../kinds/function.ts';
import type { Job } from '../../kinds/job.ts';
import type { Secret } from '../../kinds/pod.ts';
import type { Service } from '../../kinds/serving.ts';
import { FUNCTIONS, JOBS, KSERVICES, RUNTIMES, SECRETS } from '../../kube/refs.ts';
import { chunks, rawTar } from '../testing/archives.ts';
import { createWorld, until } from '../testing/world.ts';
import type { BuildRequest } from './runner/request.ts';

const NEVER_THERE = 'no-such-compiler-anywhere';

/** Functions on an API in memory, where this test is what runs Jobs. */
async function started(t: TestContext, cores = 2) {
  const world = await createWorld(t, { cores, env: { NPM_CONFIG_REGISTRY: 'http://npm', SECRET: 'x' } });
  await world.functions.start();
  const { client, packages } = world;
  const get = (name: string) => client.get<PetrelFunction>(FUNCTIONS, 'default', name);
  const jobs = () => world.api.objects('jobs') as unknown as Job[];
  const unfinished = () => jobs().filter(({ status }) => !status?.conditions);
  const source = async (text: string) =>
    (await packages.put(chunks(rawTar([{ name: 'a.js', body: text }])))).digest;
  const deploy = (name: string, digest: Digest, command = 'make') =>
    client.create<PetrelFunction>(FUNCTIONS, {
      apiVersion: 'petrel.dev/v1',
      kind: 'Function',
      metadata: { name, namespace: 'default' },
      spec: { runtime: 'node', package: { digest }, build: { command } },
    });
  const phase = (name: string, wanted: string) =>
    until(async () => {
      const fn = await get(name);
      return fn.status?.build?.phase === wanted && fn;
    }, `${name} is ${wanted}`);
  const requestOf = async ({ metadata }: Job): Promise<BuildRequest> => {
    const secret = await client.get<Secret>(SECRETS, 'default', metadata.name);
    return JSON.parse(Buffer.from(secret.data?.request ?? '', 'base64').toString()) as BuildRequest;
  };
  const end = async (job: Job, type: 'Complete' | 'Failed', message = '') => {
    const newest = await client.get<Job>(JOBS, 'default', job.metadata.name);
    const conditions = [{ type, status: 'True' as const, message }];
    await client.updateStatus<Job>(JOBS, { ...newest, status: { conditions } });
  };
  /** What the Pod of a build does. */
  const succeed = async (job: Job, result: Buffer) => {
    const { url, token } = await requestOf(job);
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${url}/source`, { headers })).status, 200);
    const { zstdCompressSync } = await import('node:zlib');
    const sent = await fetch(`${url}/result`, { method: 'PUT', headers, body: zstdCompressSync(result) });
    assert.equal(sent.status, 201);
    await end(job, 'Complete');
    return ((await sent.json()) as { digest: Digest }).digest;
  };
  const oneJob = () => until(() => unfinished()[0], 'there is a Job');
  return { ...world, get, jobs, unfinished, source, deploy, phase, requestOf, end, succeed, oneJob };
}

test('the Service is made of what was built, and the platform keeps its own variables', async (t) => {
  const w = await started(t);
  const fn = await w.deploy('one', await w.source('1'));
  const job = await w.oneJob();
  const request = await w.requestOf(job);
  assert.deepEqual(request.command, ['sh', '-c', 'make']);
  assert.equal(request.env.NPM_CONFIG_REGISTRY, 'http://npm');
  assert.equal(request.env.SECRET, undefined);
  assert.deepEqual(w.api.objects('services'), [], 'nothing is loaded before it is built');
  const digest = await w.succeed(job, rawTar([{ name: 'built.js', body: '1' }]));
  await w.phase('one', 'Succeeded');
  const service = await until(() =>
    w.client.get<Service>(KSERVICES, 'default', 'one').catch(() => undefined),
  );
  assert.equal(service.spec.template.metadata?.annotations?.['petrel.dev/package'], digest);
  assert.notEqual(digest, fn.spec.package?.digest);
  await until(() => w.api.objects('secrets').length === 0, 'the Secret goes with the build');
  await assert.rejects(fetch(`${request.url}/source`), 'nobody listens without a build');
});

test('nobody without the token reads a source or hands in a result', async (t) => {
  const w = await started(t);
  await w.deploy('one', await w.source('1'));
  const { url } = await w.requestOf(await w.oneJob());
  for (const authorization of ['', 'Bearer x', `Bearer ${'y'.repeat(32)}`])
    assert.equal((await fetch(`${url}/source`, { headers: { authorization } })).status, 404);
  assert.equal((await fetch(`${url}/result`, { method: 'PUT', body: 'x' })).status, 404);
});

test('builds of one cache come one after the other; the same source is built once', async (t) => {
  const w = await started(t);
  const digest = await w.source('1');
  await w.deploy('one', digest);
  const first = await w.oneJob();
  await w.deploy('two', digest);
  await w.deploy('three', await w.source('3'));
  await w.phase('two', 'Pending');
  await w.phase('three', 'Pending');
  assert.equal(w.unfinished().length, 1);
  await w.succeed(first, rawTar([{ name: 'built.js', body: '1' }]));
  await w.phase('two', 'Succeeded');
  const next = await until(() => w.unfinished()[0], 'the third begins');
  assert.equal(next.metadata.labels?.['petrel.dev/function'], 'three');
  assert.equal(w.jobs().length, 2);
});

test('a failure stays one until something changes; a new source ends the build of the old one', async (t) => {
  const w = await started(t);
  await w.deploy('one', await w.source('1'));
  await w.end(await w.oneJob(), 'Failed', 'it broke');
  const failed = await w.phase('one', 'Failed');
  assert.equal(failed.status?.build?.message, 'it broke');
  const condition = failed.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual([condition?.status, condition?.reason], ['False', 'BuildFailed']);
  const spec = { ...failed.spec, package: { digest: await w.source('2') } };
  await w.client.update(FUNCTIONS, { ...(await w.get('one')), spec });
  const second = await w.oneJob();
  await w.client.update(FUNCTIONS, {
    ...(await w.get('one')),
    spec: { ...spec, package: { digest: await w.source('3') } },
  });
  await until(() => w.unfinished().some(({ metadata }) => metadata.name !== second.metadata.name));
  assert.ok(!w.jobs().some(({ metadata }) => metadata.name === second.metadata.name));
});

test('a tool that is not there is told before anything is started', async (t) => {
  const w = await started(t);
  const runtime = await w.client.get<Runtime>(RUNTIMES, undefined, 'node');
  const tools = [{ command: NEVER_THERE, for: 'build' as const, install: 'Get it from the moon.' }];
  await w.client.update<Runtime>(RUNTIMES, {
    ...runtime,
    spec: { ...runtime.spec, build: { command: [NEVER_THERE] }, tools },
  });
  await w.client.create<PetrelFunction>(FUNCTIONS, {
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: { name: 'one', namespace: 'default' },
    spec: { runtime: 'node', package: { digest: await w.source('1') }, build: { mode: 'always' } },
  });
  const failed = await w.phase('one', 'Failed');
  assert.match(
    failed.status?.build?.message ?? '',
    /no-such-compiler-anywhere is not on this machine. Get it from the moon/,
  );
  assert.equal(w.jobs().length, 0);
});

test('only the newest builds of a function are kept', async (t) => {
  const w = await started(t);
  await w.deploy('one', await w.source('0'));
  for (let i = 0; i < 5; i++) {
    await w.end(await w.oneJob(), 'Failed', 'no');
    await w.phase('one', 'Failed');
    const fn = await w.get('one');
    await w.client.update(FUNCTIONS, {
      ...fn,
      spec: { ...fn.spec, package: { digest: await w.source(`${i + 1}`) } },
    });
  }
  await w.oneJob();
  assert.ok(w.jobs().length <= 3, `${w.jobs().length} Jobs`);
});
