import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { EVENT_TRANSFORMS, JOB_SINKS, JOBS, SECRETS } from '../../kube/refs.ts';
import { BASE, createWorld, type World } from './testing.ts';

const ask = ({ engine }: World, question: object): Promise<Json> =>
  engine.handlers.get('job')?.({ namespace: 'default', ...question } as Json) ?? Promise.resolve(null);

const all = async ({ client }: World, resource: typeof JOBS): Promise<UntypedObject[]> =>
  (await client.list<UntypedObject>(resource, { namespace: 'default' })).items;

test('each event is one Job that has it as a file', async (t) => {
  const made = await createWorld();
  t.after(made.close);
  const container = { name: 'main', image: 'petrel.dev/runtime/exec', args: ['true'] };
  await made.create(JOB_SINKS, 'j', {
    job: {
      metadata: { labels: { app: 'x' } },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [container] } } },
    },
  });
  const { status } = await made.condition(JOB_SINKS, 'j', 'True');
  assert.equal(status.address.url, `${BASE}/job/default/j`);
  assert.equal(status.job.selector, 'sinks.knative.dev/job-sink-name=j');
  assert.equal(made.engine.sinks.get('job/default/j')?.type, 'job');

  const event = { name: 'j', source: '/a', id: '1', event: '{"id":"1"}' };
  assert.deepEqual(await ask(made, { name: 'j', source: '/a', id: '1' }), { status: 404 });
  assert.deepEqual(await ask(made, event), { status: 202 });
  assert.deepEqual(await ask(made, event), { status: 202 }, 'the same again');
  assert.deepEqual(await ask(made, { ...event, id: '2' }), { status: 202 });
  const jobs = await all(made, JOBS);
  assert.equal(jobs.length, 2);
  const job = jobs.find(({ metadata }) => metadata.labels?.['sinks.knative.dev/job-sink-id'] !== undefined);
  const { name, labels } = job?.metadata ?? {};
  assert.equal(labels?.app, 'x');
  assert.equal(labels?.['sinks.knative.dev/job-sink-name'], 'j');
  const [pod] = jobs.map(({ spec }) => spec.template.spec);
  const [main] = pod.containers;
  assert.deepEqual(main.volumeMounts, [
    { name: 'jobsink-event', mountPath: '/etc/jobsink-event', readOnly: true },
  ]);
  assert.ok(
    main.env.some(
      ({ name, value }: { name: string; value: string }) => name === 'K_EXECUTION_MODE' && value === 'batch',
    ),
  );
  const secrets = (await all(made, SECRETS)).filter(({ metadata }) => metadata.name === name);
  assert.equal(Buffer.from(secrets[0]?.data.event, 'base64').toString(), '{"id":"1"}');
  assert.equal(secrets[0]?.metadata.ownerReferences?.[0]?.kind, 'Job', 'it goes with its Job');

  const how = { name: 'j', source: '/a', id: '1' };
  assert.deepEqual(await ask(made, how), { status: 202 });
  const first = jobs.find(({ metadata }) => metadata.name === name);
  const ended = { type: 'Complete', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };
  await made.patchStatus(JOBS, first?.metadata.name ?? '', { conditions: [ended] });
  const answers = await Promise.all(['1', '2'].map((id) => ask(made, { ...how, id })));
  assert.deepEqual(answers.map((answer) => (answer as { status: number }).status).sort(), [200, 202]);
  assert.deepEqual(await ask(made, { ...event, name: 'other' }), {
    status: 404,
    reason: 'there is no JobSink default/other',
  });
});

test('an EventTransform has an address, and waits for its sink', async (t) => {
  const { create, condition, engine, controllers, patch, close } = await createWorld();
  t.after(close);
  const jsonata = { expression: '$' };
  await create(EVENT_TRANSFORMS, 't', { jsonata });
  const { status } = await condition(EVENT_TRANSFORMS, 't', 'True');
  assert.equal(status.address.url, `${BASE}/transform/default/t`);
  assert.deepEqual(engine.sinks.get('transform/default/t')?.config, jsonata);
  controllers.reports.source('transform/default/t', {
    ready: false,
    reason: 'InvalidExpression',
    message: 'no',
  });
  await condition(EVENT_TRANSFORMS, 't', 'False InvalidExpression');
  const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' };
  await create(EVENT_TRANSFORMS, 's', { jsonata, sink: { ref } });
  await condition(EVENT_TRANSFORMS, 's', 'False NotFound');
  await patch(EVENT_TRANSFORMS, 's', {
    spec: { sink: { ref: null, uri: 'http://sink.example.com' }, reply: { discard: true } },
  });
  const ready = await condition(EVENT_TRANSFORMS, 's', 'True');
  assert.equal(ready.status.sinkUri, 'http://sink.example.com');
  assert.deepEqual(engine.sinks.get('transform/default/s')?.config, {
    ...jsonata,
    sink: { url: 'http://sink.example.com' },
    discard: true,
  });
  await patch(EVENT_TRANSFORMS, 's', { spec: { sink: { uri: `${BASE}/transform/default/s` } } });
  await condition(EVENT_TRANSFORMS, 's', 'False NotFound');
});
