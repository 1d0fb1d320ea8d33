/** Platforms as processes: side by side, in two processes, over restarts, without a network, on bad ground. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { call, eventually, Petrel, processesNaming, ROOT, Scratch } from '../lib/platform.ts';

const scratch = new Scratch();
const started: Petrel[] = [];
after(async () => {
  for (const petrel of started) await petrel.stop();
  scratch.dispose();
});
const on = (home: string) => {
  const petrel = new Petrel(scratch.path(home));
  started.push(petrel);
  return petrel;
};
const answer = (text: string) => `export default { fetch: () => new Response(${JSON.stringify(text)}) };\n`;

test('two platforms side by side know nothing of each other', async () => {
  const [a, b] = [on('a'), on('b')];
  const [first, second] = await Promise.all([a.up(), b.up()]);
  scratch.write({ 'a.mjs': answer('from a'), 'b.mjs': answer('from b') });
  await Promise.all([
    a.deploy(scratch.path('a.mjs'), '--name', 'f'),
    b.deploy(scratch.path('b.mjs'), '--name', 'f'),
  ]);
  assert.equal((await call(first.gateway, '/fn/default/f/')).body, 'from a');
  assert.equal((await call(second.gateway, '/fn/default/f/')).body, 'from b');
  await Promise.all([a.stop(), b.stop()]);
  assert.equal((await a.run(['status'])).code, 13);
});

test('deploy starts the platform when none runs; down leaves nothing running; up brings everything back', async () => {
  const petrel = on('c');
  scratch.write({ 'c.mjs': answer('still here') });
  const deployed = await petrel.deploy(scratch.path('c.mjs'), '--gateway', ':0', '--api', ':0');
  assert.equal(deployed.ready, true);
  const { gateway, pid } = await petrel.status();
  assert.equal((await call(gateway, '/fn/default/c/')).body, 'still here');

  const down = await petrel.json<{ stopped: boolean; pid: number }>(['down']);
  assert.deepEqual([down.stopped, down.pid], [true, pid]);
  assert.deepEqual(processesNaming(petrel.home), []);
  assert.equal(existsSync(join(petrel.home, 'platform.json')), false);

  const again = await petrel.up();
  assert.equal((await call(again.gateway, '/fn/default/c/')).body, 'still here');
  assert.equal((await petrel.deploy(scratch.path('c.mjs'))).revision, 'c-00001');
  await petrel.stop();
});

test('the API alone and everything else in a second process, HTTPS between them', async () => {
  const [api, rest] = [on('d'), on('e')];
  await api.json(['apiserver', '--detach', '--api', ':0']);
  const { gateway } = await rest.up('--kubeconfig', join(api.home, 'kubeconfig'));
  scratch.write({ 'split.mjs': answer('two processes') });
  const deployed = await rest.deploy(scratch.path('split.mjs'));
  assert.equal(deployed.ready, true);
  assert.equal((await call(gateway, '/fn/default/split/')).body, 'two processes');
  assert.match((await rest.run(['logs', 'split'])).stderr + (await rest.run(['list'])).stdout, /split/);

  const refused = await api.refused(['deploy', scratch.path('split.mjs')]);
  assert.equal(refused.exit, 13);
  assert.match(refused.fix, /--kubeconfig/);
  await rest.stop();
  await api.stop();
});

test('a second start needs no network', async (t) => {
  const petrel = on('f');
  const child = spawn('unshare', ['--user', '--map-root-user', '--net', 'true']);
  const code = await new Promise((resolve) => child.on('close', resolve).on('error', () => resolve(1)));
  if (code !== 0) return t.skip('this machine has no network namespaces for this user');
  const script =
    'ip link set lo up 2>/dev/null; "$1" up --detach --gateway :0 --api :0 -o json && "$1" deploy "$2" -o json && "$1" down';
  scratch.write({ 'f.mjs': answer('offline') });
  const offline = spawn(
    'unshare',
    [
      '--user',
      '--map-root-user',
      '--net',
      'sh',
      '-c',
      script,
      'sh',
      join(ROOT, 'petrel'),
      scratch.path('f.mjs'),
    ],
    {
      env: { ...process.env, PETREL_HOME: petrel.home, npm_config_registry: 'http://127.0.0.1:9/' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  offline.stdout.on('data', (chunk) => (output += chunk));
  offline.stderr.on('data', (chunk) => (output += chunk));
  assert.equal(await new Promise((resolve) => offline.on('close', resolve)), 0, output + petrel.log());
});

test('in the foreground: ready on stdout, SIGTERM stops it, exit code 0', async () => {
  const petrel = on('g');
  const child = spawn(join(ROOT, 'petrel'), ['up', '--gateway', ':0', '--api', ':0', '-o', 'json'], {
    env: { ...process.env, PETREL_HOME: petrel.home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  const exit = new Promise((resolve) => child.on('exit', resolve));
  await eventually('ready', async () => stdout.includes('\n}'));
  assert.equal(JSON.parse(stdout).pid, child.pid);
  child.kill('SIGTERM');
  assert.equal(await exit, 0);
  assert.equal((await petrel.run(['status'])).code, 13);
});

test('a port in use: exit code 15, the option that changes it, and the next start works', async () => {
  const petrel = on('i');
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
  const { port } = squatter.address() as { port: number };
  for (const [option, other] of [
    ['--gateway', '--api'],
    ['--api', '--gateway'],
  ] as const) {
    const refused = await petrel.refused(['up', '--detach', option, `127.0.0.1:${port}`, other, ':0']);
    assert.equal(refused.exit, 15, JSON.stringify(refused));
    assert.match(refused.fix, new RegExp(option));
  }
  squatter.close();
  await eventually('nothing is left', async () => processesNaming(petrel.home).length === 0);
  await petrel.up();
  await petrel.stop();
});

test('two starts at the same moment: one wins, the other says so', async () => {
  const petrel = on('j');
  const both = await Promise.all(
    [1, 2].map(() => petrel.run(['up', '--detach', '--gateway', ':0', '--api', ':0'])),
  );
  assert.deepEqual(
    both.map(({ code }) => code).sort((a, b) => (a ?? 0) - (b ?? 0)),
    [0, 14],
    JSON.stringify(both),
  );
  await petrel.status();
  await petrel.stop();
});

test('several deploys at once on a home where nothing runs: one starts the platform, all succeed', async () => {
  const petrel = on('n');
  scratch.write({ 'm.mjs': answer('together') });
  const deploy = (name: string) =>
    petrel.deploy(scratch.path('m.mjs'), '--name', name, '--gateway', ':0', '--api', ':0');
  const all = await Promise.all(['one', 'two', 'three'].map(deploy));
  assert.deepEqual(
    all.map(({ name, ready }) => [name, ready]),
    [
      ['one', true],
      ['two', true],
      ['three', true],
    ],
  );
  await petrel.stop();
});

test('a home that cannot be used', async () => {
  scratch.write({ occupied: 'a file' });
  const file = await new Petrel(scratch.path('occupied')).refused(['up', '--detach']);
  assert.equal(file.exit, 16);
  assert.match(file.fix, /--home/);
  assert.equal(readFileSync(scratch.path('occupied'), 'utf8'), 'a file');
});

test('a home that this user may not write to', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may write everywhere');
  mkdirSync(scratch.path('locked'));
  chmodSync(scratch.path('locked'), 0o500);
  const locked = await new Petrel(scratch.path('locked/h')).refused(['up', '--detach']);
  assert.equal(locked.exit, 16);
});

test('a damaged record and a stale socket do not stop a start', async () => {
  const petrel = on('k');
  mkdirSync(join(petrel.home, 'run'), { recursive: true });
  writeFileSync(join(petrel.home, 'platform.json'), '{"pid": 1');
  writeFileSync(join(petrel.home, 'run/platform.sock'), '');
  await petrel.up();
  assert.equal((await petrel.status()).ready, true);
  await petrel.stop();
});

test('a home with a long path, and one with a space', async () => {
  for (const name of [`long/${'x'.repeat(100)}`, 'with space']) {
    const petrel = on(name);
    scratch.write({ 'l.mjs': answer('found') });
    const { gateway } = await petrel.up();
    await petrel.deploy(scratch.path('l.mjs'));
    assert.equal((await call(gateway, '/fn/default/l/')).body, 'found');
    await petrel.stop();
  }
});

test('doctor finds nothing broken on this machine, and a full report as JSON', async () => {
  const petrel = on('m');
  const findings = await petrel.json<{ subject: string; state: string }[]>(['doctor']);
  assert.ok(
    findings.every(({ state }) => state !== 'broken'),
    JSON.stringify(findings),
  );
  assert.ok(
    ['node', 'home', 'disk', 'sandbox', 'python'].every((subject) =>
      findings.some((finding) => finding.subject === subject),
    ),
  );
  assert.equal(existsSync(petrel.home) && readdirSync(petrel.home).length > 0, false);
});
