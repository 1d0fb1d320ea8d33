/** The launcher against a registry that is a shell script: what it installs when, and from where it can be called. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../petrel', import.meta.url));
const BINARY = `node-linux-${process.arch}`;

/** npm's part: installs "Node" (a script that prints its arguments) and remembers how it was called. */
const NPM = `#!/bin/sh
echo "$@" >>"$PETREL_TEST/npm-calls"
[ ! -e "$PETREL_TEST/offline" ] || { echo 'npm error network unreachable' >&2; exit 1; }
sleep "\${PETREL_TEST_DELAY:-0}"
mkdir -p node_modules/${BINARY}/bin
printf '#!/bin/sh\\nfor a; do echo "$a"; done\\necho "cwd=$(pwd)"\\n' >node_modules/${BINARY}/bin/node
chmod +x node_modules/${BINARY}/bin/node
case "$*" in *--include=dev*) mkdir -p node_modules/typescript ;; esac
`;

function checkout(t: TestContext, name = 'a checkout') {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-launcher-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const root = join(dir, name);
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  mkdirSync(join(dir, 'bin'));
  mkdirSync(join(dir, 'home'));
  copyFileSync(LAUNCHER, join(root, 'petrel'));
  chmodSync(join(root, 'petrel'), 0o755);
  writeFileSync(join(root, 'package-lock.json'), '{"lock":1}\n');
  writeFileSync(join(dir, 'bin/npm'), NPM, { mode: 0o755 });
  const start = (
    args: string[],
    options: { as?: string; cwd?: string; path?: string; delay?: number } = {},
  ) =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
      const child = spawn(options.as ?? join(root, 'petrel'), args, {
        cwd: options.cwd ?? dir,
        env: {
          PATH: options.path ?? `${join(dir, 'bin')}:/usr/bin:/bin`,
          HOME: join(dir, 'home'),
          PETREL_TEST: dir,
          PETREL_TEST_DELAY: String(options.delay ?? 0),
        },
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
    });
  const npmCalls = () =>
    existsSync(join(dir, 'npm-calls'))
      ? readFileSync(join(dir, 'npm-calls'), 'utf8').trimEnd().split('\n')
      : [];
  return { dir, root, start, npmCalls };
}

/** File systems keep time in ticks of a few milliseconds. */
const newTimestamp = () => new Promise((resolve) => setTimeout(resolve, 20));

const options = process.platform === 'linux' ? {} : { skip: 'the pinned Node of the registry is for Linux' };

test(
  'the first start installs without development tools and says so; the second asks npm for nothing',
  options,
  async (t) => {
    const { root, start, npmCalls } = checkout(t);
    const first = await start(['version', 'two words']);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /bringing Node and the dependencies/);
    assert.deepEqual(first.stdout.trimEnd().split('\n').slice(-4, -1), [
      join(root, 'src/cli/main.ts'),
      'version',
      'two words',
    ]);
    assert.equal(npmCalls().length, 1);
    assert.match(npmCalls()[0] ?? '', /--omit=dev/);

    const second = await start(['version']);
    assert.equal(second.code, 0);
    assert.equal(second.stderr, '');
    assert.equal(npmCalls().length, 1);
  },
);

test('test brings the development tools; later starts keep them', options, async (t) => {
  const { root, start, npmCalls } = checkout(t);
  await start(['version']);
  await start(['test']);
  assert.equal(npmCalls().length, 2);
  assert.match(npmCalls()[1] ?? '', /--include=dev/);
  await newTimestamp();
  writeFileSync(join(root, 'package-lock.json'), '{"lock":2}\n');
  await start(['version']);
  assert.match(npmCalls()[2] ?? '', /--include=dev/);
});

test('a changed lock file installs again, a touched one does not', options, async (t) => {
  const { root, start, npmCalls } = checkout(t);
  await start(['version']);
  await newTimestamp();
  writeFileSync(join(root, 'package-lock.json'), '{"lock":1}\n');
  await start(['version']);
  assert.equal(npmCalls().length, 1);
  await newTimestamp();
  writeFileSync(join(root, 'package-lock.json'), '{"lock":2}\n');
  assert.match((await start(['version'])).stderr, /they changed/);
  assert.equal(npmCalls().length, 2);
});

