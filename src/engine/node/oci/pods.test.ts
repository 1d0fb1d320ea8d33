/** Pods of images from a registry, with real processes in file systems of their own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { folders, programs, pushImage } from '../../../../test/lib/images.ts';
import { startRegistry } from '../../../functions/testing/registry.ts';
import type { KubeObject } from '../../../kinds/object.ts';
import type { Container, Pod, PodSpec } from '../../../kinds/pod.ts';
import { EVENTS, SECRETS } from '../../../kube/refs.ts';
import { createTestCluster, type TestCluster } from '../testing.ts';

const base = programs('/bin/sh', '/bin/cat', '/bin/ls', '/usr/bin/id');
const SH = base && [
  ...folders('bin', 'etc', 'root', 'tmp', 'var', 'var/lib'),
  ...base,
  {
    name: 'etc/passwd',
    body: 'root:x:0:0::/root:/bin/sh\napp:x:4711:4712::/var/lib/app:/bin/sh\n',
    owner: 0,
  },
  { name: 'etc/motd', body: 'from the image\n', owner: 0 },
  { name: 'var/lib/app/', flag: '5', mode: 0o700, owner: 4711 },
  { name: 'root/secret', mode: 0o600, body: 'of root', owner: 0 },
];
const PATH = '/usr/bin:/bin';
/** Statically linked on Debian: a program that needs nothing. */
const STATIC = programs('/sbin/ldconfig');

async function world(
  t: TestContext,
  login?: string,
): Promise<{ cluster: TestCluster; registry: Awaited<ReturnType<typeof startRegistry>> } | undefined> {
  if (SH === undefined) return void t.skip('this machine has no /bin/sh, cat, ls and id to make an image of');
  const cluster = await createTestCluster();
  t.after(() => cluster.close());
  await cluster.run('probe', { restartPolicy: 'Never', containers: [{ command: ['true'] }] });
  const { status } = await cluster.until('probe', ({ status: now }) => now?.phase === 'Succeeded');
  const sandboxed = status?.conditions?.find(({ type }) => type === 'petrel.dev/Sandboxed');
  if (sandboxed?.status !== 'True') return void t.skip(`no sandbox: ${sandboxed?.message}`);
  return { cluster, registry: await startRegistry(t, login ? { login } : {}) };
}

const state = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state;

/** Runs it to its end and returns its log. */
async function said(
  { cluster }: { cluster: TestCluster },
  name: string,
  container: Partial<Container>,
  spec: Omit<Partial<PodSpec>, 'containers'> = {},
): Promise<string> {
  await cluster.run(name, { restartPolicy: 'Never', ...spec, containers: [container] });
  await cluster.until(name, ({ status }) => ['Succeeded', 'Failed'].includes(status?.phase ?? ''));
  return (await cluster.log(name, 'c')).text;
}

test('an image runs in its own file system, as its own user, with what it says of itself', async (t) => {
  const w = await world(t);
  if (!w || !SH) return;
  const { cluster, registry } = w;
  const { reference, digest } = pushImage(
    registry,
    'team/app:1.0',
    [
      SH,
      [{ name: 'app/run', mode: 0o755, body: '#!/bin/sh\necho "run $1 $GREETING $HOME $PWD"\n', owner: 0 }],
    ],
    {
      Entrypoint: ['/app/run'],
      Cmd: ['by-default'],
      Env: [`PATH=${PATH}`, 'GREETING=hi', 'LD_BIND_NOW=1'],
      WorkingDir: '/var/lib/app',
      User: 'app',
    },
  );
  assert.equal(await said(w, 'plain', { image: reference }), 'run by-default hi /var/lib/app /var/lib/app\n');
  const pod = await cluster.until('plain', () => true);
  assert.equal(pod.status?.containerStatuses?.[0]?.imageID, `${registry.host}/team/app@${digest}`);
  assert.match(await said(w, 'args', { image: reference, args: ['other'] }), /^run other hi/);
  const look =
    'cat /etc/motd; id -u; id -g; ls /; ls -d /work /usr/share 2>&1; ls /proc/self/exe >/dev/null && echo proc; echo x >/dev/null && echo dev';
  const text = await said(w, 'look', { image: reference, command: ['sh', '-c', look] });
  assert.match(text, /^from the image\n/);
  if (process.getuid?.() === 0) assert.match(text, /\n4711\n4712\n/);
  assert.match(text, /\napp\n.*\nvar\n/s);
  assert.match(text, /cannot access '\/usr\/share'/, 'nothing of the machine is there');
  assert.match(text, /\nproc\ndev\n$/);
  assert.equal(
    registry.requests.filter((each) => each.startsWith('GET') && each.includes('/blobs/')).length,
    3,
    'nothing comes twice',
  );
});

test('what a container changes in its image is its own, and gone with it; read-only is read-only', async (t) => {
  const w = await world(t);
  if (!w || !SH) return;
  const { reference } = pushImage(w.registry, 'base:1', [SH], { Env: [`PATH=${PATH}`] });
  const write = 'cat /root/secret; echo; echo changed >/etc/motd && cat /etc/motd; echo new >/new && ls /new';
  const command = ['sh', '-c', write];
  for (const name of ['once', 'twice'])
    assert.equal(await said(w, name, { image: reference, command }), 'of root\nchanged\n/new\n');
  const securityContext = { readOnlyRootFilesystem: true };
  const refused = ['sh', '-c', 'echo changed >/etc/motd || cat /etc/motd'];
  const text = await said(w, 'readonly', { image: reference, command: refused, securityContext });
  assert.match(text, /Read-only file system\nfrom the image\n$/);
});

