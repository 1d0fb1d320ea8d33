import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { FUNCTION_LABELS } from '../../kinds/function.ts';
import { CONFIGMAPS, FUNCTIONS, PODS, SECRETS } from '../../kube/refs.ts';
import { type Instance, InstanceError } from '../../serving/contract.ts';
import type { FakeNode } from '../testing/fake-node.ts';
import { createWorld, never, revisionOf, until } from '../testing/world.ts';

async function started(t: TestContext, options: Parameters<typeof createWorld>[1] = {}) {
  const world = await createWorld(t, options);
  await world.functions.start();
  await until(() => world.idle().length === 2, 'the pool is filled');
  const events: string[] = [];
  world.functions.source.onEvent({
    down: (_, id, reason) => events.push(`down ${id} ${reason}`),
    up: (_, instance) => events.push(`up ${instance.id}`),
  });
  /** The pool counts an instance as warm a moment after the instance exists. */
  const settled = () =>
    until(() => world.api.objects('runtimes')[0]?.status !== undefined && world.idle().length === 2);
  return { ...world, source: world.functions.source, events, settled };
}

const instanceOf = (node: FakeNode, instance: Instance) => {
  const found = node.instances.get(instance.id);
  assert.ok(found);
  return found;
};

test('a warm instance gets the code, its Pod says so afterwards, the pool is refilled', async (t) => {
  const { source, node, digest, client, dir, idle, pods } = await started(t);
  const revision = revisionOf(
    digest,
    {
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '$(A)2' },
      ],
    },
    { containerConcurrency: 3, timeoutSeconds: 7 },
  );
  const instance = await source.acquire(revision, never());
  const fake = instanceOf(node, instance);
  assert.deepEqual(instance.address, { kind: 'mux', path: join(dir, 'pods', instance.id, 'i.sock') });
  const [params] = fake.specialised;
  assert.ok(params);
  const service = revision.metadata.labels?.['serving.knative.dev/service'];
  assert.deepEqual(params.env, {
    A: '1',
    B: '12',
    PORT: String(params.port),
    K_SERVICE: service,
    K_CONFIGURATION: service,
    K_REVISION: revision.metadata.name,
    PETREL_GATEWAY_URL: 'http://127.0.0.1:8080',
    PETREL_FUNCTIONS_URL: 'http://127.0.0.1:8080/fn/default',
  });
  assert.equal(params.entry, 'hello.js');
  assert.equal(params.concurrency, 3);
  assert.equal(params.timeoutMs, 7000);
  assert.equal(params.code, join(dir, 'packages', 'unpacked', digest.slice(7)));

  const pod = await until(async () => {
    const found = await client.get(PODS, 'default', instance.podName);
    return found.metadata.labels?.[FUNCTION_LABELS.pool] === 'specialised' && found;
  });
  assert.equal(pod.metadata.labels?.['serving.knative.dev/revision'], revision.metadata.name);
  assert.deepEqual(
    pod.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid]),
    [['Revision', revision.metadata.uid]],
  );
  await until(() => idle().length === 2, 'the pool is refilled');
  assert.equal(pods().length, 3);
});

test('many waiters: one Pod each and not one more than the pool keeps', async (t) => {
  const { source, node, digest, pods, settled } = await started(t);
  await settled();
  const got = await Promise.all(
    Array.from({ length: 20 }, () => source.acquire(revisionOf(digest), never())),
  );
  assert.equal(new Set(got.map(({ id }) => id)).size, 20);
  const specialised = [...node.instances.values()].filter((instance) => instance.specialised.length > 0);
  assert.equal(specialised.length, 20);
  await until(() => pods().length === 28, 'the pool has grown to its maximum of 8 after such demand');
  assert.equal(node.seen, 28);
});

test('waiters that give up cost nothing and take nothing', async (t) => {
  const { source, node, digest } = await started(t);
  await Promise.all([1, 2].map(() => source.acquire(revisionOf(digest), never())));
  node.paused = true;
  const abort = new AbortController();
  const refused = source.acquire(revisionOf(digest), abort.signal);
  const served = source.acquire(revisionOf(digest), never());
  abort.abort(new Error('client gone'));
  await assert.rejects(refused, /client gone/);
  node.resume();
  await served;
});

