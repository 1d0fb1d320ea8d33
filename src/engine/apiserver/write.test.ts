import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import { createTestApi } from './testing.ts';

const CM = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const FN = '/apis/petrel.dev/v1/namespaces/default/functions';
const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
const FUNCTION = {
  apiVersion: 'petrel.dev/v1',
  kind: 'Function',
  metadata: { name: 'f' },
  spec: { runtime: 'node', package: { digest: `sha256:${'0'.repeat(64)}` } },
};
const pod = (name: string, nodeName?: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'c', image: 'petrel.dev/host', command: ['true'] }] },
});

test('a name is generated from its prefix, and the uid cannot be chosen', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const { body } = await api.call('POST', CM, { metadata: { generateName: 'gen-', uid: 'mine' } });
  assert.match(body.metadata.name, /^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  assert.notEqual(body.metadata.uid, 'mine');
  assert.equal(body.kind, 'ConfigMap');
  const unnamed = await api.call('POST', CM, { metadata: {} });
  assert.equal(unnamed.code, 422);
  assert.match(unnamed.body.message, /metadata\.name: Required value: name or generateName is required/);
});

test('what does not fit the URL is refused', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', CM, configMap('a'));
  const bad: [string, 'POST' | 'PUT', string, object, number][] = [
    ['namespace', 'POST', CM, { metadata: { name: 'x', namespace: 'other' } }, 400],
    ['kind', 'POST', CM, { kind: 'Secret', metadata: { name: 'x' } }, 400],
    ['version', 'POST', CM, { apiVersion: 'apps/v1', metadata: { name: 'x' } }, 400],
    ['resourceVersion', 'POST', CM, { metadata: { name: 'x', resourceVersion: '1' } }, 400],
    ['name', 'PUT', `${CM}/a`, configMap('b'), 400],
    ['uid', 'PUT', `${CM}/a`, { metadata: { name: 'a', uid: 'other' } }, 409],
    ['absent', 'PUT', `${CM}/none`, configMap('none'), 404],
    ['list', 'POST', CM, [], 400],
    ['no namespace', 'POST', '/api/v1/configmaps', configMap('x'), 400],
  ];
  for (const [what, method, path, body, code] of bad) {
    assert.equal((await api.call(method, path, body)).code, code, what);
  }
});

test('fields that do not exist are refused, warned of, or dropped, as the client asks', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const text = '{"metadata":{"name":"x"},"data":{"a":"1"},"data":{"a":"2"},"color":"red"}';
  const json = { 'content-type': 'application/json' };
  const strict = await api.call('POST', `${CM}?fieldValidation=Strict`, text, json);
  assert.equal(strict.code, 400);
  assert.match(strict.body.message, /strict decoding error: .*duplicate field "data".*unknown field "color"/);
  const warned = await api.call('POST', `${CM}?fieldValidation=Warn`, text, json);
  assert.equal(warned.code, 201);
  assert.match(
    warned.headers.warning ?? '',
    /299 - "duplicate field \\"data\\"", 299 - "unknown field \\"color\\""/,
  );
  assert.equal(warned.body.color, undefined);
  const other = text.replace('"x"', '"y"');
  assert.equal(
    (await api.call('POST', `${CM}?fieldValidation=Ignore`, other, json)).headers.warning,
    undefined,
  );
  const typed = await api.call('POST', CM, { metadata: { name: 'z' }, data: { a: 1 } });
  assert.equal(typed.code, 400);
  assert.match(typed.body.message, /cannot be handled as a ConfigMap.*cannot unmarshal number/);
  const custom = await api.call('POST', FN, { ...FUNCTION, spec: { ...FUNCTION.spec, concurrency: 'many' } });
  assert.equal(custom.code, 422);
  assert.match(
    custom.body.message,
    /^Function\.petrel\.dev "f" is invalid: spec\.concurrency: Invalid value/,
  );
});

test('bodies may be YAML or protobuf; what cannot be read is 400, what is not known 415, what is too large 413', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const yaml = await api.call('POST', CM, 'metadata:\n  name: y\ndata: {a: "1"}\n', {
    'content-type': 'application/yaml',
  });
  assert.equal(yaml.code, 201);
  // k8s\0, then runtime.Unknown{typeMeta{v1, ConfigMap}, raw: ConfigMap{metadata{name: pb}, data{a: b}}}
  const raw = Buffer.from([0x0a, 4, 0x0a, 2, ...Buffer.from('pb'), 0x12, 6, 0x0a, 1, 97, 0x12, 1, 98]);
  const type = Buffer.concat([
    Buffer.from([0x0a, 2]),
    Buffer.from('v1'),
    Buffer.from([0x12, 9]),
    Buffer.from('ConfigMap'),
  ]);
  const protobuf = Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([0x0a, type.length]),
    type,
    Buffer.from([0x12, raw.length]),
    raw,
  ]);
  const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' };
  const created = await api.call('POST', CM, protobuf, headers);
  assert.equal(created.code, 201);
  assert.deepEqual(created.body.data, { a: 'b' });
  assert.equal((await api.call('POST', CM, protobuf.subarray(0, 20), headers)).code, 400);
  assert.equal((await api.call('POST', CM, '{', { 'content-type': 'application/json' })).code, 400);
  assert.equal((await api.call('POST', CM, 'a: [', { 'content-type': 'application/yaml' })).code, 400);
  assert.equal((await api.call('POST', CM, '<x/>', { 'content-type': 'text/xml' })).code, 415);
  assert.equal((await api.call('POST', CM, configMap('big', { a: 'x'.repeat(4_000_000) }))).code, 413);
});

