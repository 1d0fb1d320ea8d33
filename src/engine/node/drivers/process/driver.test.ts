/** The driver with real processes. What needs namespaces is skipped, with the reason, where they are not permitted. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '../../../../base/log.ts';
import type { ContainerDriver, ContainerExit, ContainerSpec, RunningContainer } from '../driver.ts';
import { createProcessDriver } from './driver.ts';

const base = mkdtempSync(join(tmpdir(), 'petrel-driver-'));
after(() => rmSync(base, { recursive: true, force: true }));
const NODE_DIR = dirname(process.execPath);
const PATH = `${NODE_DIR}:/usr/sbin:/usr/bin:/sbin:/bin`;

function createDriver(
  name: string,
  mode: 'auto' | 'plain' = 'auto',
): { driver: ContainerDriver; runDir: string } {
  const runDir = join(base, name);
  mkdirSync(runDir, { recursive: true });
  const options = {
    runDir,
    hidden: [homedir()],
    visible: [NODE_DIR],
    required: [NODE_DIR],
    mode,
    log: silentLogger,
  };
  return { driver: createProcessDriver(options), runDir };
}

const shared = createDriver('shared');
const { sandbox, limits } = await shared.driver.capabilities();
/** For `test`: a reason to skip what this machine does not permit. */
const needsSandbox = { skip: sandbox.available ? false : `no namespaces here: ${sandbox.message}` };
const needsLimits = { skip: limits.available ? false : `no control groups here: ${limits.message}` };

let pods = 0;

interface Started {
  running: RunningContainer;
  output(): string;
  /** Resolves as soon as the output contains the text. */
  until(text: string): Promise<void>;
}

async function start(
  command: string[],
  change: Partial<ContainerSpec> = {},
  driver = shared.driver,
): Promise<Started> {
  let text = '';
  let wake = () => {};
  const take = (chunk: Buffer): undefined => {
    text += chunk.toString();
    wake();
  };
  const running = await driver.start(
    {
      podUid: `pod-${pods++}`,
      name: 'c',
      command,
      env: { PATH },
      hostname: 'box',
      mounts: [],
      limits: {},
      ...change,
    },
    { stdout: take, stderr: take },
  );
  return {
    running,
    output: () => text,
    async until(wanted) {
      while (!text.includes(wanted)) {
        const end = running.exited.then(() => 'ended' as const);
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if ((await Promise.race([more, end])) === 'ended' && !text.includes(wanted)) {
          assert.fail(`ended without ${JSON.stringify(wanted)}: ${text}`);
        }
      }
    },
  };
}

async function run(
  command: string[],
  change: Partial<ContainerSpec> = {},
): Promise<ContainerExit & { text: string }> {
  const { running, output } = await start(command, change);
  return { ...(await running.exited), text: output() };
}

/** Polls a fact of the kernel that tells nobody when it changes. */
async function eventually(holds: () => boolean, what: string): Promise<void> {
  for (let wait = 1; wait < 10_000; wait *= 2) {
    if (holds()) return;
    await delay(wait);
  }
  assert.fail(`did not come true: ${what}`);
}

const commandLines = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });

test('exit codes, signals and a missing command are reported as a shell would', async () => {
  assert.equal((await run(['sh', '-c', 'exit 7'])).exitCode, 7);
  assert.equal((await run(['sh', '-c', 'kill -9 $$'])).exitCode, 137);
  assert.equal((await run(['no-such-command'])).exitCode, 127);
});

test('a container has no privileges, its own processes and an empty home', needsSandbox, async () => {
  const script = [
    'cat /proc/self/status',
    'echo processes $(ls /proc | grep -c "^[0-9]")',
    `echo home $(ls -A ${homedir()} | wc -l)`,
    'echo name $(hostname)',
    'touch /etc/x /usr/x 2>/dev/null && echo writable',
    'echo hi >/tmp/mine && cat /tmp/mine',
    'ls -A /dev | grep -c "^[sv]d"',
  ].join('\n');
  const { text } = await run(['sh', '-c', script]);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
    assert.match(text, new RegExp(`${set}:\\s+0+\n`));
  assert.match(text, /NoNewPrivs:\s+1\n/);
  assert.match(text, /processes [3-9]\n/);
  assert.match(text, /name box\n/);
  assert.doesNotMatch(text, /writable/);
  assert.match(text, /hi\n0\n$/);
  assert.ok(!existsSync('/tmp/mine'), 'its /tmp is not the one of the host');
  const listed = /home (\d+)\n/.exec(text);
  // The Node binary may lie there: then the way to it is all there is.
  assert.ok(Number(listed?.[1]) <= (NODE_DIR.startsWith(homedir()) ? 1 : 0), text);
});

