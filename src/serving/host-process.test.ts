/** A revision that is a program on the host, with everything real: API server, scheduler, node agent, gateway, sockets. */
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { silentLogger } from '../base/log.ts';
import { createTestCluster } from '../engine/node/testing.ts';
import { startGateway } from '../gateway/gateway.ts';
import { conditionOf, readiness } from '../kinds/conditions.ts';
import { HOST_IMAGE } from '../kinds/function.ts';
import type { Pod } from '../kinds/pod.ts';
import type { Revision, Service } from '../kinds/serving.ts';
import { createInformer } from '../kube/informer.ts';
import { KSERVICES, PODS } from '../kube/refs.ts';
import { createServing } from './serving.ts';

const SERVER = `
require('node:http').createServer((request, response) => {
  if (request.url === '/exit') process.exit(3);
  response.end(process.env.K_REVISION + ' ' + process.pid);
}).listen(process.env.PORT, '127.0.0.1');`;

async function setUp(t: { after(done: () => unknown): void }) {
  const cluster = await createTestCluster({ sandbox: 'plain' });
  const serving = createServing({ client: cluster.client, sources: [], log: silentLogger });
  const gateway = await startGateway({
    host: '127.0.0.1',
    port: 0,
    workers: 0,
    events: serving.events,
    log: silentLogger,
  });
  await serving.start(gateway);
  const services = createInformer<Service>({
    client: cluster.client,
    resource: KSERVICES,
    log: silentLogger,
  });
  services.start();
  t.after(async () => {
    services.stop();
    await serving.stop();
    await gateway.close(0);
    await cluster.close();
  });
  const deploy = (name: string, program: string) =>
    cluster.client.create<Service>(KSERVICES, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: {
        template: {
          spec: {
            timeoutSeconds: 5,
            containers: [
              { name: 'user-container', image: HOST_IMAGE, command: [process.execPath, '-e', program] },
            ],
          },
        },
      },
    });
  const settled = (name: string, status: 'True' | 'False'): Promise<Service> =>
    new Promise((resolve) => {
      const look = (service: Service) => {
        if (service.metadata.name === name && readiness(service) === status) resolve(service);
      };
      services.addHandler({ add: look, update: look });
    });
  const get = (name: string, path = '/') =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const { port } = gateway.address;
      const headers = { host: `${name}.default.localhost` };
      http
        .get({ host: '127.0.0.1', port, path, headers, agent: false }, async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve({ status: response.statusCode ?? 0, text });
        })
        .on('error', reject);
    });
  return { cluster, gateway, deploy, settled, get };
}

test('it is deployed, answers, and answers again after it has crashed and after its Pod was deleted', async (t) => {
  const { cluster, gateway, deploy, settled, get } = await setUp(t);
  await deploy('web', SERVER);
  const service = await settled('web', 'True');
  assert.equal(service.status?.url, `http://web.default.localhost:${gateway.address.port}`);
  const first = await get('web');
  assert.match(first.text, /^web-00001 \d+$/);
  await get('web', '/exit').catch(() => {});
  // While the dying process still holds its listening socket, a request may be accepted and cut.
  let second = await get('web');
  for (let attempt = 0; attempt < 100 && second.status === 502; attempt++) second = await get('web');
  assert.equal(second.status, 200, second.text);
  assert.notEqual(second.text, first.text);
  for (const pod of (await cluster.client.list<Pod>(PODS)).items) {
    await cluster.client.delete(PODS, 'default', pod.metadata.name);
  }
  const third = await get('web');
  assert.equal(third.status, 200, third.text);
});

test('requests that arrive before it runs wait for it', async (t) => {
  const { deploy, get, cluster } = await setUp(t);
  await deploy('slow', `setTimeout(() => { ${SERVER} }, 300)`);
  let first = await get('slow');
  // Until the Route exists there is nothing to wait at.
  while (first.status === 404) first = await get('slow');
  assert.equal(first.status, 200, first.text);
  assert.equal((await cluster.client.list<Pod>(PODS)).items.length, 1);
});

test('a program that ends is reported with its exit code and its last words', async (t) => {
  const { deploy, settled, get, cluster } = await setUp(t);
  await deploy('broken', `console.error('no database'); process.exit(7)`);
  const service = await settled('broken', 'False');
  const { items } = await cluster.client.list<Revision>(
    { group: 'serving.knative.dev', version: 'v1', plural: 'revisions', kind: 'Revision', namespaced: true },
    { namespace: 'default' },
  );
  const healthy = conditionOf(items[0], 'ContainerHealthy');
  assert.equal(healthy?.reason, 'ExitCode7');
  assert.match(healthy?.message ?? '', /^Container failed with: /);
  assert.match(
    conditionOf(service, 'Ready')?.message ?? '',
    /"broken-00001" failed with message: Container failed with/,
  );
  const answer = await get('broken');
  assert.equal(answer.status, 503);
  assert.match(answer.text, /ExitCode7/);
});