test('JSON, merge and strategic patches; what a resource does not take is refused', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', PODS, {
    ...pod('p'),
    spec: {
      containers: [
        { name: 'a', image: 'x' },
        { name: 'b', image: 'y' },
      ],
    },
  });
  await api.call('POST', FN, FUNCTION);
  const patch = (path: string, type: string, body: unknown) =>
    api.call('PATCH', path, typeof body === 'string' ? body : JSON.stringify(body), {
      'content-type': `application/${type}`,
    });
  const strategic = await patch(`${PODS}/p`, 'strategic-merge-patch+json', {
    spec: { containers: [{ name: 'b', image: 'z' }] },
  });
  assert.deepEqual(
    strategic.body.spec.containers.map((c: { name: string; image: string }) => `${c.name}=${c.image}`).sort(),
    ['a=x', 'b=z'],
  );
  const json = await patch(`${FN}/f`, 'json-patch+json', [
    { op: 'add', path: '/spec/concurrency', value: 3 },
  ]);
  assert.equal(json.body.spec.concurrency, 3);
  const failing = await patch(`${FN}/f`, 'json-patch+json', [
    { op: 'test', path: '/spec/concurrency', value: 4 },
  ]);
  assert.equal(failing.code, 422);
  const custom = await patch(`${FN}/f`, 'strategic-merge-patch+json', { spec: { concurrency: 1 } });
  assert.equal(custom.code, 415);
  const apply = await patch(`${FN}/f`, 'apply-patch+yaml', 'spec: {}');
  assert.equal(apply.code, 415);
  assert.match(apply.body.message, /server-side apply.*is not served.*kubectl apply without --server-side/);
  const unknown = await patch(`${FN}/f?fieldValidation=Strict`, 'merge-patch+json', {
    spec: { colour: 'red' },
  });
  assert.equal(unknown.code, 422);
  assert.match(unknown.body.message, /strict decoding error: unknown field "spec\.colour"/);
  const stale = await patch(`${FN}/f`, 'merge-patch+json', {
    metadata: { resourceVersion: '1' },
    spec: { concurrency: 9 },
  });
  assert.equal(stale.code, 409);
  const immutable = await patch(`${FN}/f`, 'merge-patch+json', {
    metadata: { creationTimestamp: '2020-01-01T00:00:00Z' },
  });
  assert.equal(immutable.code, 422);
});

test('patches at once all arrive', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', CM, configMap('a'));
  const headers = { 'content-type': 'application/merge-patch+json' };
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => api.call('PATCH', `${CM}/a`, { data: { [`k${i}`]: '1' } }, headers)),
  );
  assert.ok(answers.every((a) => a.code === 200));
  assert.equal(Object.keys((await api.call('GET', `${CM}/a`)).body.data).length, 50);
});

test('a dry run answers as if, and changes nothing', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', CM, configMap('a', { v: '1' }));
  const { revision } = api.store;
  const headers = { 'content-type': 'application/merge-patch+json' };
  const created = await api.call('POST', `${CM}?dryRun=All`, configMap('b'));
  assert.equal(created.code, 201);
  assert.ok(created.body.metadata.uid);
  assert.equal(
    (await api.call('PATCH', `${CM}/a?dryRun=All`, { data: { v: '2' } }, headers)).body.data.v,
    '2',
  );
  assert.equal((await api.call('DELETE', `${CM}/a?dryRun=All`)).code, 200);
  assert.equal((await api.call('DELETE', `${CM}/a`, { dryRun: ['All'] })).code, 200);
  assert.equal((await api.call('POST', `${CM}?dryRun=All`, configMap('a'))).code, 409);
  assert.equal(api.store.revision, revision);
});

test('a deletion can be bound to uid and revision; a collection goes by selector', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const { metadata } = (await api.call('POST', CM, configMap('a'))).body;
  const wrong = await api.call('DELETE', `${CM}/a`, { preconditions: { uid: 'other' } });
  assert.equal(wrong.code, 409);
  assert.match(wrong.body.message, /UID in precondition: other, UID in object meta/);
  assert.equal((await api.call('DELETE', `${CM}/a`, { preconditions: { resourceVersion: '1' } })).code, 409);
  assert.equal((await api.call('DELETE', `${CM}/a`, { propagationPolicy: 'Sideways' })).code, 422);
  assert.equal((await api.call('DELETE', `${CM}/a`, { preconditions: { uid: metadata.uid } })).code, 200);
  for (const name of ['b', 'c', 'd']) {
    await api.call('POST', CM, {
      ...configMap(name),
      metadata: { name, labels: { keep: String(name === 'd') } },
    });
  }
  const gone = await api.call('DELETE', `${CM}?labelSelector=keep%3Dfalse`);
  assert.equal(gone.body.items.length, 2);
  assert.equal((await api.call('GET', CM)).body.items.length, 1);
});