test('no user namespace gives the privileges back', needsSandbox, async () => {
  const { text } = await run([
    'sh',
    '-c',
    'unshare --user --map-root-user --mount true && echo escaped; true',
  ]);
  assert.doesNotMatch(text, /escaped/);
});

test('kernel settings are read-only', needsSandbox, async () => {
  const { text } = await run([
    'sh',
    '-c',
    'echo "|/bin/x" >/proc/sys/kernel/core_pattern && echo changed; true',
  ]);
  assert.doesNotMatch(text, /changed/);
});

test('other Pods of the machine are not visible, the own directory is writable', needsSandbox, async () => {
  const other = shared.driver.preparePodDir('somebody-else');
  const own = shared.driver.preparePodDir('own');
  const { text } = await run(['sh', '-c', `ls ${dirname(other)}; echo x >${own}/file && echo written`], {
    podUid: 'own',
  });
  assert.equal(text, 'own\nwritten\n');
  assert.equal(readFileSync(join(own, 'file'), 'utf8'), 'x\n');
});

test('the environment is exactly what was asked for, whatever it contains', async () => {
  const env = {
    PATH,
    'odd.name': "it's",
    LINES: 'a\nb "$HOME" `id`\\',
    LD_PRELOAD: '/nowhere.so',
    EMPTY: '',
  };
  const program = 'console.log(JSON.stringify(process.env))';
  const { text } = await run([process.execPath, '-e', program], { env });
  assert.deepEqual(JSON.parse(text.slice(text.indexOf('{'))), env);
});

test('values of variables appear in no argument list', needsSandbox, async () => {
  const env = { PATH, TOKEN: 'sesame-17', LD_X: '1' };
  const { running, until } = await start(['sh', '-c', 'echo up; exec sleep 100'], { env });
  await until('up');
  assert.ok(!commandLines().some((line) => line.includes('sesame-17')));
  running.kill();
  await running.exited;
});

test('volumes are mounted where the host has nothing, and over what it has', needsSandbox, async () => {
  const source = join(base, 'volume');
  mkdirSync(source);
  writeFileSync(join(source, 'key'), 'value');
  const mount = (target: string, readOnly = true) => ({ source, target, readOnly });
  const mounts = [
    mount('/data/deep/down'),
    mount('/etc/petrel-test'),
    mount('/var/run/early'),
    mount('/opt', false),
  ];
  const script =
    'cat /data/deep/down/key /etc/petrel-test/key /run/early/key; ls /opt; ls /etc/passwd; echo x >/etc/petrel-test/key';
  const { text } = await run(['sh', '-c', script], { mounts });
  assert.match(text, /^valuevaluevaluekey\n\/etc\/passwd\n/);
  assert.match(text, /Read-only file system/);
});

test('a mount path that would replace the system is refused', needsSandbox, async () => {
  for (const target of ['/', '/proc/x', '/dev/null']) {
    const mounts = [{ source: base, target, readOnly: true }];
    await assert.rejects(start(['true'], { mounts }), /mountPath .* is not possible/);
  }
});

test('a mount can be added while it runs', needsSandbox, async () => {
  const { driver, runDir } = shared;
  const uid = 'gets-more';
  const dir = join(driver.preparePodDir(uid), 'place');
  mkdirSync(dir);
  const { running, until } = await start(
    ['sh', '-c', `echo up; while [ ! -f ${dir}/file ]; do sleep 0.01; done; cat ${dir}/file`],
    { podUid: uid },
  );
  await until('up');
  const source = join(runDir, 'added');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'here now');
  assert.equal(await running.addMount({ source, target: dir, readOnly: true }), true);
  await until('here now');
});

test('output can be opened by name', async () => {
  const { text } = await run([
    'sh',
    '-c',
    'echo out >/dev/stdout; echo err >/dev/stderr; echo self >/proc/self/fd/1',
  ]);
  assert.deepEqual(text.trim().split('\n').sort(), ['err', 'out', 'self']);
});