test('aborting in the middle of a load removes the instance', async (t) => {
  const { source, node, digest, pods } = await started(t);
  const loading = Promise.withResolvers<string>();
  node.specialise = (_, instance) => {
    loading.resolve(instance.name);
    return undefined;
  };
  const abort = new AbortController();
  const refused = assert.rejects(source.acquire(revisionOf(digest), abort.signal), /no longer wanted/);
  const name = await loading.promise;
  abort.abort(new Error('no longer wanted'));
  await refused;
  await until(() => !pods().some((pod) => pod.metadata.name === name));
});

test('a load error is told verbatim, to all who wait, after few attempts', async (t) => {
  const { source, node, digest, pods } = await started(t);
  let attempts = 0;
  node.specialise = () => {
    attempts++;
    throw {
      code: 'LoadError',
      message: "SyntaxError: Unexpected token '}'",
      file: 'hello.js',
      line: 3,
      column: 7,
      detail: "hello.js:3\n}\n^\nSyntaxError: Unexpected token '}'",
    };
  };
  const revision = revisionOf(digest);
  const all = await Promise.allSettled(Array.from({ length: 100 }, () => source.acquire(revision, never())));
  for (const result of all) {
    assert.equal(result.status, 'rejected');
    assert.ok(result.reason instanceof InstanceError);
    const { status, component, reason, message } = result.reason.failure;
    assert.deepEqual([status, component, reason], [500, 'function', 'load_error']);
    assert.equal(message, "hello.js:3\n}\n^\nSyntaxError: Unexpected token '}'");
  }
  assert.equal(attempts, 1);
  await until(() => pods().length === 2, 'the used up instance is gone and replaced');
  node.specialise = () => ({ shape: 'fetch', loadMs: 1, transport: { kind: 'mux' } });
  await source.acquire(revisionOf(digest), never());
});

test('a crashed instance is reported at once, comes back specialised, and is given up when it goes on', async (t) => {
  const { source, node, digest, events, pods } = await started(t);
  const revision = revisionOf(digest);
  const instance = await source.acquire(revision, never());
  const fake = instanceOf(node, instance);
  fake.fail('TypeError: boom');
  await until(() => events.length === 1);
  assert.equal(events[0], `down ${instance.id} uncaughtException: TypeError: boom`);
  fake.restart();
  await until(() => events.length === 2);
  assert.equal(events[1], `up ${instance.id}`);
  assert.equal(fake.specialised.length, 2);
  assert.deepEqual(fake.specialised[1], fake.specialised[0]);

  fake.die();
  await until(() => events.length === 3);
  fake.restart();
  await until(() => events.length === 4);
  fake.die();
  await until(() => events.length === 5);
  assert.match(events[4] as string, /crashed 3 times within a minute/);
  await until(() => !pods().some((pod) => pod.metadata.uid === instance.id), 'its Pod is deleted');
});

test('an idle instance that died is not handed out; one that dies under the load is replaced', async (t) => {
  const { source, node, digest, idle } = await started(t);
  const [first] = idle();
  assert.ok(first);
  first.die();
  let killed = 0;
  node.specialise = (_, instance) => {
    if (killed++ === 0) {
      instance.die();
      return undefined;
    }
    return { shape: 'fetch', loadMs: 1, transport: { kind: 'mux' } };
  };
  const instance = await source.acquire(revisionOf(digest), never());
  assert.notEqual(instance.id, first.uid);
  assert.equal(killed, 2);
});

test('code that ends the process while it loads is told so', async (t) => {
  const { source, node, digest } = await started(t);
  node.specialise = (_, instance) => {
    instance.fail('process.exit(3) was called');
    return undefined;
  };
  await assert.rejects(source.acquire(revisionOf(digest), never()), (error) => {
    assert.ok(error instanceof InstanceError);
    assert.match(error.failure.message, /ended while it loaded the code: .*process\.exit\(3\)/);
    return true;
  });
});

test('release drains, then deletes; twice is once', async (t) => {
  const { source, node, digest, pods, events } = await started(t);
  const revision = revisionOf(digest);
  const instance = await source.acquire(revision, never());
  const fake = instanceOf(node, instance);
  await Promise.all([
    source.release(revision, instance.id, 1000),
    source.release(revision, instance.id, 1000),
  ]);
  assert.equal(fake.drained, 1);
  await until(() => !pods().some((pod) => pod.metadata.uid === instance.id));
  assert.deepEqual(events, []);
});

test('a suspect that answers stays, one that hangs goes', async (t) => {
  const { source, node, digest, pods, events } = await started(t);
  const revision = revisionOf(digest);
  const instance = await source.acquire(revision, never());
  await source.suspect(instance.id);
  assert.deepEqual(events, []);
  instanceOf(node, instance).hung = true;
  await source.suspect(instance.id);
  assert.deepEqual(events, [`down ${instance.id} it does not answer`]);
  await until(() => !pods().some((pod) => pod.metadata.uid === instance.id));
});

