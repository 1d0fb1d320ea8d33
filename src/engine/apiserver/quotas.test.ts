import assert from 'node:assert/strict';
import test from 'node:test';
import { createTestApi, type TestApi } from './testing.ts';

const CORE = '/api/v1/namespaces/default';
const merge = { 'content-type': 'application/merge-patch+json' };
const quota = (hard: object, name = 'q', spec: object = {}) => ({
  metadata: { name },
  spec: { hard, ...spec },
});
const pod = (name: string, resources: object = {}, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i', resources }], ...spec },
});
const configMap = (name: string) => ({ metadata: { name } });

const makeQuota = async (api: TestApi, hard: object, name = 'q', spec: object = {}) => {
  const made = await api.call('POST', `${CORE}/resourcequotas`, quota(hard, name, spec));
  assert.equal(made.code, 201, made.text);
};
const create = (api: TestApi, plural: string, object: object) =>
  api.call('POST', `${CORE}/${plural}`, object);

/** Waits until the status says so. */
async function used(api: TestApi, expected: object, name = 'q'): Promise<void> {
  for (;;) {
    const { body } = await api.call('GET', `${CORE}/resourcequotas/${name}`);
    const last = JSON.stringify(body.status?.used);
    if (last === JSON.stringify(expected)) return;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(Date.now() < deadline, `${last} is not ${JSON.stringify(expected)}`);
  }
}
const deadline = Date.now() + 30_000;

test("what exceeds a quota is refused in Kubernetes' words, and what is used is told", async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'pods', pod('before'));
  await makeQuota(api, { pods: '2' });
  await used(api, { pods: '1' });
  assert.equal((await create(api, 'pods', pod('a'))).code, 201);
  const refused = await create(api, 'pods', pod('x'));
  assert.equal(refused.code, 403);
  assert.equal(refused.body.reason, 'Forbidden');
  assert.equal(
    refused.body.message,
    'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2',
  );
  assert.deepEqual(refused.body.details, { name: 'x', kind: 'pods' });
  assert.equal((await api.call('POST', `${CORE}/pods?dryRun=All`, pod('x'))).code, 403);
  await used(api, { pods: '2' });
  await api.call('PATCH', `${CORE}/pods/a/status`, { status: { phase: 'Succeeded' } }, merge);
  await used(api, { pods: '1' });
  assert.equal((await create(api, 'pods', pod('x'))).code, 201, 'what has ended takes nothing');
  await api.call('DELETE', `${CORE}/pods/x`);
  await api.call('DELETE', `${CORE}/pods/before`);
  await used(api, { pods: '0' });
  assert.equal((await create(api, 'configmaps', configMap('c'))).code, 201, 'nothing of the quota');
  const elsewhere = '/api/v1/namespaces/petrel-system/pods';
  for (const name of ['a', 'b', 'c']) assert.equal((await api.call('POST', elsewhere, pod(name))).code, 201);
});

test('no more than the limit of any number of creates at once', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await makeQuota(api, { pods: '7', 'requests.cpu': '1' });
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      create(api, 'pods', pod(`p${index}`, { requests: { cpu: '150m' } })),
    ),
  );
  assert.equal(answers.filter(({ code }) => code === 201).length, 6);
  const refused = answers.filter(({ code }) => code === 403);
  assert.equal(refused.length, 34);
  assert.match(
    refused[0]?.body.message,
    /exceeded quota: q, requested: requests\.cpu=150m, used: requests\.cpu=900m, limited: requests\.cpu=1$/,
  );
  await used(api, { pods: '6', 'requests.cpu': '900m' });
});

test('cpu and memory: summed up, canonical, and to be said by every container', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await makeQuota(api, { cpu: '1', 'requests.memory': '1Gi', 'limits.memory': '2Gi' });
  const silent = await create(api, 'pods', pod('x', { requests: { cpu: '1' } }));
  assert.equal(
    silent.body.message,
    'pods "x" is forbidden: failed quota: q: must specify limits.memory for: c; requests.memory for: c',
  );
  const resources = { requests: { cpu: '0.5', memory: '512Mi' }, limits: { memory: '1Gi' } };
  assert.equal((await create(api, 'pods', pod('a', resources))).code, 201);
  const large = { requests: { cpu: '600m', memory: '768Mi' }, limits: { memory: '1Gi' } };
  assert.equal(
    (await create(api, 'pods', pod('x', large))).body.message,
    'pods "x" is forbidden: exceeded quota: q, requested: cpu=600m,requests.memory=768Mi, ' +
      'used: cpu=500m,requests.memory=512Mi, limited: cpu=1,requests.memory=1Gi',
  );
  assert.equal((await create(api, 'pods', pod('b', resources))).code, 201, 'exactly the limit');
  await used(api, { cpu: '1', 'requests.memory': '1Gi', 'limits.memory': '2Gi' });
});