test('SIGTERM reaches the main process; kill takes every descendant along', async () => {
  const polite = await start([
    'sh',
    '-c',
    'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.02; done',
  ]);
  await polite.until('up');
  polite.running.signal('SIGTERM');
  assert.equal((await polite.running.exited).exitCode, 3);
  assert.match(polite.output(), /bye/);

  const mark = `sleep 98.${process.pid}`;
  const stubborn = await start(['sh', '-c', `trap "" TERM; ${mark} & ${mark} & echo up; wait`]);
  await stubborn.until('up');
  const alive = () => commandLines().filter((line) => line.startsWith(mark.replace(' ', '\0'))).length;
  await eventually(() => alive() === 2, 'both descendants run');
  stubborn.running.kill();
  assert.equal((await stubborn.running.exited).exitCode, 137);
  await eventually(() => alive() === 0, 'all descendants are gone');
});

test('a plain SIGTERM ends a program that does not handle it', async () => {
  const { running, until } = await start(['sh', '-c', 'echo up; exec sleep 100']);
  await until('up');
  running.signal('SIGTERM');
  assert.equal((await running.exited).exitCode, 143);
});

test('a command beside the main process shares its view', async () => {
  const { running, until } = await start(
    ['sh', '-c', 'echo one >/tmp/petrel-shared; echo up; exec sleep 100'],
    {
      env: { PATH, WHO: 'me' },
    },
  );
  await until('up');
  const { exitCode, output } = await running.exec(
    ['sh', '-c', 'cat /tmp/petrel-shared; echo $WHO; exit 4'],
    5000,
  );
  assert.equal(output, 'one\nme\n');
  assert.equal(exitCode, 4);
  const slow = await running.exec(['sleep', '50'], 50);
  assert.equal(slow.timedOut, true);
  running.kill();
  await running.exited;
  rmSync('/tmp/petrel-shared', { force: true });
});

test('memory beyond the limit ends the container as OOMKilled', needsLimits, async () => {
  const eat = 'const all = []; for (;;) all.push(Buffer.alloc(4e6, 1))';
  const { exitCode, oomKilled } = await run([process.execPath, '-e', eat], {
    limits: { memoryBytes: 96 << 20 },
  });
  assert.equal(exitCode, 137);
  assert.equal(oomKilled, true);
});

test('limits can be set while it runs', needsLimits, async () => {
  const eat =
    'console.log("up"); process.stdin.resume(); setInterval(() => all.push(Buffer.alloc(4e6, 1)), 1); const all = [];';
  const { running, until } = await start([process.execPath, '-e', eat]);
  await until('up');
  assert.equal(running.setLimits({ cpuMillis: 500, memoryBytes: 128 << 20 }), true);
  assert.equal((await running.exited).oomKilled, true);
  assert.equal(running.setLimits({}), false);
});

const platform = new URL('./fixtures/platform.ts', import.meta.url).pathname;

/** A platform of its own that runs one container and is then killed. */
async function killedPlatform(t: TestContext, mode: 'auto' | 'plain', mark: string) {
  const { driver, runDir } = createDriver(`killed-${mode}`, mode);
  const child = spawn(process.execPath, [platform, runDir, mode, mark], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes('up')) break;
  }
  const alive = () => commandLines().filter((line) => line.startsWith(`sleep\0${mark}`)).length;
  await eventually(() => alive() === 2, 'the container and its descendant run');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { driver, runDir, alive };
}

test('kill -9 of the platform leaves no process, the next start no trace', needsSandbox, async (t) => {
  const { driver, runDir, alive } = await killedPlatform(t, 'auto', `97.${process.pid}`);
  await eventually(() => alive() === 0, 'the container died with the platform');
  await driver.cleanLeftovers();
  assert.deepEqual(readdirSync(join(runDir, 'processes')), []);
});

test('without namespaces the next start ends what kill -9 left', async (t) => {
  const { driver, runDir, alive } = await killedPlatform(t, 'plain', `96.${process.pid}`);
  await driver.cleanLeftovers();
  await eventually(() => alive() === 0, 'leftovers were ended');
  assert.deepEqual(readdirSync(join(runDir, 'processes')), []);
});
