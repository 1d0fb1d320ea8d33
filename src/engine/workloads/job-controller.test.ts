import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { Job } from '../../kinds/job.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import { builtinRegistry } from '../../kinds/registry.ts';
import { JOBS, PODS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { inProcessTransport } from '../apiserver/in-process.ts';
import { ADMIN, createTestApi } from '../apiserver/testing.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { createJobController } from './job-controller.ts';
import { createJobStarter } from './jobs.ts';

const JOB = {
  metadata: { name: 'work' },
  spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } },
};
const PATH = '/apis/batch/v1/namespaces/default/jobs';

async function engine(t: TestContext) {
  const api = await createTestApi();
  const client = createClient(inProcessTransport(api.server, ADMIN));
  const options = { store: api.store, registry: builtinRegistry(), client, log: silentLogger };
  const controllers = [createGarbageCollector(options), createJobStarter(options)];
  for (const controller of controllers) await controller.start();
  t.after(async () => {
    for (const controller of controllers) await controller.stop();
    await api.close();
  });
  const pods = async () => (await client.list<Pod>(PODS, { namespace: 'default' })).items;
  const job = () => client.get<Job>(JOBS, 'default', 'work');
  const until = async <T>(look: () => Promise<T | undefined | false>): Promise<T> => {
    for (;;) {
      const found = await look();
      if (found) return found;
      await new Promise<void>((resolve) => {
        const stop = api.store.onCommit(() => {
          stop();
          resolve();
        });
        setTimeout(resolve, 50).unref();
      });
    }
  };
  /** What a node would say of a Pod. */
  const end = async (pod: Pod, exitCode: number) => {
    const newest = await client.get<Pod>(PODS, 'default', pod.metadata.name);
    await client.updateStatus(PODS, {
      ...newest,
      status: { ...newest.status, phase: exitCode === 0 ? 'Succeeded' : 'Failed' },
    } as unknown as UntypedObject);
  };
  const active = () => until(async () => (await pods()).find(({ status }) => status?.phase === 'Pending'));
  return { api, client, pods, job, until, end, active };
}

test('a Job makes a Pod with its labels, and is complete when that has succeeded', async (t) => {
  const { api, job, until, end, active } = await engine(t);
  const made = await api.call('POST', PATH, JOB);
  assert.equal(made.code, 201, made.text);
  const { uid } = made.body.metadata;
  const pod = await active();
  assert.equal(pod.metadata.labels?.['batch.kubernetes.io/controller-uid'], uid);
  assert.equal(pod.metadata.labels?.['job-name'], 'work');
  assert.equal(pod.metadata.ownerReferences?.[0]?.uid, uid);
  await end(pod, 0);
  const done = await until(async () => {
    const found = await job();
    return found.status?.conditions?.some(({ type }) => type === 'Complete') && found;
  });
  assert.equal(done.status?.succeeded, 1);
  assert.deepEqual(
    (await api.call('GET', `/api/v1/namespaces/default/pods/${pod.metadata.name}`)).body.metadata
      .finalizers ?? [],
    [],
  );
  const table = await api.call('GET', PATH, undefined, {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  });
  assert.deepEqual(table.body.rows[0].cells.slice(0, 3), ['work', 'Complete', '1/1']);
});

test('deleted, it takes its Pods along, whatever they were at', async (t) => {
  const { api, pods, until, active } = await engine(t);
  await api.call('POST', PATH, JOB);
  await active();
  await api.call('DELETE', `${PATH}/work`, { propagationPolicy: 'Background' });
  await until(async () => (await pods()).length === 0);
});

test('a platform without Jobs starts nothing for them; one that finds some goes on', async (t) => {
  const { api, client, active, until, end, job } = await engine(t);
  await api.call('POST', PATH, { ...JOB, spec: { ...JOB.spec, completions: 2 } });
  await end(await active(), 0);
  await until(async () => ((await job()).status?.succeeded ?? 0) === 1);
  // A second controller finds everything as it is and does nothing twice.
  const second = createJobController({ client, clock: systemClock, log: silentLogger });
  second.start();
  await end(await active(), 0);
  await until(async () => (await job()).status?.conditions?.some(({ type }) => type === 'Complete'));
  assert.equal((await job()).status?.succeeded, 2);
  await second.stop();
});

test('what is no Job is refused with the words of Kubernetes', async (t) => {
  const { api } = await engine(t);
  const refused = async (spec: object) =>
    (await api.call('POST', PATH, { metadata: { name: 'x' }, spec })).body.message;
  const template = JOB.spec.template;
  assert.match(
    await refused({ template: { spec: { containers: template.spec.containers } } }),
    /spec\.template\.spec\.restartPolicy: Required value: valid values: "OnFailure", "Never"/,
  );
  assert.match(
    await refused({ template, completions: -1 }),
    /spec\.completions: Invalid value: -1: must be greater than or equal to 0/,
  );
  assert.match(
    await refused({ template, completionMode: 'Indexed' }),
    /spec\.completionMode: Unsupported value: "Indexed"/,
  );
  await api.call('POST', PATH, JOB);
  const patched = await api.call(
    'PATCH',
    `${PATH}/work`,
    { spec: { template: { spec: { restartPolicy: 'OnFailure' } } } },
    { 'content-type': 'application/merge-patch+json' },
  );
  assert.match(patched.body.message, /spec\.template: Invalid value: .*field is immutable/);
});
