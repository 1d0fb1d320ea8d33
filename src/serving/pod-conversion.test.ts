/** An instance of one revision becomes one of the next where it stands: real API server, node agent and processes. */
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { createTestCluster } from '../engine/node/testing.ts';
import { HOST_IMAGE } from '../kinds/function.ts';
import type { Container, Pod } from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';
import { REVISIONS } from '../kube/refs.ts';
import { InstanceError } from './contract.ts';
import { createPlainPods } from './plain-pods.ts';
import { convertible } from './pod-conversion.ts';

const SERVER = `require('node:http').createServer((request, response) => {
  response.end(process.env.K_REVISION + ' ' + process.env.WORD + ' ' + process.pid);
}).listen(process.env.PORT, '127.0.0.1');`;

const revision = (name: string, container: Partial<Container> = {}): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: {
    name,
    namespace: 'default',
    uid: `uid-of-${name}`,
    labels: { 'serving.knative.dev/service': 'web', ...(name === 'web-1' ? { old: 'yes' } : {}) },
  },
  spec: {
    timeoutSeconds: 5,
    containers: [{ name: 'c', image: HOST_IMAGE, command: [process.execPath, '-e', SERVER], ...container }],
  },
});

test('only what a node can replace may differ', () => {
  const from = revision('web-1');
  const differing = (change: (to: Revision) => void) => {
    const to = structuredClone(revision('web-2'));
    change(to);
    return convertible(from, to);
  };
  const main = (to: Revision) => to.spec.containers[0]!;
  assert.equal(
    differing(() => {}),
    true,
  );
  assert.equal(
    differing((to) => Object.assign(main(to), { image: 'x', args: ['y'], workingDir: '/tmp' })),
    true,
  );
  assert.equal(
    differing((to) => Object.assign(main(to), { env: [{ name: 'A', value: '1' }] })),
    true,
  );
  assert.equal(
    differing((to) => Object.assign(main(to), { resources: { limits: { cpu: '1' } } })),
    false,
  );
  assert.equal(
    differing((to) => Object.assign(to.spec, { timeoutSeconds: 6 })),
    false,
  );
  assert.equal(
    differing((to) => Object.assign(to.spec, { volumes: [{ name: 'v', emptyDir: {} }] })),
    false,
  );
  assert.equal(
    differing((to) => to.spec.containers.push({ name: 'more' })),
    false,
  );
  assert.equal(
    differing((to) => Object.assign(main(to), { ports: [{ name: 'h2c', containerPort: 8080 }] })),
    false,
  );
});

test('the Pod stays and answers as the new revision; one that cannot start takes it along', async (t) => {
  const cluster = await createTestCluster({ sandbox: 'plain' });
  const plain = createPlainPods({
    client: cluster.client,
    log: silentLogger,
    clock: systemClock,
    random: Math.random,
  });
  await plain.start();
  t.after(async () => {
    plain.stop();
    await cluster.close();
  });
  const create = async (name: string, container: Partial<Container>) => {
    const given = revision(name, container);
    return cluster.client.create<Revision>(REVISIONS, {
      ...given,
      metadata: { ...given.metadata, uid: undefined },
    });
  };
  const [first, second, broken] = [
    await create('web-1', { env: [{ name: 'WORD', value: 'one' }] }),
    await create('web-2', { env: [{ name: 'WORD', value: 'two' }] }),
    await create('web-3', { args: ['--no-such-option'], command: [process.execPath] }),
  ];
  const down: string[] = [];
  plain.source.onEvent({ down: (of, _id, reason) => down.push(`${of.metadata.name} ${reason}`), up() {} });
  const ask = ({ port }: { port: number }) =>
    new Promise<string>((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port, agent: false }, async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve(text);
        })
        .on('error', reject);
    });
  const signal = AbortSignal.timeout(20_000);
  const instance = await plain.source.acquire(first!, signal);
  assert.match(await ask(instance.address as { port: number }), /^web-1 one /);

  const converted = await plain.source.convert!(first!, instance.id, second!, signal);
  assert.equal(converted.id, instance.id);
  assert.notDeepEqual(converted.address, instance.address, 'the new one did not wait for the old one');
  assert.match(await ask(converted.address as { port: number }), /^web-2 two /);
  // The server itself was asked; the Pod's status may say so a moment later.
  const ready = ({ status }: Pod) =>
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  const pod = await cluster.until(instance.podName, ready);
  assert.equal(pod.metadata.labels?.['serving.knative.dev/revision'], 'web-2');
  assert.equal(pod.metadata.labels?.old, undefined);
  assert.deepEqual(
    pod.metadata.ownerReferences?.map(({ uid }) => uid),
    [second!.metadata.uid],
  );
  assert.deepEqual(down, []);

  await assert.rejects(plain.source.convert!(second!, instance.id, broken!, signal), (error) => {
    assert.ok(error instanceof InstanceError);
    assert.equal(error.failure.reason, 'ExitCode9');
    assert.match(error.failure.message, /bad option/);
    return true;
  });
  await cluster.untilGone(instance.podName);
});
