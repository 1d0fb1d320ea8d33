import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { silentLogger } from '../../base/log.ts';
import { httpsTransport } from '../../kube/https.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { CONFIGMAPS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { issue } from './pki/certificate.ts';
import { type RunningApiServer, startApiServer } from './serve.ts';

async function serve(t: TestContext): Promise<{ api: RunningApiServer; home: string; port: number }> {
  const home = mkdtempSync(join(tmpdir(), 'petrel-serve-'));
  const api = await startApiServer({
    home,
    host: '127.0.0.1',
    port: 0,
    log: silentLogger,
    version: 'test',
    tokens: [{ token: 'sesame', user: { name: 'robot', groups: ['system:masters'] } }],
  });
  t.after(async () => {
    await api.close();
    rmSync(home, { recursive: true });
  });
  return { api, home, port: Number(new URL(api.url).port) };
}

const pem = (home: string, file: string): string => readFileSync(join(home, 'pki', file), 'utf8');

function call(
  options: RequestOptions,
  body?: string,
): Promise<{ code: number; headers: Record<string, unknown>; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ code: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('the kubeconfig it writes works, is private, and its certificates outlive a restart', async (t) => {
  const { api, home } = await serve(t);
  const transport = httpsTransport(await loadKubeconfig(api.kubeconfig));
  t.after(() => transport.close());
  const client = createClient(transport);
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'default' },
  });
  assert.equal((await client.list(CONFIGMAPS, { namespace: 'default' })).items.length, 1);
  for (const file of ['kubeconfig', 'pki/ca.key', 'pki/apiserver.key', 'pki/admin.key', 'state.db']) {
    assert.equal(statSync(join(home, file)).mode & 0o077, 0, file);
  }
  const before = readFileSync(api.kubeconfig, 'utf8');
  await api.close();
  const again = await startApiServer({
    home,
    host: '127.0.0.1',
    port: Number(new URL(api.url).port),
    log: silentLogger,
    version: 'test',
  });
  assert.equal(readFileSync(again.kubeconfig, 'utf8'), before);
  assert.equal(
    (await client.list(CONFIGMAPS, { namespace: 'default' })).items.length,
    1,
    'the old client goes on',
  );
  await again.close();
});

test('who one is: a certificate of ours, a token, or nobody', async (t) => {
  const { home, port } = await serve(t);
  const ca = pem(home, 'ca.crt');
  const path = '/api/v1/namespaces';
  const trusted = { port, ca, path };
  const admin = { cert: pem(home, 'admin.crt'), key: pem(home, 'admin.key') };
  assert.equal((await call({ ...trusted, ...admin })).code, 200);
  const nobody = await call(trusted);
  assert.equal(nobody.code, 401);
  assert.equal(JSON.parse(nobody.body.toString()).reason, 'Unauthorized');
  assert.equal((await call({ ...trusted, headers: { authorization: 'Bearer sesame' } })).code, 200);
  for (const authorization of ['Bearer wrong', 'Bearer', 'Basic c2VzYW1l', 'bearer  sesame x']) {
    assert.equal((await call({ ...trusted, headers: { authorization } })).code, 401, authorization);
  }
  for (const open of ['/healthz', '/livez', '/readyz', '/version']) {
    assert.equal((await call({ ...trusted, path: open })).code, 200, open);
  }
  for (const closed of ['/api', '/apis', '/openapi/v3', '/nothing']) {
    assert.equal((await call({ ...trusted, path: closed })).code, 401, closed);
  }
  const subject = { commonName: 'petrel-admin', organizations: ['system:masters'] };
  const life = { notBefore: Date.now() - 1e6, notAfter: Date.now() + 1e9, usage: 'client' as const };
  const foreign = issue({ subject, ...life });
  assert.equal((await call({ ...trusted, cert: foreign.certificate, key: foreign.key })).code, 401);
  const issuer = { subject: { commonName: 'petrel-ca' }, key: createPrivateKey(pem(home, 'ca.key')) };
  const guest = issue({ subject: { commonName: 'guest' }, ...life }, issuer);
  assert.equal((await call({ ...trusted, cert: guest.certificate, key: guest.key })).code, 403);
  const expired = issue({ subject, ...life, notAfter: Date.now() - 1000 }, issuer);
  assert.equal((await call({ ...trusted, cert: expired.certificate, key: expired.key })).code, 401);
  await assert.rejects(call({ port, path, ca: foreign.certificate }), 'the server is checked, too');
});