test(
  "works through symbolic links, from any directory, and keeps the caller's directory",
  options,
  async (t) => {
    const { dir, root, start } = checkout(t);
    mkdirSync(join(dir, 'links'));
    symlinkSync('../a checkout/petrel', join(dir, 'links/relative'));
    symlinkSync(join(dir, 'links/relative'), join(dir, 'links/twice'));
    for (const as of ['./a checkout/petrel', join(dir, 'links/relative'), join(dir, 'links/twice')]) {
      const { code, stdout, stderr } = await start(['status'], { as, cwd: dir });
      assert.equal(code, 0, stderr);
      assert.ok(stdout.includes(`${join(root, 'src/cli/main.ts')}\nstatus\n`), stdout);
      assert.ok(stdout.endsWith(`cwd=${dir}\n`), stdout);
    }
  },
);

test('two first starts at once install once, and both run', options, async (t) => {
  const { start, npmCalls } = checkout(t);
  const both = await Promise.all([start(['version'], { delay: 1 }), start(['version'], { delay: 1 })]);
  for (const { code, stderr } of both) assert.equal(code, 0, stderr);
  assert.equal(npmCalls().length, 1);
  assert.ok(both.some(({ stderr }) => /waiting for another first start/.test(stderr)));
});

test('a lock left by a start that died is taken over', options, async (t) => {
  const { root, start, npmCalls } = checkout(t);
  const dead = spawn('/bin/true');
  await new Promise((resolve) => dead.on('close', resolve));
  mkdirSync(join(root, '.petrel-install.lock'));
  writeFileSync(join(root, '.petrel-install.lock/pid'), `${dead.pid}\n`);
  assert.equal((await start(['version'])).code, 0);
  assert.equal(npmCalls().length, 1);
  assert.equal(existsSync(join(root, '.petrel-install.lock')), false);
});

test(
  'without the registry: what npm said, what to do, nothing left behind, and the next start tries again',
  options,
  async (t) => {
    const { dir, root, start } = checkout(t);
    writeFileSync(join(dir, 'offline'), '');
    const { code, stderr } = await start(['version']);
    assert.equal(code, 18);
    assert.match(stderr, /npm error network unreachable/);
    assert.match(stderr, /error: the dependencies could not be installed\n {2}why: .*\n {2}fix: .*network/);
    assert.equal(existsSync(join(root, '.petrel-install.lock')), false);
    rmSync(join(dir, 'offline'));
    assert.equal((await start(['version'])).code, 0);
  },
);

test('without npm: says what to install', options, async (t) => {
  const { dir, start } = checkout(t);
  mkdirSync(join(dir, 'tools'));
  for (const tool of [
    'sh',
    'uname',
    'readlink',
    'sleep',
    'mkdir',
    'cp',
    'rm',
    'cat',
    'touch',
    'cmp',
    'tail',
  ]) {
    symlinkSync(join('/usr/bin', tool), join(dir, 'tools', tool));
  }
  const { code, stderr } = await start(['version'], { path: join(dir, 'tools') });
  assert.equal(code, 18);
  assert.match(stderr, /error: npm was not found[\s\S]*fix: install Node 20 or newer with npm/);
});

test('a linked node_modules is used as it is, and never written to', options, async (t) => {
  const { dir, root, start, npmCalls } = checkout(t);
  mkdirSync(join(dir, 'shared'));
  symlinkSync(join(dir, 'shared'), join(root, 'node_modules'));
  const { code, stderr } = await start(['version']);
  assert.equal(code, 18);
  assert.match(stderr, /symbolic link/);
  mkdirSync(join(dir, 'shared', BINARY, 'bin'), { recursive: true });
  symlinkSync('/bin/true', join(dir, 'shared', BINARY, 'bin/node'));
  assert.equal((await start(['version'])).code, 0);
  assert.deepEqual(npmCalls(), []);
});