test('volumes appear where the image has nothing, probes and commands run inside', async (t) => {
  const w = await world(t);
  if (!w || !SH) return;
  const { cluster, registry } = w;
  const { reference } = pushImage(registry, 'base:1', [SH], { Env: [`PATH=${PATH}`] });
  const config = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cfg', namespace: 'default' } };
  const data = { key: Buffer.from('of the secret').toString('base64') };
  await cluster.client.create(SECRETS, { ...config, data } as KubeObject);
  await cluster.run('ready', {
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'cfg', secret: { secretName: 'cfg' } },
    ],
    containers: [
      {
        image: reference,
        command: [
          'sh',
          '-c',
          'cat /deep/er/cfg/key; echo; echo ok >/data/up; trap "exit 0" TERM; while :; do read x </dev/zero; done & wait',
        ],
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'cfg', mountPath: '/deep/er/cfg' },
        ],
        env: [{ name: 'A-B', value: 'no identifier' }],
        readinessProbe: { exec: { command: ['sh', '-c', 'cat /data/up /etc/motd'] }, periodSeconds: 1 },
      },
    ],
  });
  await cluster.until('ready', ({ status }) => status?.containerStatuses?.[0]?.ready === true);
  await cluster.says('ready', 'c', 'of the secret\n');
});

test('an image of one program and nothing else runs, and one that has no such program says so', async (t) => {
  const w = await world(t);
  if (!w) return;
  if (spawnSync('ldd', ['/sbin/ldconfig'], { encoding: 'utf8' }).stdout.includes('=>') || !STATIC)
    return t.skip('this machine has no statically linked ldconfig');
  const { reference } = pushImage(w.registry, 'scratch:1', [STATIC], {
    Entrypoint: ['/sbin/ldconfig', '--version'],
  });
  assert.match(await said(w, 'scratch', { image: reference }), /ldconfig/);
  const text = await said(w, 'none', { image: reference, command: ['no-such-program'] });
  assert.match(text, /"no-such-program": the image has no such program/);
  const pod = await w.cluster.until('none', () => true);
  assert.equal(state(pod)?.terminated?.exitCode, 127);
});

test('a registry that asks for a password gets that of the Pod; without it the pull is tried again and says why', async (t) => {
  const w = await world(t, 'me:secret');
  if (!w || !SH) return;
  const { cluster, registry } = w;
  const { reference } = pushImage(registry, 'private:1', [SH], { Env: [`PATH=${PATH}`] });
  const command = ['sh', '-c', 'echo inside'];
  await cluster.run('refused', { containers: [{ image: reference, command }] });
  const refused = await cluster.until(
    'refused',
    (pod) =>
      state(pod)?.waiting?.reason === 'ErrImagePull' || state(pod)?.waiting?.reason === 'ImagePullBackOff',
  );
  assert.match(state(refused)?.waiting?.message ?? '', /refuses to/);
  const auths = { [registry.host]: { username: 'me', password: 'secret' } };
  await cluster.client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/dockerconfigjson',
    metadata: { name: 'login', namespace: 'default' },
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  } as unknown as KubeObject);
  const imagePullSecrets = [{ name: 'login' }];
  assert.equal(await said(w, 'trusted', { image: reference, command }, { imagePullSecrets }), 'inside\n');
  const { items } = await cluster.client.list<KubeObject & { reason: string; message: string }>(EVENTS, {
    namespace: 'default',
  });
  const reasons = items.map(({ reason }) => reason);
  for (const reason of ['Pulling', 'Pulled', 'Failed']) assert.ok(reasons.includes(reason), reason);
});

test('what is no image says what is wrong with it', async (t) => {
  const w = await world(t);
  if (!w || !SH) return;
  const { cluster, registry } = w;
  const cases: Record<string, [container: Partial<Container>, reason: string, message: RegExp]> = {
    absent: [{ image: `${registry.host}/absent:none` }, 'ErrImagePull', /there is no image/],
    never: [
      { image: `${registry.host}/x:never`, imagePullPolicy: 'Never' },
      'ErrImageNeverPull',
      /not present/,
    ],
    away: [{ image: '127.0.0.1:1/x:1' }, 'ErrImagePull', /cannot be reached/],
  };
  const broken = pushImage(registry, 'broken:1', [SH]);
  for (const [digest, blob] of registry.blobs)
    if (blob[0] === 0x1f)
      registry.blobs.set(digest, Buffer.concat([blob.subarray(0, -20), Buffer.alloc(20)]));
  cases.broken = [{ image: broken.reference }, 'ErrImagePull', /damaged/];
  for (const [name, [container, reason, message]] of Object.entries(cases)) {
    await cluster.run(name, { containers: [{ command: ['true'], ...container }] });
    const pod = await cluster.until(name, (each) =>
      [reason, 'ImagePullBackOff'].includes(state(each)?.waiting?.reason ?? ''),
    );
    assert.match(state(pod)?.waiting?.message ?? '', message, name);
  }
});
