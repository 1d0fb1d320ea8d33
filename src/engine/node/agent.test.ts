/** The way of a Pod through API server, scheduler and node agent, with real processes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { KubeObject } from '../../kinds/object.ts';
import { IN_PLACE_CONDITION, type InPlaceUpdate, NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import { createNodeStatsReader } from '../../kube/node-stats.ts';
import { EVENTS, NODES, PODS, RUNTIMES, SECRETS } from '../../kube/refs.ts';
import { createTestCluster, type TestCluster } from './testing.ts';

let cluster: TestCluster;
before(async () => {
  cluster = await createTestCluster({ sandbox: 'plain' });
});
after(() => cluster.close());

const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};
const state = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state;
const conditionOf = (pod: Pod, type: string) =>
  pod.status?.conditions?.find((condition) => condition.type === type);

test('a command runs to its end, its output is the log', async () => {
  await cluster.run('hello', {
    restartPolicy: 'Never',
    containers: [{ command: ['sh', '-c', 'echo out; echo err >&2'] }],
  });
  const pod = await cluster.until('hello', ({ status }) => status?.phase === 'Succeeded');
  assert.equal(state(pod)?.terminated?.reason, 'Completed');
  assert.equal(pod.spec.nodeName, 'here');
  assert.equal(conditionOf(pod, 'Ready')?.reason, 'PodCompleted');
  const { status, text } = await cluster.log('hello', 'c');
  assert.equal(status, 200);
  assert.deepEqual(text.split('\n').sort(), ['', 'err', 'out']);
});

test('a running Pod is ready, and ends within its grace when deleted', async () => {
  await cluster.run('server', {
    terminationGracePeriodSeconds: 10,
    containers: [
      { command: ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done'] },
    ],
  });
  const pod = await cluster.until('server', (each) => conditionOf(each, 'Ready')?.status === 'True');
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.podIP, '127.0.0.1');
  assert.equal(conditionOf(pod, 'petrel.dev/Sandboxed')?.reason, 'SwitchedOff');
  // It runs; that it minds signals is known when it has spoken.
  const first = await cluster.openLog('server', 'c', 'follow=true');
  for await (const chunk of first.body!) if (Buffer.from(chunk).includes('up')) break;
  const follow = await cluster.openLog('server', 'c', 'follow=true');
  await cluster.client.delete(PODS, 'default', 'server');
  const last = await cluster
    .until('server', (each) => state(each)?.terminated !== undefined)
    .catch(() => undefined);
  if (last) assert.equal(state(last)?.terminated?.exitCode, 0);
  await cluster.untilGone('server');
  assert.deepEqual((await follow.text()).trim().split('\n'), ['up', 'bye']);
});

test('what happens to a Pod is told in Events', async () => {
  const command = ['sh', '-c', 'echo up; exec sleep 100'];
  await cluster.run('told', { terminationGracePeriodSeconds: 1, containers: [{ command }] });
  await cluster.until('told', (each) => conditionOf(each, 'Ready')?.status === 'True');
  await cluster.client.delete(PODS, 'default', 'told');
  await cluster.untilGone('told');
  await cluster.run('unmounted', {
    volumes: [{ name: 'v', secret: { secretName: 'none' } }],
    containers: [{ command, volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
  });
  const reasons = async (name: string, wanted: string) => {
    const signal = AbortSignal.timeout(20_000);
    const fieldSelector = `involvedObject.name=${name}`;
    const { items, resourceVersion } = await cluster.client.list<KubeObject & { reason: string }>(EVENTS, {
      fieldSelector,
    });
    const seen = items.map(({ reason }) => reason);
    if (seen.includes(wanted)) return seen;
    for await (const event of cluster.client.watch<KubeObject & { reason: string }>(EVENTS, {
      fieldSelector,
      resourceVersion,
      signal,
    })) {
      if (event.type !== 'ERROR') seen.push((event.object as { reason: string }).reason);
      if (seen.includes(wanted)) break;
    }
    return seen;
  };
  assert.deepEqual((await reasons('told', 'Killing')).sort(), ['Created', 'Killing', 'Scheduled', 'Started']);
  assert.ok((await reasons('unmounted', 'FailedMount')).includes('FailedMount'));
});

test('a crash restarts at once, the next waits in CrashLoopBackOff; the previous log is kept', async () => {
  await cluster.run('crash', { containers: [{ command: ['sh', '-c', 'echo run; exit 3'] }] });
  const pod = await cluster.until('crash', (each) => state(each)?.waiting?.reason === 'CrashLoopBackOff');
  const status = pod.status?.containerStatuses?.[0];
  assert.equal(status?.restartCount, 1);
  assert.equal(status?.lastState.terminated?.exitCode, 3);
  assert.match(
    state(pod)?.waiting?.message ?? '',
    /^back-off 10s restarting failed container=c pod=crash_default\(/,
  );
  assert.equal(pod.status?.phase, 'Running');
  await cluster.says('crash', 'c', 'run\n', 'previous=true');
  await cluster.says('crash', 'c', 'run\n');
});

test('init containers run in order before the others; one that fails for good fails the Pod', async () => {
  const init = (name: string, command: string) => ({
    name,
    image: 'petrel.dev/host',
    command: ['sh', '-c', command],
  });
  await cluster.run('inits', {
    restartPolicy: 'Never',
    initContainers: [init('one', 'echo 1'), init('two', 'echo 2')],
    containers: [{ command: ['true'] }],
  });
  const pod = await cluster.until('inits', ({ status }) => status?.phase === 'Succeeded');
  const times = pod.status?.initContainerStatuses?.map(({ state: each }) => each.terminated?.reason);
  assert.deepEqual(times, ['Completed', 'Completed']);

  await cluster.run('badinit', {
    restartPolicy: 'Never',
    initContainers: [init('one', 'exit 9'), init('two', 'echo 2')],
    containers: [{ command: ['true'] }],
  });
  const failed = await cluster.until('badinit', ({ status }) => status?.phase === 'Failed');
  assert.equal(failed.status?.initContainerStatuses?.[1]?.state.waiting?.reason, 'PodInitializing');
  assert.equal(state(failed)?.waiting?.reason, 'PodInitializing');
});

test('a missing Secret is named, and the container starts when it appears', async () => {
  const env = [
    { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'later', key: 'token' } } },
    { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'BOTH', value: '$(POD):$(TOKEN):$(UNKNOWN):$$(POD)' },
  ];
  await cluster.run('needs', {
    restartPolicy: 'Never',
    containers: [{ command: ['sh', '-c', 'echo $BOTH'], env }],
  });
  const waiting = await cluster.until(
    'needs',
    (each) => state(each)?.waiting?.reason === 'CreateContainerConfigError',
  );
  assert.equal(state(waiting)?.waiting?.message, 'secret "later" not found');
  assert.deepEqual(await cluster.log('needs', 'c'), {
    status: 400,
    text: 'container "c" in pod "needs" is waiting to start: CreateContainerConfigError\n',
  });
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'later', namespace: 'default' } };
  const data = { token: Buffer.from('s3').toString('base64') };
  await cluster.client.create(SECRETS, { ...secret, data } as KubeObject);
  await cluster.until('needs', ({ status }) => status?.phase === 'Succeeded');
  await cluster.says('needs', 'c', 'needs:s3:$(UNKNOWN):$(POD)\n');
});

test('an image needs a sandbox, and says so', async () => {
  await cluster.run('image', { containers: [{ image: '127.0.0.1:1/nginx:1.27' }] });
  const pod = await cluster.until('image', (each) => state(each)?.waiting?.reason === 'ImageNotSupported');
  assert.match(
    state(pod)?.waiting?.message ?? '',
    /cannot run image "127.0.0.1:1\/nginx:1.27".*petrel.dev\/host/,
  );
});

test('an image that is not here says what to do, and waits longer and longer', async () => {
  await cluster.run('missing', { containers: [{ image: 'dev.local/none' }] });
  const pod = await cluster.until('missing', (each) => state(each)?.waiting?.reason === 'ErrImagePull');
  assert.match(state(pod)?.waiting?.message ?? '', /looked for .*images\/dev.local\/none/);
});

test('a sidecar starts first, is probed, is reached at 127.0.0.1, and ends last', async () => {
  const port = await freePort();
  const server = `require('node:http').createServer((q, r) => r.end('beside')).listen(${port}, '127.0.0.1');
    process.on('SIGTERM', () => { console.log('sidecar ends'); process.exit(0) })`;
  const client = `fetch('http://127.0.0.1:${port}').then((r) => r.text()).then(console.log)`;
  await cluster.run('beside', {
    restartPolicy: 'Never',
    initContainers: [
      {
        name: 'side',
        image: 'petrel.dev/host',
        restartPolicy: 'Always',
        command: [process.execPath, '-e', server],
        startupProbe: { tcpSocket: { port }, periodSeconds: 10 },
        readinessProbe: { httpGet: { port, path: '/' } },
      },
    ],
    containers: [{ command: [process.execPath, '-e', client] }],
  });
  const pod = await cluster.until('beside', ({ status }) => status?.phase === 'Succeeded');
  await cluster.says('beside', 'c', 'beside\n');
  await cluster.says('beside', 'side', 'sidecar ends\n');
  assert.equal(pod.status?.initContainerStatuses?.[0]?.restartCount, 0);
});

test('last words: the end of the log where asked for', async () => {
  await cluster.run('words', {
    restartPolicy: 'Never',
    containers: [
      {
        command: ['sh', '-c', 'echo no database >&2; exit 4'],
        terminationMessagePolicy: 'FallbackToLogsOnError',
      },
      { name: 'silent', command: ['sh', '-c', 'echo no database >&2; exit 4'] },
    ],
  });
  const { status } = await cluster.until('words', (each) => each.status?.phase === 'Failed');
  assert.deepEqual(
    status?.containerStatuses?.map(({ state: { terminated } }) => terminated?.message),
    ['no database\n', undefined],
  );
});

test('hooks: after the start, and before the end within the grace period', async () => {
  const file = join(cluster.home, 'hooks');
  const note = (text: string) => ({ exec: { command: ['sh', '-c', `echo ${text} >>${file}`] } });
  await cluster.run('hooks', {
    containers: [
      {
        command: ['sh', '-c', `trap "echo term >>${file}; exit 0" TERM; while :; do sleep 0.02; done`],
        lifecycle: { postStart: note('post'), preStop: note('pre') },
        readinessProbe: { exec: { command: ['grep', '-q', 'post', file] } },
      },
    ],
  });
  await cluster.until('hooks', (each) => conditionOf(each, 'Ready')?.status === 'True');
  await cluster.client.delete(PODS, 'default', 'hooks');
  await cluster.untilGone('hooks');
  assert.equal(readFileSync(file, 'utf8'), 'post\npre\nterm\n');
});

test('in place: the Pod stays, its container is replaced, and the condition says when', async () => {
  const command = ['sh', '-c', 'echo $WORD; exec sleep 100'];
  const pod = await cluster.run('stays', {
    terminationGracePeriodSeconds: 5,
    containers: [{ command, env: [{ name: 'WORD', value: 'old' }] }],
  });
  await cluster.until('stays', (each) => conditionOf(each, 'Ready')?.status === 'True');
  // Ready says that it runs, not that it has come to its first word.
  await cluster.says('stays', 'c', 'old\n');
  const update: InPlaceUpdate = { id: 'v2', containers: { c: { env: [{ name: 'WORD', value: 'new' }] } } };
  await cluster.client.patch(PODS, 'default', 'stays', 'merge', {
    metadata: { annotations: { [NODE_ANNOTATIONS.inPlace]: JSON.stringify(update) } },
  });
  const made = (id: string) => (each: Pod) => {
    const condition = conditionOf(each, IN_PLACE_CONDITION);
    return (
      condition?.status === 'True' &&
      condition.message === id &&
      conditionOf(each, 'Ready')?.status === 'True'
    );
  };
  const after = await cluster.until('stays', made('v2'));
  assert.equal(after.metadata.uid, pod.metadata.uid);
  assert.equal(after.status?.containerStatuses?.[0]?.restartCount, 1);
  await cluster.says('stays', 'c', 'new\n');
  await cluster.says('stays', 'c', 'old\n', 'previous=true');

  // What Kubernetes itself allows: another image. One that is not here waits, and the way back is open.
  const image = (name: string) =>
    cluster.client.patch(PODS, 'default', 'stays', 'strategic', {
      spec: { containers: [{ name: 'c', image: name }] },
    });
  await image('dev.local/none');
  await cluster.until('stays', (each) => state(each)?.waiting?.reason === 'ErrImagePull');
  await image('petrel.dev/host');
  await cluster.until('stays', made('v2'));
});

test('what Pods use can be asked of their node', async () => {
  const burn = 'while (process.cpuUsage().user < 300_000); console.log("done"); setInterval(() => {}, 1e9)';
  const pod = await cluster.run('busy', { containers: [{ command: [process.execPath, '-e', burn] }] });
  await cluster.until('busy', (each) => conditionOf(each, 'Ready')?.status === 'True');
  const follow = await cluster.openLog('busy', 'c', 'follow=true');
  for await (const chunk of follow.body!) if (Buffer.from(chunk).includes('done')) break;
  const [summary] = await createNodeStatsReader(cluster.client).read();
  assert.equal(summary?.node.nodeName, 'here');
  const busy = summary?.pods.find(({ podRef }) => podRef.uid === pod.metadata.uid);
  assert.deepEqual(busy?.podRef, { name: 'busy', namespace: 'default', uid: pod.metadata.uid });
  const [container] = busy?.containers ?? [];
  assert.ok(container && container.cpu.usageCoreNanoSeconds > 0.1e9, JSON.stringify(container));
  assert.ok(busy && busy.memory.workingSetBytes > 2 ** 20, JSON.stringify(busy));
});

test('probes decide readiness and restart what is not alive', async () => {
  const file = join(cluster.home, 'ready');
  const command = ['sh', '-c', 'echo up; while :; do sleep 0.05; done'];
  const readinessProbe = { exec: { command: ['test', '-f', file] }, periodSeconds: 1 };
  await cluster.run('probed', { containers: [{ command, readinessProbe }] });
  const pod = await cluster.until('probed', ({ status }) => status?.phase === 'Running');
  assert.equal(conditionOf(pod, 'Ready')?.reason, 'ContainersNotReady');
  writeFileSync(file, '');
  await cluster.until('probed', (each) => conditionOf(each, 'Ready')?.status === 'True');

  const livenessProbe = { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 };
  await cluster.run('dead', { terminationGracePeriodSeconds: 1, containers: [{ command, livenessProbe }] });
  await cluster.until('dead', (each) => (each.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
});

test('an instance of a runtime is ready when its socket accepts', async () => {
  const dir = join(cluster.runtimesDir, 'demo');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'main.cjs'),
    `require('node:net').createServer().listen(process.env.PETREL_SOCKET, () => console.log(process.env.MODE));`,
  );
  const runtime = {
    apiVersion: 'petrel.dev/v1',
    kind: 'Runtime',
    metadata: { name: 'demo' },
    spec: {
      language: 'demo',
      extensions: ['.demo'],
      command: ['$(NODE)', '$(RUNTIME_DIR)/main.cjs'],
      env: [{ name: 'MODE', value: 'warm' }],
    },
  };
  await cluster.run('instance', { containers: [{ image: 'petrel.dev/runtime/demo' }] });
  const waiting = await cluster.until('instance', (each) => state(each)?.waiting?.reason === 'ErrImagePull');
  assert.match(state(waiting)?.waiting?.message ?? '', /Runtime "demo" not found/);
  await cluster.client.create(RUNTIMES, runtime);
  const pod = await cluster.until('instance', (each) => conditionOf(each, 'Ready')?.status === 'True');
  const socket = connect(join(cluster.runDir, 'pods', pod.metadata.uid!, 'i.sock'));
  await once(socket, 'connect');
  socket.destroy();
  await cluster.says('instance', 'c', 'warm\n');
});

test('a Pod too large for the machine says so', async () => {
  await cluster.run('huge', {
    containers: [{ command: ['true'], resources: { requests: { cpu: '5000' } } }],
  });
  const pod = await cluster.until('huge', (each) => conditionOf(each, 'PodScheduled')?.status === 'False');
  assert.equal(conditionOf(pod, 'PodScheduled')?.reason, 'Unschedulable');
  assert.equal(conditionOf(pod, 'PodScheduled')?.message, '0/1 nodes are available: 1 Insufficient cpu.');
});

test('logs: last lines, bytes, time stamps, unknown containers, no token', async () => {
  await cluster.run('talk', { restartPolicy: 'Never', containers: [{ command: ['seq', '1', '100'] }] });
  await cluster.until('talk', ({ status }) => status?.phase === 'Succeeded');
  await cluster.says('talk', 'c', '99\n100\n', 'tailLines=2');
  assert.equal((await cluster.log('talk', 'c', 'tailLines=0')).text, '');
  await cluster.says('talk', 'c', '1\n2\n', 'limitBytes=4');
  assert.match(
    (await cluster.log('talk', 'c', 'tailLines=1&timestamps=true')).text,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z 100\n$/,
  );
  assert.equal((await cluster.log('talk', 'c', 'sinceTime=2999-01-01T00:00:00Z')).text, '');
  assert.equal((await cluster.log('talk', 'c', 'sinceSeconds=3600')).text.length, 292);
  assert.deepEqual(await cluster.log('talk', 'c', 'tailLines=x'), {
    status: 400,
    text: 'invalid tailLines parameter: x\n',
  });
  assert.equal((await cluster.log('talk', 'nobody')).status, 404);
  assert.equal((await cluster.log('nobody', 'c')).status, 404);
  const previous = await cluster.log('talk', 'c', 'previous=true');
  assert.deepEqual(previous, {
    status: 400,
    text: 'previous terminated container "c" in pod "talk" not found\n',
  });
  const node = await cluster.client.get<
    KubeObject & { status: { daemonEndpoints: { kubeletEndpoint: { Port: number } } } }
  >(NODES, undefined, 'here');
  const url = `http://127.0.0.1:${node.status.daemonEndpoints.kubeletEndpoint.Port}/containerLogs/default/talk/c`;
  assert.equal((await fetch(url)).status, 401);
});

test('after a restart of the agent Pods run again, ended ones stay ended', async () => {
  await cluster.run('lasting', { containers: [{ command: ['sh', '-c', 'echo up; exec sleep 100'] }] });
  await cluster.until('lasting', (each) => conditionOf(each, 'Ready')?.status === 'True');
  await cluster.restartAgent();
  const pod = await cluster.until(
    'lasting',
    (each) => each.status?.containerStatuses?.[0]?.restartCount === 1,
  );
  assert.equal(pod.status?.containerStatuses?.[0]?.lastState.terminated?.reason, 'ContainerStatusUnknown');
  const ended = await cluster.until('hello', () => true);
  assert.equal(ended.status?.phase, 'Succeeded');
});

test('a deletion without grace ends what ignores SIGTERM', async () => {
  await cluster.run('stubborn', {
    containers: [{ command: ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.05; done'] }],
  });
  await cluster.until('stubborn', (each) => conditionOf(each, 'Ready')?.status === 'True');
  await cluster.client.delete(PODS, 'default', 'stubborn', { gracePeriodSeconds: 1 });
  await cluster.untilGone('stubborn');
});