test('a Pod is bound to a node once, and evicted', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', PODS, pod('p'));
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'p' },
    target: { kind: 'Node', name: 'n1' },
  };
  const bound = await api.call('POST', `${PODS}/p/binding`, binding);
  assert.equal(bound.code, 201);
  assert.equal(bound.body.kind, 'Status');
  assert.equal((await api.call('GET', `${PODS}/p`)).body.spec.nodeName, 'n1');
  const again = await api.call('POST', `${PODS}/p/binding`, binding);
  assert.equal(again.code, 409);
  assert.match(again.body.message, /already assigned to node "n1"/);
  const listed = await api.call('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1');
  assert.equal(listed.body.items.length, 1);
  const eviction = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: 'p' },
    deleteOptions: { gracePeriodSeconds: 3 },
  };
  assert.equal((await api.call('POST', `${PODS}/p/eviction`, eviction)).code, 201);
  assert.equal((await api.call('GET', `${PODS}/p`)).body.metadata.deletionGracePeriodSeconds, 3);
});

test("logs come from the agent of the Pod's node, with its token", async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const asked: string[] = [];
  const agent = createServer((request, response) => {
    asked.push(`${request.headers.authorization} ${request.url}`);
    response.end('line\n');
  });
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  t.after(() => agent.close());
  const { port } = agent.address() as AddressInfo;
  await api.call('POST', PODS, pod('p', 'n1'));
  assert.equal((await api.call('GET', `${PODS}/p/log`)).code, 503, 'no agent yet');
  await api.call('POST', '/api/v1/nodes', {
    metadata: { name: 'n1' },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
  await api.call('POST', '/api/v1/namespaces/kube-system/secrets', {
    metadata: { name: 'node-agent-n1' },
    data: { token: Buffer.from('hush').toString('base64') },
  });
  const log = await api.call('GET', `${PODS}/p/log?tailLines=3&follow=false&evil=1`);
  assert.equal(log.text, 'line\n');
  assert.deepEqual(asked, ['Bearer hush /containerLogs/default/p/c?follow=false&tailLines=3']);
  assert.equal((await api.call('GET', `${PODS}/p/log?container=x`)).code, 400);
  agent.close();
  agent.closeAllConnections();
  const down = await api.call('GET', `${PODS}/p/log`);
  assert.equal(down.code, 500);
  assert.match(down.body.message, /the agent of node "n1" does not answer/);
});

test('values of every wrong type are refused, and never a fault of the server', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await api.call('POST', PODS, pod('bound', 'n1'));
  const values = [
    null,
    -1,
    1e300,
    'x',
    [1],
    [null],
    [{}],
    { a: 1 },
    true,
    JSON.parse('{"__proto__":{"a":1}}'),
  ];
  const fields = [
    'metadata',
    'metadata.labels',
    'metadata.finalizers',
    'metadata.ownerReferences',
    'metadata.name',
    'spec',
    'data',
  ];
  const nested = (path: string, value: unknown): object =>
    path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as object;
  const answers: [string, Promise<{ code: number }>][] = [];
  const send = (
    method: 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body: unknown,
    type = 'application/json',
  ) =>
    answers.push([
      `${method} ${path} ${JSON.stringify(body)}`,
      api.call(method, path, JSON.stringify(body), { 'content-type': type }),
    ]);
  for (const value of values) {
    for (const collection of [PODS, CM, FN, '/api/v1/namespaces']) {
      send('POST', collection, value);
      for (const field of fields) send('POST', collection, nested(field, value));
    }
    for (const field of fields) {
      send('PATCH', `${PODS}/bound?dryRun=All`, nested(field, value), 'application/merge-patch+json');
      send(
        'PATCH',
        `${PODS}/bound?dryRun=All`,
        nested(field, value),
        'application/strategic-merge-patch+json',
      );
    }
    send('PATCH', `${PODS}/bound?dryRun=All`, value, 'application/json-patch+json');
    for (const option of [
      'gracePeriodSeconds',
      'propagationPolicy',
      'orphanDependents',
      'preconditions',
      'dryRun',
    ]) {
      send('DELETE', `${PODS}/bound?dryRun=All`, { [option]: value });
    }
    send('POST', `${PODS}/bound/binding`, { target: value });
    send('POST', `${PODS}/bound/eviction?dryRun=All`, { deleteOptions: value });
    send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', value);
  }
  for (const [request, answer] of answers) assert.ok((await answer).code < 500, request);
});
