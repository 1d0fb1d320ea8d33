import assert from 'node:assert/strict';
import test from 'node:test';
import { createTestApi } from './testing.ts';

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

test('every resource is discovered, in one document or group by group', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const core = await api.call('GET', '/api', undefined, { accept: `${AGGREGATED},application/json` });
  assert.equal(core.headers['content-type'], AGGREGATED);
  const pods = core.body.items[0].versions[0].resources.find(
    (r: { resource: string }) => r.resource === 'pods',
  );
  assert.equal(pods.scope, 'Namespaced');
  assert.deepEqual(pods.shortNames, ['po']);
  assert.ok(pods.subresources.some((s: { subresource: string }) => s.subresource === 'log'));
  const groups = (await api.call('GET', '/apis', undefined, { accept: AGGREGATED })).body.items;
  const listed = new Set(groups.map((g: { metadata: { name: string } }) => g.metadata.name));
  for (const group of ['petrel.dev', 'serving.knative.dev', 'apps', 'authorization.k8s.io'])
    assert.ok(listed.has(group));
  const same = await api.call('GET', '/api', undefined, {
    accept: AGGREGATED,
    'if-none-match': core.headers.etag ?? '',
  });
  assert.equal(same.code, 304);

  assert.deepEqual((await api.call('GET', '/api')).body.versions, ['v1']);
  const old = (await api.call('GET', '/apis')).body;
  assert.equal(old.kind, 'APIGroupList');
  assert.equal(
    (await api.call('GET', '/apis/petrel.dev')).body.preferredVersion.groupVersion,
    'petrel.dev/v1',
  );
  const v1 = (await api.call('GET', '/api/v1')).body.resources;
  assert.ok(
    v1.some((r: { name: string; singularName: string }) => r.name === 'pods/log' && r.singularName === ''),
  );
  const functions = (await api.call('GET', '/apis/petrel.dev/v1')).body;
  assert.equal(functions.groupVersion, 'petrel.dev/v1');
  assert.ok(
    functions.resources.some(
      (r: { name: string; verbs: string[] }) => r.name === 'functions' && r.verbs.includes('watch'),
    ),
  );
});

test('OpenAPI documents are named by their content', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const index = (await api.call('GET', '/openapi/v3')).body.paths;
  for (const path of ['api/v1', 'apis/petrel.dev/v1']) {
    const document = await api.call('GET', index[path].serverRelativeURL);
    assert.equal(document.code, 200);
    assert.match(document.headers['cache-control'] ?? '', /immutable/);
    assert.equal(document.body.openapi, '3.0.0');
    const same = await api.call('GET', `/openapi/v3/${path}`, undefined, {
      'if-none-match': document.headers.etag ?? '',
    });
    assert.equal(same.code, 304);
  }
  assert.equal((await api.call('GET', '/openapi/v3/apis/nothing/v1')).code, 404);
  assert.equal((await api.call('GET', '/openapi/v2')).body.swagger, '2.0');
});

test('health, version, and who one is', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  for (const path of ['/healthz', '/livez', '/readyz'])
    assert.equal((await api.call('GET', path)).text, 'ok');
  const version = (await api.call('GET', '/version')).body;
  assert.equal(version.major, '1');
  assert.match(version.gitVersion, /^v1\.\d+\.\d+\+petrel/);
  const me = { name: 'ann', groups: ['team'] };
  const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  assert.equal((await api.call('POST', reviews, {}, {}, me)).body.status.userInfo.username, 'ann');
  const access = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const may = { spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } };
  assert.equal((await api.call('POST', access, may, {}, me)).body.status.allowed, false);
  assert.equal((await api.call('POST', access, may)).body.status.allowed, true);
});

test('those without rights are told what they may not do', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const { code, body } = await api.call(
    'GET',
    '/api/v1/namespaces/default/secrets',
    undefined,
    {},
    { name: 'ann', groups: [] },
  );
  assert.equal(code, 403);
  assert.equal(
    body.message,
    'secrets is forbidden: User "ann" cannot list resource "secrets" in API group "" in the namespace "default"',
  );
});

test('paths and methods that are not served', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  for (const path of [
    '/',
    '/api/v1/nothing',
    '/apis/none.example.com/v1/x',
    '/api/v1/namespaces/default/nodes',
    '/api/v1/pods/p',
    '/api/v1/namespaces/default/pods/p/exec',
    '/api/v1/namespaces/default/pods/p/log/more',
    '/constructor',
    '/api/v1/__proto__',
  ]) {
    const { code, body } = await api.call('GET', path);
    assert.equal(code, 404, path);
    assert.equal(body.message, 'the server could not find the requested resource');
  }
  assert.equal((await api.call('GET', '/api/v1/%zz')).code, 400);
  assert.equal((await api.call('PUT', '/api/v1/namespaces/default/pods')).code, 405);
  assert.equal((await api.call('POST', '/version')).code, 405);
  assert.equal((await api.call('DELETE', '/api/v1/namespaces/default/pods/p/status')).code, 405);
});