test('a Pod that somebody deletes is down, idle ones are replaced', async (t) => {
  const { source, digest, client, events, idle } = await started(t);
  const instance = await source.acquire(revisionOf(digest), never());
  await client.delete(PODS, 'default', instance.podName);
  await until(() => events.length === 1);
  assert.equal(events[0], `down ${instance.id} its Pod was deleted`);
  await until(() => idle().length === 2);
  const [victim] = idle();
  await client.delete(PODS, 'default', victim?.name as string);
  await until(() => idle().length === 2 && !idle().includes(victim as never));
});

test('Secrets and ConfigMaps reach the environment; what is missing is named', async (t) => {
  const { source, node, digest, client } = await started(t);
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const meta = (name: string) => ({ name, namespace: 'default' });
  await client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta('s'),
    data: { key: base64('hush'), other: base64('x') },
  } as never);
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: meta('c'),
    data: { COLOUR: 'red' },
  } as never);
  const env = [
    { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 's', key: 'key' } } },
    { name: 'NONE', valueFrom: { secretKeyRef: { name: 'no', key: 'key', optional: true } } },
  ];
  const instance = await source.acquire(
    revisionOf(digest, { env, envFrom: [{ prefix: 'P_', configMapRef: { name: 'c' } }] }),
    never(),
  );
  const { PASSWORD, P_COLOUR, NONE } = instanceOf(node, instance).specialised[0]?.env ?? {};
  assert.deepEqual([PASSWORD, P_COLOUR, NONE], ['hush', 'red', undefined]);

  const wanting = revisionOf(digest, { envFrom: [{ secretRef: { name: 'absent' } }] });
  await assert.rejects(source.acquire(wanting, never()), (error) => {
    assert.ok(error instanceof PetrelError);
    assert.equal(error.code, 'NotReady');
    assert.match(error.message, /secret "absent" not found/);
    return true;
  });
});

test('a revision with volumes gets a Pod of its own', async (t) => {
  const { source, digest, client, idle } = await started(t);
  const revision = revisionOf(
    digest,
    { volumeMounts: [{ name: 'v', mountPath: '/data' }], resources: { limits: { memory: '64Mi' } } },
    { volumes: [{ name: 'v', configMap: { name: 'c' } }] },
  );
  const instance = await source.acquire(revision, never());
  const pod = await client.get<import('../../kinds/pod.ts').Pod>(PODS, 'default', instance.podName);
  assert.deepEqual(pod.spec.volumes, revision.spec.volumes);
  assert.equal(pod.spec.containers[0]?.image, 'petrel.dev/runtime/node');
  assert.equal(pod.spec.containers[0]?.resources?.limits?.memory, '64Mi');
  assert.equal(pod.metadata.labels?.[FUNCTION_LABELS.pool], 'specialised');
  assert.equal(idle().length, 2);
});

test('programs are reached on their port', async (t) => {
  const { source, node, digest } = await started(t);
  node.specialise = ({ port }) => ({
    shape: 'program',
    loadMs: 1,
    transport: { kind: 'http1', host: '127.0.0.1', port: port ?? 0 },
  });
  const [one, two] = await Promise.all([1, 2].map(() => source.acquire(revisionOf(digest), never())));
  assert.equal(one?.address.kind, 'http1');
  assert.notDeepEqual(one?.address, two?.address);
});

test('a package that is not there, a runtime that is not there', async (t) => {
  const { source } = await started(t);
  await assert.rejects(source.acquire(revisionOf(`sha256:${'0'.repeat(64)}`), never()), {
    name: 'InstanceError',
    message: /not in the package store/,
  });
  const revision = revisionOf(`sha256:${'0'.repeat(64)}`);
  (revision.metadata.annotations as Record<string, string>)['petrel.dev/runtime'] = 'cobol';
  await assert.rejects(source.acquire(revision, never()), {
    code: 'RuntimeUnavailable',
    message: /no runtime "cobol"/,
  });
});

