/** Knative's runtime contract, as its conformance suite sees it: environment, files, user and limits of a container. */
import assert from 'node:assert/strict';
import { before, type TestContext, test } from 'node:test';
import { CONFIGMAPS, SECRETS } from '../../../../src/kube/refs.ts';
import { NAMESPACE, suite } from '../cluster.ts';
import { type FileInfo, type RuntimeInfo, runtimeInfo } from './runtime-info.ts';

const FILE = { isDir: false };
const DIRECTORY = { isDir: true };

/** What has to be there. A `*` in the permissions stands for any. */
const MUST_FILES: Record<string, FileInfo> = {
  '/dev/fd': { isDir: true, sourceFile: '/proc/self/fd' },
  '/dev/full': FILE,
  '/dev/null': FILE,
  '/dev/ptmx': FILE,
  '/dev/random': FILE,
  '/dev/stdin': { isDir: false, sourceFile: '/proc/self/fd/0' },
  '/dev/stdout': { isDir: false, sourceFile: '/proc/self/fd/1' },
  '/dev/stderr': { isDir: false, sourceFile: '/proc/self/fd/2' },
  '/dev/tty': FILE,
  '/dev/urandom': FILE,
  '/dev/zero': FILE,
  '/proc/self/fd': DIRECTORY,
  '/proc/self/fd/0': FILE,
  '/proc/self/fd/1': FILE,
  '/proc/self/fd/2': FILE,
  '/tmp': { isDir: true, mode: 'rwxrwxrwx' },
};
const SHOULD_FILES: Record<string, FileInfo> = {
  '/etc/resolv.conf': { isDir: false, mode: 'rw*r**r**' },
  '/dev/console': { error: 'stat /dev/console: no such file or directory' },
};

/** The CPU, memory and CPU requested of the test of limits, and what they are as settings of the control group. */
const LIMITS = { cpu: '1', memory: '128Mi', requested: '125m' };
const MEMORY_BYTES = String(128 * 1024 * 1024);
const SHARES = '128';
const UID = 2020;
const IMAGE_UID = 65_532;

const CONFIG = { name: 'conformance-test-configmap', key: 'testKey', value: 'testValue' };
const SECRET = { ...CONFIG, name: 'conformance-test-secret' };

function assertFiles({ host }: RuntimeInfo, wanted: Record<string, FileInfo>): void {
  for (const [path, want] of Object.entries(wanted)) {
    const { mode = '', ...rest } = host.files[path] ?? {};
    const { mode: pattern, ...exact } = want;
    const seen = Object.fromEntries(Object.keys(exact).map((key) => [key, rest[key as keyof typeof rest]]));
    assert.deepEqual(seen, exact, path);
    if (pattern) assert.match(mode, new RegExp(`^${pattern.replaceAll('*', '.')}$`), path);
    if (!want.error) assert.deepEqual(host.fileaccess[path] ?? {}, {}, `${path} can be used`);
  }
}

