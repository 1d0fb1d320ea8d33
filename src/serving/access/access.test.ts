/** What Services say of access, stickiness and instances for one request reaches the gateway, with keys that are up to date. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import type { FunctionAccess } from '../../kinds/function.ts';
import type { Secret } from '../../kinds/pod.ts';
import { KSERVICES, ROUTES, SECRETS, TRAFFIC_POLICIES } from '../../kube/refs.ts';
import { service, setUp } from '../testing/platform.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const secret = (name: string, data: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'default' },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
});
const guarded = (access: FunctionAccess | string, options: Parameters<typeof service>[1] = {}) => {
  const made = service('hello', options);
  const text = typeof access === 'string' ? access : JSON.stringify(access);
  made.metadata.annotations = { ...made.metadata.annotations, 'petrel.dev/access': text };
  return made;
};
const annotate = (annotations: Record<string, string | null>) => ({ metadata: { annotations } });

test('keys come from Secrets, follow them, and are gone with them', async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  const entry = () => gateway.routes.get('default/hello');
  await client.create(
    KSERVICES,
    guarded(
      { auth: { apiKey: { secret: 'keys' } } },
      { traffic: [{ latestRevision: true, percent: 100, tag: 'now' }] },
    ),
  );
  await settle();
  assert.deepEqual(
    entry()?.access?.auth?.apiKeys,
    { header: 'x-api-key', digests: [], names: [] },
    'nobody, until there are keys',
  );
  await client.create(SECRETS, secret('keys', { ann: 'one\n', bob: 'two', empty: '' }));
  await settle();
  const digests = [hash('sha256', 'one'), hash('sha256', 'two')];
  assert.deepEqual(entry()?.access?.auth?.apiKeys, { header: 'x-api-key', digests, names: ['ann', 'bob'] });
  assert.deepEqual(
    gateway.routes.get('default/now-hello')?.access,
    entry()?.access,
    'a tag is no way around it',
  );
  await client.patch(SECRETS, 'default', 'keys', 'merge', { data: { ann: null, bob: base64('three') } });
  await settle();
  assert.deepEqual(entry()?.access?.auth?.apiKeys?.digests, [hash('sha256', 'three')]);
  await client.delete(SECRETS, 'default', 'keys');
  await settle();
  assert.deepEqual(entry()?.access?.auth?.apiKeys?.digests, []);
  await client.patch(KSERVICES, 'default', 'hello', 'merge', annotate({ 'petrel.dev/access': null }));
  await settle();
  assert.equal(entry()?.access, undefined);
});

test('a Secret that is not there is told of on the Service; other Routes to its revisions are no way around it', async (t) => {
  const { api, client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, guarded({ auth: { apiKey: { secret: 'keys' } } }));
  await settle();
  const events = () => api.objects('events').filter(({ reason }) => reason === 'AccessNotReady');
  assert.deepEqual(
    events().map(({ message, involvedObject }) => [message, involvedObject.kind]),
    [['Secret "keys" not found: nobody is let in by what it should hold.', 'Service']],
  );
  await client.create(ROUTES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'prod', namespace: 'default' },
    spec: { traffic: [{ revisionName: 'hello-00001', percent: 100 }] },
  } as never);
  await settle();
  assert.ok(gateway.routes.get('default/prod')?.access?.auth?.apiKeys);
});

test('what cannot be understood lets nobody in', async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  for (const text of [
    '{',
    '[]',
    'null',
    '"x"',
    '{"auth":{"apiKey":5}}',
    '{"cors":{"allowOrigins":"x"}}',
    '{"atuh":{}}',
  ]) {
    const again = gateway.routes.has('default/hello');
    if (!again) await client.create(KSERVICES, guarded(text));
    else await client.patch(KSERVICES, 'default', 'hello', 'merge', annotate({ 'petrel.dev/access': text }));
    await settle();
    assert.deepEqual(gateway.routes.get('default/hello')?.access, { auth: {} }, text);
  }
});

test("a limit is the policy's where there is one; origins get what browsers need", async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  const access = {
    cors: { allowOrigins: ['https://a.test'] },
    auth: { hmac: { secret: 'hook' }, jwt: { secret: 'jwt', requiredClaims: { scope: 'x' } } },
    rateLimit: { requests: 3, key: { header: 'X-User' } },
  };
  await client.create(SECRETS, secret('hook', { secret: 'hush\n' }));
  await client.create(
    SECRETS,
    secret('jwt', { secret: 'sesame', jwks: '{"keys":[{"kty":"oct","kid":"a"},7]}' }),
  );
  await client.create(KSERVICES, guarded(access));
  await settle();
  const entry = () => gateway.routes.get('default/hello');
  assert.deepEqual(entry()?.policy, {
    rateLimit: { requests: 3, periodMs: 1000, burst: 3, key: { header: 'x-user' } },
  });
  assert.deepEqual(entry()?.access?.auth, {
    hmac: { header: 'x-hub-signature-256', secrets: ['hush'] },
    jwt: {
      keys: [
        { kty: 'oct', kid: 'a' },
        { kty: 'oct', k: Buffer.from('sesame').toString('base64url') },
      ],
      claims: { scope: 'x' },
    },
  });
  assert.equal(entry()?.access?.cors?.methods.includes('PUT'), true);
  assert.equal(entry()?.access?.cors?.credentials, false);
  await client.create(TRAFFIC_POLICIES, {
    apiVersion: 'petrel.dev/v1',
    kind: 'TrafficPolicy',
    metadata: { name: 'p', namespace: 'default' },
    spec: { targetRef: { kind: 'Service', name: 'hello' }, rateLimit: { requests: 9 } },
  } as never);
  await settle();
  assert.equal(entry()?.policy?.rateLimit?.requests, 9);
});

test('a sticky Service has its requests hashed without a policy, and a policy may say otherwise', async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const balancing = () => gateway.revisions.get('default/hello-00001')?.balancing;
  assert.equal(balancing(), undefined);
  const sticky = (value: object | null) =>
    client.patch(
      KSERVICES,
      'default',
      'hello',
      'merge',
      annotate({ 'petrel.dev/sticky': value && JSON.stringify(value) }),
    );
  await sticky({ queryParameter: 'room' });
  await settle();
  assert.deepEqual(balancing(), { policy: 'RingHash', hashOn: { queryParameter: 'room' } });
  await sticky({ header: 'X-User' });
  await settle();
  assert.deepEqual(balancing(), { policy: 'RingHash', hashOn: { header: 'x-user' } });
  await client.create(TRAFFIC_POLICIES, {
    apiVersion: 'petrel.dev/v1',
    kind: 'TrafficPolicy',
    metadata: { name: 'p', namespace: 'default' },
    spec: { targetRef: { kind: 'Service', name: 'hello' }, loadBalancing: { policy: 'LeastLoaded' } },
  } as never);
  await settle();
  assert.deepEqual(balancing(), { policy: 'LeastLoaded' });
  await client.delete(TRAFFIC_POLICIES, 'default', 'p');
  await sticky(null);
  await settle();
  assert.equal(balancing(), undefined);
});

test('keys behind a URL are there at the start, and are fetched again for a key that is not among them', async (t) => {
  let kid = 'a';
  let asked = 0;
  const server = createServer((_, res) => {
    asked++;
    res.end(JSON.stringify({ keys: [{ kty: 'oct', k: 'eA', kid }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  const { client, clock, gateway, start, settle, stop } = setUp();
  t.after(async () => {
    await stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const serving = await start();
  await client.create(KSERVICES, guarded({ auth: { jwt: { jwksUrl: url } } }));
  const known = () => gateway.routes.get('default/hello')?.access?.auth?.jwt?.keys.map((key) => key.kid);
  const eventually = async (wanted: string) => {
    for (let i = 0; i < 500 && known()?.[0] !== wanted; i++) {
      await settle(1);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.deepEqual(known(), [wanted]);
  };
  await eventually('a');
  kid = 'b';
  serving.events.keyMissing?.('default', 'hello');
  await eventually('b');
  kid = 'c';
  serving.events.keyMissing?.('default', 'hello');
  await settle(20);
  assert.equal(asked, 2, 'strangers cannot have the server asked again and again');
  await clock.advance(10_000);
  serving.events.keyMissing?.('default', 'hello');
  await eventually('c');
  assert.equal(asked, 3);
  await client.delete(KSERVICES, 'default', 'hello');
  await settle();
  await clock.advance(2 * 3_600_000);
  assert.equal(asked, 3, 'what nobody asks for is not fetched again');
});
