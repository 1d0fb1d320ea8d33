import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { httpsTransport } from './https.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { CONFIGMAPS } from './refs.ts';
import { createClient } from './rest.ts';

async function serve(handler: http.RequestListener) {
  const server = http.createServer(handler);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    sockets,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

test('calls share a connection, a watch has its own, and aborting it ends it quietly', async (t) => {
  const ports = new Map<string, Set<number | undefined>>([
    ['call', new Set()],
    ['watch', new Set()],
  ]);
  const watchClosed = Promise.withResolvers<void>();
  const server = await serve((request, response) => {
    const watching = request.url!.includes('watch=true');
    ports.get(watching ? 'watch' : 'call')!.add(request.socket.remotePort);
    assert.equal(request.headers.authorization, 'Bearer secret');
    if (!watching) return response.end('{"metadata":{"resourceVersion":"1"},"items":[]}');
    response.on('close', () => watchClosed.resolve());
    response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
    return undefined;
  });
  t.after(server.close);
  const transport = httpsTransport({ server: server.url, token: () => 'secret' });
  t.after(() => transport.close());
  const client = createClient(transport);
  const abort = new AbortController();
  const watch = client.watch(CONFIGMAPS, { signal: abort.signal })[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.type, 'ADDED');
  await client.list(CONFIGMAPS);
  await client.list(CONFIGMAPS);
  const next = watch.next();
  abort.abort();
  await next.catch(() => {});
  await watchClosed.promise;
  assert.equal(ports.get('call')!.size, 1);
  assert.equal(ports.get('watch')!.size, 1);
  assert.ok(!ports.get('call')!.has([...ports.get('watch')!][0]));
});

test('a read on a connection that the server has just closed is repeated on a new one', async (t) => {
  let requests = 0;
  const server = await serve((request, response) => {
    requests++;
    if (requests === 2) return request.socket.resetAndDestroy();
    response.end('{"metadata":{"resourceVersion":"1"},"items":null}');
    return undefined;
  });
  t.after(server.close);
  const transport = httpsTransport({ server: server.url });
  t.after(() => transport.close());
  const client = createClient(transport);
  await client.list(CONFIGMAPS);
  assert.deepEqual((await client.list(CONFIGMAPS)).items, []);
  assert.equal(requests, 3);
});

test('rejects when nobody answers', async () => {
  const transport = httpsTransport({ server: 'http://127.0.0.1:1' });
  await assert.rejects(transport.request({ method: 'GET', path: '/version' }), { code: 'ECONNREFUSED' });
});

test('a kubeconfig is read with inline data and relative files; what is wrong with it is said', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'petrel-kubeconfig-'));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(path.join(dir, 'ca.pem'), 'CA');
  const file = path.join(dir, 'config');
  await writeFile(
    file,
    `current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: team}}
- {name: two, context: {cluster: missing, user: u}}
- {name: plugin, context: {cluster: c, user: p}}
clusters:
- {name: c, cluster: {server: "https://127.0.0.1:7443", certificate-authority: ca.pem}}
users:
- {name: u, user: {client-certificate-data: ${Buffer.from('CERT').toString('base64')}, token: t}}
- {name: p, user: {exec: {command: x}}}
`,
  );
  const config = await loadKubeconfig(file);
  assert.equal(config.server, 'https://127.0.0.1:7443');
  assert.equal(config.namespace, 'team');
  assert.equal(Buffer.from(config.ca as Uint8Array).toString(), 'CA');
  assert.equal(Buffer.from(config.cert as Uint8Array).toString(), 'CERT');
  assert.equal(config.token, 't');
  const why = (pattern: RegExp) => (error: unknown) =>
    error instanceof PetrelError && pattern.test(error.why);
  await assert.rejects(loadKubeconfig(file, 'two'), why(/no cluster "missing"/));
  await assert.rejects(loadKubeconfig(file, 'plugin'), why(/credential plugin/));
  await assert.rejects(loadKubeconfig(file, 'three'), why(/no context "three"/));
  await assert.rejects(loadKubeconfig(path.join(dir, 'absent')), { code: 'FileNotFound' });
});
