import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLogger } from '../../../../base/log.ts';
import type { ContainerDriver, ContainerSpec, RunningContainer } from '../driver.ts';
import { createProcessDriver } from './driver.ts';

const repository = resolve(import.meta.dirname, '../../../../..');
const supervisor = join(repository, 'runtimes/node/supervisor.cjs');
const zygote = join(repository, 'runtimes/node/zygote.cjs');
const PATH = process.env.PATH ?? '';

let home = '';
let driver: ContainerDriver;
let why: string | false = false;
let output = '';
let count = 0;

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'petrel-fork-'));
  driver = createDriver('run');
  const { sandbox } = await driver.capabilities();
  if (!sandbox.available) why = sandbox.message;
});
after(() => rmSync(home, { recursive: true, force: true }));

function createDriver(name: string) {
  return createProcessDriver({
    runDir: join(home, name),
    hidden: [homedir()],
    visible: [dirname(process.execPath), repository],
    required: [dirname(process.execPath)],
    mode: 'auto',
    zygotes: true,
    zygoteDelayMs: 0,
    log: silentLogger,
  });
}

const specOf = (run: string, command: string[]): ContainerSpec => {
  const podUid = `pod-${count++}`;
  return {
    podUid,
    name: 'c',
    command: [process.execPath, supervisor],
    env: { PATH, PETREL_SOCKET: join(home, run, 'pods', podUid, 'i.sock'), MINE: podUid },
    hostname: podUid,
    mounts: [],
    limits: { memoryBytes: 512 << 20 },
    zygote: { key: 'default/node', command, env: { PATH } },
  };
};
const FLAGS = ['--disable-sigusr1', '--single-threaded', '--v8-pool-size=1'];
const write = (chunk: Buffer): undefined => {
  output += chunk.toString();
};
const pidOf = ({ id }: RunningContainer) => Number(id.split('.').at(-2));
const parentOf = (pid: number) =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
const isForked = (running: RunningContainer) =>
  readFileSync(`/proc/${pidOf(running)}/cmdline`, 'utf8').includes('zygote.cjs');

async function until(condition: () => boolean | Promise<boolean>, what: string) {
  for (const deadline = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > deadline) throw new Error(`waited for: ${what}; output: ${output}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Starts containers until one is forked. */
async function startForked(): Promise<{ running: RunningContainer; spec: ContainerSpec }> {
  for (;;) {
    const spec = specOf('run', [process.execPath, ...FLAGS, zygote]);
    const running = await driver.start(spec, { stdout: write, stderr: write });
    if (isForked(running)) return { running, spec };
    running.kill();
    await running.exited;
  }
}

const answers = (path: string) =>
  new Promise<boolean>((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    }).on('error', () => done(false));
  });

test('a forked container is confined as a started one is, and ends with its exit code', async (t) => {
  if (why) return t.skip(why);
  const { running, spec } = await startForked();
  const pid = pidOf(running);
  await until(() => answers(spec.env.PETREL_SOCKET!), 'its socket');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  assert.match(status, /^CapEff:\s+0+$/m);
  assert.match(status, /^CapPrm:\s+0+$/m);
  assert.match(status, /^NSpid:\s+\d+\s+2$/m);
  for (const name of ['mnt', 'pid', 'ipc', 'uts'])
    assert.notEqual(readlinkSync(`/proc/${pid}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`), name);
  const seen = await running.exec(['sh', '-c', `hostname; ls -A /tmp ${home}; echo "$MINE"; id -u`], 5000);
  assert.equal(seen.exitCode, 0, seen.output);
  assert.ok(seen.output.startsWith(`${spec.hostname}\n`), seen.output);
  assert.ok(seen.output.includes(`\n${spec.podUid}\n`), seen.output);
  if (process.getuid!() === 0) assert.ok(seen.output.endsWith('\n65534\n'), seen.output);
  const shown = mkdtempSync(join(home, 'shown-'));
  writeFileSync(join(shown, 'a file'), '');
  chmodSync(shown, 0o755);
  assert.equal(await running.addMount({ source: shown, target: '/tmp', readOnly: true }), true);
  const mounted = await running.exec(['sh', '-c', 'ls /tmp; touch /tmp/x 2>&1'], 5000);
  assert.match(mounted.output, /^a file\n.*Read-only file system/s);
  running.signal('SIGTERM');
  assert.deepEqual(await running.exited, { exitCode: 0, oomKilled: false });
});

test('two forked containers do not share memory, descriptors or a view with the zygote or each other', async (t) => {
  if (why) return t.skip(why);
  const first = await startForked();
  const second = await startForked();
  await until(() => answers(second.spec.env.PETREL_SOCKET!), 'its socket');
  await until(() => answers(first.spec.env.PETREL_SOCKET!), 'its socket');
  const things = async ({ running }: { running: RunningContainer }) => {
    const pid = pidOf(running);
    const { output: listed } = await running.exec(
      ['sh', '-c', 'ls -l /proc/2/fd | grep -E -o "(pipe|socket):.*"'],
      5000,
    );
    const rings = readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .filter((line) => line.split(' ')[1]?.endsWith('s'))
      .map((line) => line.split(' ').filter(Boolean)[4]!);
    return new Set([...listed.trim().split('\n'), ...rings]);
  };
  const [one, other] = [await things(first), await things(second)];
  assert.ok(one.size > 2 && other.size > 2);
  assert.deepEqual(
    [...one].filter((each) => other.has(each)),
    [],
  );
  for (const { running } of [first, second]) running.kill();
  assert.equal((await first.running.exited).exitCode, 137);
  await second.running.exited;
});

test('instances outlive the zygote they come from, and another takes its place', async (t) => {
  if (why) return t.skip(why);
  const { running, spec } = await startForked();
  await until(() => answers(spec.env.PETREL_SOCKET!), 'its socket');
  const old = parentOf(pidOf(running));
  process.kill(old, 'SIGKILL');
  await until(() => parentOf(pidOf(running)) !== old, 'the end of the zygote');
  assert.equal(await answers(spec.env.PETREL_SOCKET!), true);
  const next = await startForked();
  assert.notEqual(parentOf(pidOf(next.running)), old);
  for (const each of [running, next.running]) each.kill();
  await Promise.all([running.exited, next.running.exited]);
  assert.equal(existsSync(`/proc/${pidOf(running)}`), false);
});

test('where the zygote cannot work, containers are started', async (t) => {
  if (why) return t.skip(why);
  const other = createDriver('broken');
  for (let round = 0; round < 5; round++) {
    const spec = specOf('broken', [process.execPath, '-e', 'process.exit(3)']);
    const running = await other.start(spec, { stdout: write, stderr: write });
    await until(() => answers(spec.env.PETREL_SOCKET!), 'its socket');
    running.kill();
    await running.exited;
  }
});