test('large answers are compressed for those who ask; HEAD has no body; a watch has its headers at once', async (t) => {
  const { api, home, port } = await serve(t);
  const client = createClient(api.transport('test'));
  const data = { text: 'x'.repeat(200_000) };
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'big', namespace: 'default' },
    data,
  } as never);
  const base = {
    port,
    ca: pem(home, 'ca.crt'),
    headers: { authorization: 'Bearer sesame' },
    path: '/api/v1/namespaces/default/configmaps',
  };
  const plain = await call(base);
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(Number(plain.headers['content-length']), plain.body.length);
  const zipped = await call({ ...base, headers: { ...base.headers, 'accept-encoding': 'gzip' } });
  assert.equal(zipped.headers['content-encoding'], 'gzip');
  assert.deepEqual(gunzipSync(zipped.body), plain.body);
  const small = await call({ ...base, path: '/version', headers: { 'accept-encoding': 'gzip' } });
  assert.equal(small.headers['content-encoding'], undefined);
  const head = await call({ ...base, method: 'HEAD' });
  assert.equal(head.code, 200);
  assert.equal(head.body.length, 0);

  const watching = request({
    host: '127.0.0.1',
    agent: false,
    ...base,
    path: `${base.path}?watch=true&resourceVersion=${api.store.revision}`,
  });
  watching.end();
  const [response] = await once(watching, 'response');
  assert.equal(response.statusCode, 200);
  const next = once(response, 'data');
  await client.delete(CONFIGMAPS, 'default', 'big');
  assert.match(String((await next)[0]), /^\{"type":"DELETED"/);
  watching.on('error', () => {});
  watching.destroy();
});

test('too much of anything is refused and the connection closed', async (t) => {
  const { home, port } = await serve(t);
  const ca = pem(home, 'ca.crt');
  const headers = { authorization: 'Bearer sesame', 'content-type': 'application/json' };
  const path = '/api/v1/namespaces/default/configmaps';
  const announced = await new Promise<{ code: number; connection: unknown }>((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        ca,
        path,
        method: 'POST',
        agent: false,
        headers: { ...headers, 'content-length': 50_000_000 },
      },
      (response) => {
        response.resume();
        resolve({ code: response.statusCode ?? 0, connection: response.headers.connection });
        sent.destroy();
      },
    );
    sent.on('error', reject);
    sent.write('{');
  });
  assert.deepEqual(announced, { code: 413, connection: 'close' });
  const method = await call({ port, ca, path, method: 'OPTIONS', headers });
  assert.equal(method.code, 405);
  // The answer, or the end of the connection before it could be read.
  const long = await call({ port, ca, path: '/version', headers: { 'x-long': 'x'.repeat(70_000) } }).catch(
    (error: NodeJS.ErrnoException) => error,
  );
  assert.ok(long instanceof Error ? long.code === 'ECONNRESET' : long.code === 431);
});

test('no listener is left without TLS, and no old TLS is spoken', async (t) => {
  const { home, port } = await serve(t);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET /version HTTP/1.1\r\nhost: x\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
  const old = connectTls({
    port,
    host: '127.0.0.1',
    ca: pem(home, 'ca.crt'),
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  });
  await assert.rejects(once(old, 'secureConnect'));
  assert.equal(
    (await call({ port, ca: pem(home, 'ca.crt'), path: '/healthz' })).code,
    200,
    'and it goes on serving',
  );
});

test('a port in use and a home in use are said to be so, and leave nothing locked', async (t) => {
  const { api, home, port } = await serve(t);
  const other = mkdtempSync(join(tmpdir(), 'petrel-serve-'));
  t.after(() => rmSync(other, { recursive: true }));
  const options = { host: '127.0.0.1', log: silentLogger, version: 'test' };
  await assert.rejects(startApiServer({ ...options, home: other, port }), { code: 'PortInUse' });
  await assert.rejects(startApiServer({ ...options, home, port: 0 }), { code: 'PlatformAlreadyRunning' });
  const free = await startApiServer({ ...options, home: other, port: 0 });
  await free.close();
  await api.close();
});