test('instances that do not start are told about instead of waited for', async (t) => {
  const { source, node, digest, client, api, idle } = await started(t);
  await until(() => idle().length === 2);
  node.paused = true;
  await Promise.all([1, 2].map(() => source.acquire(revisionOf(digest), never())));
  const waiting = source.acquire(revisionOf(digest), never());
  const failPods = async () => {
    for (const pod of api.objects('pods')) {
      if (pod.status !== undefined || pod.metadata.labels?.[FUNCTION_LABELS.pool] !== 'generic') continue;
      if ([...node.instances.keys()].includes(pod.metadata.uid as string)) continue;
      const status = {
        containerStatuses: [
          {
            state: { waiting: { reason: 'RunContainerError', message: 'python3: not found' } },
            lastState: {},
          },
        ],
      };
      await client.updateStatus(PODS, { ...pod, status } as never).catch(() => {});
    }
  };
  const repeat = setInterval(failPods, 20);
  t.after(() => clearInterval(repeat));
  await assert.rejects(waiting, { code: 'RuntimeUnavailable', why: 'python3: not found' });
});

test('after a restart: living instances are found again, dead Pods are deleted', async (t) => {
  const { functions, make, source, node, digest, client, pods, dir, idle } = await started(t);
  const revision = revisionOf(digest);
  const instance = await source.acquire(revision, never());
  await until(
    async () =>
      (await client.get(PODS, 'default', instance.podName)).metadata.labels?.[FUNCTION_LABELS.pool] ===
      'specialised',
  );
  await until(() => idle().length === 2);
  const survivors = idle().map(({ uid }) => uid);
  await functions.stop();

  const stale = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'stale',
      namespace: 'default',
      labels: { [FUNCTION_LABELS.runtime]: 'node', [FUNCTION_LABELS.pool]: 'generic' },
    },
    spec: { containers: [] },
  };
  node.paused = true;
  await client.create(PODS, stale as never);
  const second = make();
  t.after(() => second.stop());
  const adopted = second.source.adopt(revision);
  await second.start();
  assert.deepEqual(await adopted, [instance]);
  await until(() => !pods().some((pod) => pod.metadata.name === 'stale'), 'the dead Pod is deleted');
  const next = await second.source.acquire(revisionOf(digest), never());
  assert.ok(survivors.includes(next.id), 'warm instances were kept');
  assert.deepEqual(await second.source.adopt(revision), []);
  const socket = connect(join(dir, 'pods', instance.id, 'i.sock'));
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.destroy();
});

test('after a restart: functions that share an instance are found again, each by its revision', async (t) => {
  const { functions, make, source, node, digest, dir, idle } = await started(t, { runtime: '  share: 8\n' });
  const [a, b, deleted] = [revisionOf(digest), revisionOf(digest), revisionOf(digest)];
  const first = await source.acquire(a, never());
  const second = await source.acquire(b, never());
  await source.acquire(deleted, never());
  assert.equal(first.podName, second.podName);
  const [host] = idle().filter(({ leases }) => leases.size > 0);
  assert.ok(host);
  assert.deepEqual([...host.leases.keys()], [1, 2, 3]);
  await functions.stop();

  const again = make();
  t.after(() => again.stop());
  const adopted = Promise.all([again.source.adopt(a), again.source.adopt(b)]);
  await again.start();
  assert.deepEqual(await adopted, [[first], [second]]);
  assert.deepEqual(first.address, { kind: 'mux', path: join(dir, 'pods', host.uid, 'f1', 'i.sock') });
  assert.deepEqual([...host.leases.keys()], [1, 2, 3], 'nothing was released');
  assert.deepEqual(await again.source.adopt(a), []);

  const next = await again.source.acquire(revisionOf(digest), never());
  assert.equal(next.podName, first.podName, 'there is room beside them');
  const apart = await again.source.acquire(a, never());
  assert.notEqual(apart.podName, first.podName, 'a second instance is a second process');
  await again.source.release(b, second.id, 0);
  await until(() => !host.leases.has(2), 'what is given back is released');
  assert.equal(node.instances.has(host.uid), true);
});

test('functions of another namespace have their Pods there, warm as long as there are functions', async (t) => {
  const { source, client, digest, pods } = await started(t);
  const fn = {
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: { name: 'there', namespace: 'team' },
    spec: { runtime: 'node', package: { digest } },
  };
  const inTeam = () => pods().filter((pod) => pod.metadata.namespace === 'team');
  await client.create(FUNCTIONS, fn as never);
  await until(() => inTeam().length === 1, 'one is warm for the namespace');
  const [warm] = inTeam();
  const revision = revisionOf(digest);
  revision.metadata.namespace = 'team';
  const instance = await source.acquire(revision, never());
  assert.deepEqual([instance.namespace, instance.id], ['team', warm?.metadata.uid]);
});
