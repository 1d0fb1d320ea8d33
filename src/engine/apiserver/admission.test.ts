import assert from 'node:assert/strict';
import test from 'node:test';
import { createTestApi } from './testing.ts';

const KSVC = '/apis/serving.knative.dev/v1/namespaces/default/services';
const service = (name: string, traffic?: object[]) => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name },
  spec: {
    template: { spec: { containers: [{ image: 'petrel.dev/host', command: ['true'] }] } },
    ...(traffic ? { traffic } : {}),
  },
});

test("Knative's kinds are refused in its webhook's words, on create and on patch, but not through /status", async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const words =
    /^admission webhook "validation\.webhook\.serving\.knative\.dev" denied the request: validation failed: /;
  const refused = await api.call('POST', KSVC, service('half', [{ latestRevision: true, percent: 50 }]));
  assert.equal(refused.code, 400);
  assert.equal(refused.body.reason, 'BadRequest');
  assert.match(refused.body.message, words);
  assert.match(refused.body.message, /Traffic targets sum to 50, want 100: spec\.traffic/);
  assert.equal((await api.call('GET', `${KSVC}/half`)).code, 404);

  const created = await api.call('POST', KSVC, service('whole'));
  assert.equal(created.code, 201);
  assert.equal(created.body.metadata.annotations['serving.knative.dev/creator'], 'admin');
  const merge = { 'content-type': 'application/merge-patch+json' };
  const traffic = { spec: { traffic: [{ latestRevision: true, percent: 10 }] } };
  const patched = await api.call('PATCH', `${KSVC}/whole`, traffic, merge);
  assert.equal(patched.code, 400);
  assert.match(patched.body.message, words);
  const status = await api.call(
    'PATCH',
    `${KSVC}/whole/status`,
    { status: { observedGeneration: 1 } },
    merge,
  );
  assert.equal(status.code, 200);
});

const CONFIGS = '/api/v1/namespaces/knative-serving/configmaps';
const merge = { 'content-type': 'application/merge-patch+json' };

test("Knative's ConfigMaps exist, hold for the next write, and say nothing that cannot be used", async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const names = (await api.call('GET', CONFIGS)).body.items.map(
    (o: { metadata: { name: string } }) => o.metadata.name,
  );
  assert.deepEqual(names, [
    'config-autoscaler',
    'config-defaults',
    'config-deployment',
    'config-domain',
    'config-features',
    'config-gc',
    'config-network',
  ]);
  const timeout = async (name: string): Promise<number> => {
    const created = await api.call('POST', KSVC, service(name));
    assert.equal(created.code, 201);
    return created.body.spec.template.spec.timeoutSeconds;
  };
  assert.equal(await timeout('before'), 300);
  const patch = [{ op: 'add', path: '/data/revision-timeout-seconds', value: '30' }];
  const patched = await api.call('PATCH', `${CONFIGS}/config-defaults`, patch, {
    'content-type': 'application/json-patch+json',
  });
  assert.equal(patched.code, 200);
  assert.equal(await timeout('after'), 30);
  const cpu = { data: { 'revision-cpu-request': '400m' } };
  assert.equal((await api.call('PATCH', `${CONFIGS}/config-defaults`, cpu, merge)).code, 200);
  const status = { status: { observedGeneration: 1 } };
  const reported = await api.call('PATCH', `${KSVC}/before/status`, status, merge);
  assert.equal(reported.body.metadata.generation, 1, 'what is new by default stays out of a write of status');
  assert.deepEqual(reported.body.spec.template.spec.containers[0].resources, {});

  const data = { data: { 'revision-timeout-seconds': 'soon' } };
  const refused = await api.call('PATCH', `${CONFIGS}/config-defaults`, data, merge);
  assert.equal(refused.code, 400);
  assert.equal(
    refused.body.message,
    'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: failed to parse "revision-timeout-seconds": strconv.ParseInt: parsing "soon": invalid syntax',
  );
  assert.equal((await api.call('DELETE', `${CONFIGS}/config-defaults`)).code, 200);
  assert.equal(await timeout('gone'), 300);
  const elsewhere = { ...data, metadata: { name: 'config-defaults' } };
  assert.equal((await api.call('POST', '/api/v1/namespaces/default/configmaps', elsewhere)).code, 201);
});

test('a feature that is switched off is refused from then on', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const pinned = (name: string) => {
    const object = service(name);
    Object.assign(object.spec.template.spec, { nodeSelector: { disk: 'ssd' } });
    return object;
  };
  assert.equal((await api.call('POST', KSVC, pinned('first'))).code, 201);
  const off = { data: { 'kubernetes.podspec-nodeselector': 'DISABLED' } };
  assert.equal((await api.call('PATCH', `${CONFIGS}/config-features`, off, merge)).code, 200);
  const refused = await api.call('POST', KSVC, pinned('second'));
  assert.equal(refused.code, 400);
  assert.match(refused.body.message, /must not set the field\(s\): spec\.template\.spec\.nodeSelector$/);
});

test('what is accepted but unwise comes back as a warning', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const created = await api.call('POST', KSVC, service('plain'));
  assert.equal(created.code, 201);
  assert.match(
    created.headers.warning ?? '',
    /^299 - "Kubernetes default value is insecure, Knative may .*containers\[0\]\.securityContext\.allowPrivilegeEscalation, /,
  );
  const status = await api.call(
    'PATCH',
    `${KSVC}/plain/status`,
    { status: { observedGeneration: 1 } },
    merge,
  );
  assert.equal(status.headers.warning, undefined);
});

test('many warnings still fit into a head', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const object = service('many');
  const containers = Array.from({ length: 60 }, (_, i) => ({
    image: `image-${i}`,
    ...(i === 0 && { ports: [{ containerPort: 80 }] }),
    ...(i === 1 && { ünknown: '…' }),
  }));
  Object.assign(object.spec.template.spec, { containers });
  const created = await api.call('POST', `${KSVC}?fieldValidation=Warn`, object);
  assert.equal(created.code, 201);
  const { warning = '' } = created.headers;
  assert.ok(warning.length < 5000, String(warning.length));
  assert.match(warning, /^[\x20-\xff]+$/);
  assert.match(Buffer.from(warning, 'latin1').toString(), /unknown field .*ünknown/);
});