test("counts: by name, of Knative's kinds, and by the type of Services", async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await makeQuota(api, {
    configmaps: '1',
    'count/secrets': '1',
    'count/services.serving.knative.dev': '1',
    'services.nodeports': '0',
  });
  assert.equal((await create(api, 'configmaps', configMap('a'))).code, 201);
  assert.match(
    (await create(api, 'configmaps', configMap('b'))).body.message,
    /^configmaps "b" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1$/,
  );
  assert.equal((await create(api, 'secrets', configMap('a'))).code, 201);
  assert.match((await create(api, 'secrets', configMap('b'))).body.message, /requested: count\/secrets=1/);
  const services = '/apis/serving.knative.dev/v1/namespaces/default/services';
  const knative = (name: string) => ({
    metadata: { name },
    spec: { template: { spec: { containers: [{ image: 'i' }] } } },
  });
  assert.equal((await api.call('POST', services, knative('a'))).code, 201);
  assert.match(
    (await api.call('POST', services, knative('b'))).body.message,
    /^services\.serving\.knative\.dev "b" is forbidden: exceeded quota: q, requested: count\/services\.serving\.knative\.dev=1/,
  );
  const service = { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } };
  assert.equal((await create(api, 'services', service)).code, 201);
  const changed = await api.call('PATCH', `${CORE}/services/s`, { spec: { type: 'NodePort' } }, merge);
  assert.equal(changed.code, 403, 'an update may exceed it as well');
});

test('a quota with scopes is about those Pods alone; the strictest of several decides', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await makeQuota(api, { pods: '1' }, 'best', { scopes: ['BestEffort'] });
  await makeQuota(api, { pods: '5' });
  assert.equal((await create(api, 'pods', pod('a'))).code, 201);
  assert.match((await create(api, 'pods', pod('b'))).body.message, /exceeded quota: best,/);
  assert.equal((await create(api, 'pods', pod('c', { requests: { cpu: '1' } }))).code, 201);
  await used(api, { pods: '1' }, 'best');
  await used(api, { pods: '2' });
});

test('limits that are none are refused', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const wrong: [hard: object, message: RegExp, spec?: object][] = [
    [{ podz: '1' }, /spec\.hard\[podz\]: Invalid value: "podz": must be a standard resource for quota/],
    [{ pods: '-1' }, /spec\.hard\[pods\]: Invalid value: "-1": must be greater than or equal to 0/],
    [{ pods: '1500m' }, /spec\.hard\[pods\]: Invalid value: "1500m": must be an integer/],
    [{ pods: '1' }, /spec\.scopes\[0\]: Unsupported value: "X"/, { scopes: ['X'] }],
    [{ pods: '1' }, /spec\.scopeSelector: Forbidden/, { scopeSelector: { matchExpressions: [] } }],
  ];
  for (const [hard, message, spec] of wrong) {
    const answer = await create(api, 'resourcequotas', quota(hard, 'q', spec));
    assert.equal(answer.code, 422, answer.text);
    assert.match(answer.body.message, message);
  }
});

test('a quota that is raised or deleted limits no longer', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await makeQuota(api, { pods: '0' });
  assert.equal((await create(api, 'pods', pod('a'))).code, 403);
  await api.call('PATCH', `${CORE}/resourcequotas/q`, { spec: { hard: { pods: 1 } } }, merge);
  assert.equal((await create(api, 'pods', pod('a'))).code, 201);
  assert.equal((await create(api, 'pods', pod('b'))).code, 403);
  await api.call('DELETE', `${CORE}/resourcequotas/q`);
  assert.equal((await create(api, 'pods', pod('b'))).code, 201);
});