await suite('Knative runtime contract: environment', 6, (cluster) => {
  before(async () => {
    await cluster.api.create(CONFIGMAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: CONFIG.name, namespace: NAMESPACE },
      data: { [CONFIG.key]: CONFIG.value },
    });
    await cluster.api.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SECRET.name, namespace: NAMESPACE },
      stringData: { [SECRET.key]: SECRET.value },
    });
  });

  /** One container with these fields has the value in its environment. */
  const assertValue = async (t: TestContext, container: Record<string, unknown>) => {
    const { host } = await runtimeInfo(cluster, t, { container });
    assert.equal(host.envs[CONFIG.key], CONFIG.value);
  };

  test('TestSecretsViaEnv/env', (t) =>
    assertValue(t, {
      env: [{ name: SECRET.key, valueFrom: { secretKeyRef: { name: SECRET.name, key: SECRET.key } } }],
    }));
  test('TestSecretsViaEnv/envFrom', (t) =>
    assertValue(t, { envFrom: [{ secretRef: { name: SECRET.name } }] }));
  test('TestConfigsViaEnv/env', (t) =>
    assertValue(t, {
      env: [{ name: CONFIG.key, valueFrom: { configMapKeyRef: { name: CONFIG.name, key: CONFIG.key } } }],
    }));
  test('TestConfigsViaEnv/envFrom', (t) =>
    assertValue(t, { envFrom: [{ configMapRef: { name: CONFIG.name } }] }));

  test('TestShouldEnvVars', async (t) => {
    const { host, service } = await runtimeInfo(cluster, t);
    const { K_SERVICE, K_CONFIGURATION, K_REVISION } = host.envs;
    const { name } = service.metadata;
    assert.deepEqual(
      { K_SERVICE, K_CONFIGURATION, K_REVISION },
      { K_SERVICE: name, K_CONFIGURATION: name, K_REVISION: service.status?.latestReadyRevisionName },
    );
  });

  test('TestMustEnvVars', async (t) => {
    const { host } = await runtimeInfo(cluster, t, { container: { ports: [{ containerPort: 8801 }] } });
    assert.equal(host.envs.PORT, '8801');
  });

  test('TestCmdArgs', async (t) => {
    const container = { command: ['/ko-app/runtime', 'abra'], args: ['cadabra', 'do'] };
    const { host } = await runtimeInfo(cluster, t, { container });
    assert.deepEqual(host.args, [...container.command, ...container.args]);
  });

  test('TestWorkingDirService', async (t) => {
    const { host } = await runtimeInfo(cluster, t, { container: { workingDir: '/tmp' } });
    assert.deepEqual(host.user.cwd, { directory: '/tmp', error: '' });
  });

  test('TestShouldHaveStdinEOF', async (t) => {
    assert.deepEqual((await runtimeInfo(cluster, t)).host.stdin, { eof: true });
  });

  test('TestMustHaveFiles', async (t) => assertFiles(await runtimeInfo(cluster, t), MUST_FILES));

  test('TestShouldHaveFiles', async (t) => assertFiles(await runtimeInfo(cluster, t), SHOULD_FILES));

  test('TestShouldHaveSysctlReadOnly', async (t) => {
    const { host } = await runtimeInfo(cluster, t);
    const shown = host.mounts.filter(({ path }) => path === '/proc/sys');
    assert.ok(shown.length > 0, '/proc/sys is a mount of its own');
    for (const { type, device, options } of shown) {
      assert.equal(type, 'proc');
      assert.equal(device, 'proc');
      assert.ok(options.includes('ro'));
    }
  });

  const limits = { skip: cluster.lacks('petrel.dev/ResourceLimits') };

  test('TestMustHaveCgroupConfigured', limits, async (t) => {
    const { host } = await runtimeInfo(cluster, t, {
      container: {
        resources: {
          limits: { cpu: LIMITS.cpu, memory: LIMITS.memory },
          requests: { cpu: LIMITS.requested },
        },
      },
    });
    const root = host.mounts.find(({ path }) => path === '/sys/fs/cgroup');
    assert.ok(root, 'control groups are to be seen');
    const broken = host.cgroups.filter(({ error }) => error !== undefined);
    assert.deepEqual(broken, []);
    const values = Object.fromEntries(
      host.cgroups.map(({ name, value = '' }) => [name.slice('/sys/fs/cgroup/'.length), value]),
    );
    if (root.type === 'cgroup2') {
      assert.equal(values['memory.max'], MEMORY_BYTES);
      assert.ok(Number(values['cpu.weight']) >= 1);
      const [quota, period] = (values['cpu.max'] ?? '').split(' ').map(Number);
      assert.equal(quota, period);
    } else {
      assert.equal(values['memory/memory.limit_in_bytes'], MEMORY_BYTES);
      assert.equal(values['cpu/cpu.shares'], SHARES);
      assert.equal(values['cpu/cpu.cfs_quota_us'], values['cpu/cpu.cfs_period_us']);
    }
  });

  test('TestShouldHaveCgroupReadOnly', limits, async (t) => {
    const { host } = await runtimeInfo(cluster, t);
    assert.ok(host.cgroups.length > 0);
    for (const { name, readOnly, error } of host.cgroups)
      assert.deepEqual({ readOnly, error }, { readOnly: true, error: undefined }, name);
  });

  // Who may not become another user cannot let a container be one.
  const root = process.getuid?.() === 0;
  const user = {
    skip: root ? false : 'waits for the container driver: only root can run a process as another user',
  };

  test('TestMustRunAsUser', user, async (t) => {
    const { host } = await runtimeInfo(cluster, t, {
      container: { securityContext: { runAsUser: UID }, workingDir: '/' },
    });
    assert.deepEqual([host.user.uid, host.user.euid], [UID, UID]);
  });

  test('TestShouldRunAsUserContainerDefault', user, async (t) => {
    const { host } = await runtimeInfo(cluster, t);
    assert.deepEqual([host.user.uid, host.user.euid], [IMAGE_UID, IMAGE_UID]);
  });
});
