import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLogger } from '../../../../base/log.ts';
import { connectInstance, type InstanceChannel } from '../../../../functions/instance-channel.ts';
import type { ContainerDriver, ContainerSpec, RunningContainer, ZygoteSpec } from '../driver.ts';
import { createProcessDriver } from './driver.ts';

const repository = resolve(import.meta.dirname, '../../../../..');
const runtimes = join(repository, 'runtimes');
const PATH = process.env.PATH ?? '';
/** A runtime whose functions are forked with their code loaded. */
interface Language {
  zygote: string[];
  supervisor: string[];
  entry: string;
  /** Writes on SIGUSR2 what it knows; takes all memory it can get on SIGWINCH. */
  code: string;
}
const LANGUAGES: Record<string, Language> = {
  node: {
    zygote: [
      process.execPath,
      '--disable-sigusr1',
      '--single-threaded',
      '--v8-pool-size=1',
      '--no-memory-reducer',
      join(runtimes, 'node/zygote.cjs'),
    ],
    supervisor: [process.execPath, join(runtimes, 'node/supervisor.cjs')],
    entry: 'f.cjs',
    code: `
let count = 0;
process.env.LOADED = 'yes';
process.on('SIGUSR2', () => console.log(JSON.stringify({
  count: ++count, random: Math.random(), drawn: [require('crypto').randomInt(1e12), require('crypto').randomUUID()], own: process.env.OWN, loaded: process.env.LOADED, cwd: process.cwd(),
  files: require('fs').readdirSync('/tmp').filter((name) => name.startsWith('mine-')),
})) || require('fs').writeFileSync('/tmp/mine-' + process.env.OWN, ''));
process.on('SIGWINCH', () => { const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1)); });
exports.fetch = () => new Response('');
`,
  },
  python: {
    zygote: ['python3', '-S', '-u', join(runtimes, 'python/zygote.py')],
    supervisor: ['python3', '-S', '-u', join(runtimes, 'python/supervisor.py')],
    entry: 'f.py',
    code: `
import json, os, random, signal, uuid
count = 0
os.environ["LOADED"] = "yes"
def tell(*_):
    global count
    count += 1
    print(json.dumps({"count": count, "random": random.random(), "drawn": [random.randrange(10**12), str(uuid.uuid4())], "own": os.environ["OWN"],
        "loaded": os.environ["LOADED"], "cwd": os.getcwd(), "files": [name for name in os.listdir("/tmp") if name.startswith("mine-")]}))
    open("/tmp/mine-" + os.environ["OWN"], "w").close()
def eat(*_):
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))
signal.signal(signal.SIGUSR2, tell)
signal.signal(signal.SIGWINCH, eat)
def handler(request):
    return ""
`,
  },
};

let home = '';
let code = '';
let driver: ContainerDriver;
let why: string | false = false;
let count = 0;
/** The time before a zygote begins is nothing that keeps a process alive. */
let alive: NodeJS.Timeout;

before(async () => {
  alive = setInterval(() => {}, 1000);
  home = mkdtempSync(join(tmpdir(), 'petrel-function-zygote-'));
  chmodSync(home, 0o755);
  code = join(home, 'code');
  mkdirSync(code);
  for (const { entry, code: text } of Object.values(LANGUAGES)) writeFileSync(join(code, entry), text);
  driver = createProcessDriver({
    runDir: join(home, 'run'),
    hidden: [homedir()],
    visible: [dirname(process.execPath), repository, code],
    required: [dirname(process.execPath)],
    mode: 'auto',
    zygotes: true,
    zygoteDelayMs: 0,
    log: silentLogger,
  });
  const { sandbox, limits } = await driver.capabilities();
  if (!sandbox.available) why = sandbox.message;
  else if (!limits.available) why = limits.message;
});
after(() => {
  clearInterval(alive);
  rmSync(home, { recursive: true, force: true });
});

async function until<T>(probe: () => T | Promise<T>, what: string): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + 20_000; ; ) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited for: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

interface Started {
  running: RunningContainer;
  spec: ContainerSpec;
  channel: InstanceChannel;
  pid: number;
  language: string;
  output(): string;
}

async function start(language: string, role: ZygoteSpec['role'], tenant = 'default'): Promise<Started> {
  const { zygote, supervisor } = LANGUAGES[language]!;
  const podUid = `pod-${count++}`;
  const socket = join(home, 'run', 'pods', podUid, 'i.sock');
  let output = '';
  const write = (chunk: Buffer): undefined => {
    output += chunk.toString();
  };
  const spec: ContainerSpec = {
    podUid,
    name: 'c',
    command: supervisor,
    env: { PATH, HOME: '/tmp', PETREL_SOCKET: socket },
    hostname: podUid,
    mounts: [],
    limits: { memoryBytes: 256 << 20 },
    zygote: { key: `${tenant}/${language}`, command: zygote, env: { PATH }, ...(role && { role }) },
  };
  const running = await driver.start(spec, { stdout: write, stderr: write });
  const channel = await until(
    () => connectInstance(socket, { timeoutMs: 5000 }).catch(() => undefined),
    `an answer; output: ${output}`,
  );
  const pid = Number(running.id.split('.').at(-2));
  return { running, spec, channel, pid, language, output: () => output };
}

