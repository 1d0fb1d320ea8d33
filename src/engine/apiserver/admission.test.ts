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