const params = (language: string, own: string) => ({
  namespace: 'default',
  function: 'f',
  revision: 'f-1',
  code,
  workdir: code,
  entry: LANGUAGES[language]!.entry,
  env: { OWN: own },
  development: true,
  timeoutMs: 1000,
  concurrency: 0,
});

/** A function zygote that can be forked. */
async function startParent(language: string): Promise<Started> {
  const parent = await start(language, 'parent');
  const given = params(language, 'zygote');
  const result = await parent.channel.call<{ problem?: string }>('preload', given, 20_000);
  assert.equal(result.problem, undefined);
  parent.channel.close();
  return parent;
}

async function startChild(parent: Started, own: string): Promise<Started> {
  const child = await start(parent.language, { of: parent.spec.podUid });
  assert.equal(child.channel.hello.preloaded, 'f-1');
  await child.channel.call('specialise', params(parent.language, own), 5000);
  return child;
}

/** What an instance writes when it is asked. */
async function said({ running, output }: Started): Promise<Record<string, unknown>> {
  const before = output().length;
  running.signal('SIGUSR2');
  const line = await until(() => /^\{.*\}$/m.exec(output().slice(before))?.[0], 'what it knows');
  return JSON.parse(line);
}

async function end(...all: Started[]): Promise<void> {
  for (const { running } of all) running.kill();
  await Promise.all(all.map(({ running }) => running.exited));
}

const status = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8');
const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

for (const language of Object.keys(LANGUAGES)) {
  test(`${language}: what has run a function’s code has no rights, and neither has what is forked from it`, async (t) => {
    if (why) return t.skip(why);
    const parent = await startParent(language);
    const child = await startChild(parent, 'a');
    const [zygote] = childrenOf(parent.pid);
    for (const pid of [zygote!, child.pid]) {
      assert.match(status(pid), /^NoNewPrivs:\s+1$/m);
      for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'])
        assert.match(status(pid), new RegExp(`^${set}:\\s+0+$`, 'm'));
      assert.match(status(pid), /^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
    }
    assert.deepEqual(childrenOf(zygote!), [child.pid]);
    // Neither the other roots nor the machine's.
    const seen = await child.running.exec(
      [
        'sh',
        '-c',
        `ls -A /run /proc/1/root/run; cat ${home}/run/pods/*/* 2>&1; ls ${homedir()}; cd ..; ls -d ../../../../etc`,
      ],
      5000,
    );
    assert.doesNotMatch(seen.output, /slots/);
    await end(child, parent);
  });

  test(`${language}: instances of one zygote share nothing that they write: state, scratch space, random numbers, output, limits`, async (t) => {
    if (why) return t.skip(why);
    const parent = await startParent(language);
    const [one, other] = [await startChild(parent, 'one'), await startChild(parent, 'other')];
    const first = await said(one);
    const second = await said(one);
    const third = await said(other);
    assert.deepEqual([first.count, second.count, third.count], [1, 2, 1]);
    assert.deepEqual([first.files, second.files, third.files], [[], ['mine-one'], []]);
    assert.deepEqual([first.own, third.own], ['one', 'other']);
    assert.deepEqual([first.loaded, first.cwd], ['yes', code]);
    assert.notEqual(first.random, third.random);
    for (const each of [0, 1])
      assert.notEqual((first.drawn as unknown[])[each], (third.drawn as unknown[])[each]);
    assert.doesNotMatch(other.output(), /"one"/);
    const groups = ({ pid }: Started) => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    assert.notEqual(groups(one), groups(other));
    assert.match(groups(one), new RegExp(`${one.spec.podUid}\\.c`));
    assert.ok((one.running.usage()?.memoryBytes ?? 0) > 0);

    one.running.signal('SIGWINCH');
    assert.deepEqual(await one.running.exited, { exitCode: 137, oomKilled: true });
    assert.equal((await said(other)).count, 2);
    const next = await startChild(parent, 'next');
    assert.deepEqual((await said(next)).files, []);
    await end(next, other, parent);
  });

  test(`${language}: instances outlive their zygote, and then end as they would`, async (t) => {
    if (why) return t.skip(why);
    const parent = await startParent(language);
    const child = await startChild(parent, 'a');
    process.kill(childrenOf(parent.pid)[0]!, 'SIGKILL');
    await until(() => childrenOf(parent.pid).length === 0, 'the end of the zygote');
    assert.equal((await said(child)).count, 1);
    // There is nothing to fork from any more: the runtime's own zygote has to do.
    const generic = await start(language, { of: parent.spec.podUid });
    assert.equal(generic.channel.hello.preloaded, undefined);
    child.running.signal('SIGTERM');
    await child.running.exited;
    await parent.running.exited;
    await end(generic);
  });

  test(`${language}: a zygote that is told to end does so, and its namespaces with the last instance`, async (t) => {
    if (why) return t.skip(why);
    const parent = await startParent(language);
    const child = await startChild(parent, 'a');
    parent.running.signal('SIGTERM');
    await until(() => childrenOf(parent.pid).length === 0, 'the end of the zygote');
    parent.running.kill();
    assert.equal((await said(child)).count, 1);
    await end(child);
    await parent.running.exited;
  });

  test(`${language}: nothing is forked for another tenant`, async (t) => {
    if (why) return t.skip(why);
    const parent = await startParent(language);
    const stranger = await start(language, { of: parent.spec.podUid }, 'other');
    assert.equal(stranger.channel.hello.preloaded, undefined);
    await end(stranger, parent);
  });
}
