/** Builds, by the real command: dependencies by the language's own tool, logs, failures, and what must not happen twice. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { BuildStatus, PetrelFunction, Runtime } from '../../src/kinds/function.ts';
import type { Job } from '../../src/kinds/job.ts';
import { FUNCTIONS, JOBS, RUNTIMES } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, ROOT, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const get = (name: string) => call(platform.gateway, '/', { host: `${name}.default.localhost` });

async function buildOf(name: string): Promise<BuildStatus | undefined> {
  const api = await petrel.api();
  try {
    return (await api.get<PetrelFunction>(FUNCTIONS, 'default', name)).status?.build;
  } finally {
    api.close();
  }
}

/** An application with one dependency, which comes with it: no registry is needed. */
function shop(name: string, says: string, lock: object = {}): string {
  const json = (value: object) => JSON.stringify(value);
  scratch.write({
    [`${name}/package.json`]: json({
      name,
      version: '1.0.0',
      main: 'index.js',
      dependencies: { dep: 'file:./dep' },
    }),
    [`${name}/package-lock.json`]: json({
      name,
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name, version: '1.0.0', dependencies: { dep: 'file:./dep' } },
        dep: { version: '1.0.0' },
        'node_modules/dep': { resolved: 'dep', link: true },
        ...lock,
      },
    }),
    [`${name}/dep/package.json`]: json({ name: 'dep', version: '1.0.0', main: 'index.js' }),
    [`${name}/dep/index.js`]: `module.exports = () => ${JSON.stringify(says)};`,
    [`${name}/index.js`]: `const dep = require('dep'); exports.handle = async () => ({ body: dep() });`,
  });
  return scratch.path(name);
}

test('dependencies are brought by npm ci, and the same source is not built twice', async () => {
  const path = shop('shop', 'hello from dep');
  const { code, stdout, stderr } = await petrel.run(['deploy', path]);
  assert.equal(code, 0, stderr + petrel.log());
  assert.match(stderr, /added 1 package/, 'the log of the build is shown');
  assert.doesNotMatch(stdout, /added/, 'and only the URL is data');
  assert.equal((await get('shop')).body, 'hello from dep');
  await petrel.deploy(path, '--name', 'shop-again');
  assert.equal((await get('shop-again')).body, 'hello from dep');
  const api = await petrel.api();
  try {
    const jobs = await api.list<Job>(JOBS, { namespace: 'default' });
    assert.equal(jobs.items.length, 1);
    const fn = await api.get<PetrelFunction>(FUNCTIONS, 'default', 'shop');
    assert.equal(fn.status?.build?.phase, 'Succeeded');
    assert.equal(fn.status?.conditions?.find(({ type }) => type === 'BuildSucceeded')?.status, 'True');
  } finally {
    api.close();
  }
});

test('a lock file that does not match fails with the words of npm, and the old revision goes on', async () => {
  const path = shop('broken', 'one');
  await petrel.deploy(path);
  scratch.write({
    'broken/package.json': JSON.stringify({
      name: 'broken',
      version: '1.0.0',
      main: 'index.js',
      dependencies: { dep: 'file:./dep', other: 'file:./other' },
    }),
    'broken/other/package.json': JSON.stringify({ name: 'other', version: '1.0.0' }),
  });
  const refused = await petrel.refused(['deploy', path]);
  assert.equal(refused.code, 'BuildFailed');
  assert.equal(refused.exit, 24);
  assert.match(
    refused.message,
    /npm ci.*can only install packages when your package.json and package-lock.json/s,
  );
  assert.match(refused.why, /broken-00001 goes on serving/);
  assert.equal((await get('broken')).body, 'one');
});

test('what needs no build has none', async () => {
  scratch.write({
    'plain/package.json': '{"type":"module"}',
    'plain/index.js': 'export default () => "plain";',
  });
  await petrel.deploy(scratch.path('plain'));
  const api = await petrel.api();
  try {
    const fn = await api.get<PetrelFunction>(FUNCTIONS, 'default', 'plain');
    assert.equal(fn.status?.build, undefined);
  } finally {
    api.close();
  }
});

/** A source whose build is a shell command. */
function built(name: string): string {
  scratch.write({ [`${name}/index.js`]: `exports.handle = async () => ({ body: require('./made.js') });` });
  return scratch.path(name);
}
const WRITES = `echo "module.exports = 'made'" > made.js`;

test('a command of its own, with variables; again only when asked to', async () => {
  const path = built('custom');
  const options = [
    '--build-command',
    `echo "module.exports = '$WORD'" > made.js`,
    '--build-env',
    'WORD=spoken',
  ];
  await petrel.deploy(path, ...options);
  assert.equal((await get('custom')).body, 'spoken');
  const before = await buildOf('custom');
  await petrel.json(['builds', 'rebuild', 'custom']);
  const after = await buildOf('custom');
  assert.notEqual(after?.inputs, before?.inputs);
  assert.equal(after?.digest, before?.digest, 'the same source is built to the same bytes');
  const listed = await petrel.json<{ name: string; phase: string }[]>(['builds']);
  assert.equal(listed.find(({ name }) => name === 'custom')?.phase, 'Succeeded');
});

test('what is built sees neither the platform nor its secrets, and gets what it is promised', async () => {
  const path = built('curious');
  const says =
    'echo "cache $PETREL_CACHE home $HOME entry $PETREL_ENTRY pwd $(pwd) request [$PETREL_BUILD]"; id -u; ls -A $HOME $PETREL_OUTPUT; ls ~root 2>&1; env | grep -i secret_of_test; exit 7';
  const { code, stderr } = await petrel.run(
    ['deploy', path, '--build-command', says, '--entry', 'index.js'],
    { env: { SECRET_OF_TEST: 'x' } },
  );
  assert.equal(code, 24);
  assert.match(
    stderr,
    /cache \S+build_default_node home \/workspace\/home entry index.js pwd \/workspace\/source request \[\]/,
  );
  // Where the platform is not root, 0 is its own user in a namespace of the build.
  if (process.getuid?.() === 0) assert.doesNotMatch(stderr, /^0$/m, 'it does not run as root');
});

test('a build that never ends is ended by its time, with what it said', async () => {
  const path = built('endless');
  const refused = await petrel.refused([
    'deploy',
    path,
    '--build-command',
    'echo began; trap "" TERM; sleep 1000 & wait; wait',
    '--build-timeout',
    '2',
  ]);
  assert.equal(refused.code, 'BuildFailed');
  assert.match(refused.message, /began.*did not end within 2 s/s);
  assert.match(refused.fix, /--build-timeout/);
});

test('Ctrl-C ends the build it waits for; the next deploy builds again', async () => {
  const path = built('stopped');
  const child = spawn(join(ROOT, 'petrel'), ['deploy', path, '--build-command', 'echo began; sleep 1000'], {
    env: { ...process.env, PETREL_HOME: petrel.home },
  });
  let said = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes('began') && text.includes('began')) child.kill('SIGINT');
      said += text;
    });
  }
  assert.equal(await ended, 24, said);
  assert.match(said, /cancelled/);
  assert.equal((await buildOf('stopped'))?.phase, 'Failed');
  await petrel.deploy(path, '--build-command', WRITES);
  assert.equal((await get('stopped')).body, 'made');
});

test('a hundred megabytes of output are no matter', async () => {
  const path = built('talker');
  const { code, stderr } = await petrel.run([
    'deploy',
    path,
    '--no-wait',
    '--build-command',
    `yes 0123456789012345678901234567890123456789 | head -c 100000000; ${WRITES}`,
  ]);
  assert.equal(code, 0, stderr);
  await eventually('the talker answers', async () => (await get('talker')).body === 'made');
  const logs = join(petrel.home, 'logs/pods');
  let bytes = 0;
  for (const name of readdirSync(logs, { recursive: true, encoding: 'utf8' }))
    bytes += statSync(join(logs, name)).size;
  assert.ok(bytes < 64 * 2 ** 20, `${bytes} bytes of logs`);
});

test('a missing tool is named with how to get it', async () => {
  const api = await petrel.api();
  try {
    await api.create<Runtime>(RUNTIMES, {
      apiVersion: 'petrel.dev/v1',
      kind: 'Runtime',
      metadata: { name: 'cobol' },
      spec: {
        language: 'cobol',
        extensions: ['.cob'],
        command: ['sh', '-c', 'sleep 1'],
        pool: { min: 0, max: 1 },
        build: { command: ['no-such-cobc'] },
        tools: [{ command: 'no-such-cobc', for: 'build', install: 'Install it: apt-get install gnucobol4.' }],
      },
    });
  } finally {
    api.close();
  }
  scratch.write({ 'old.cob': 'IDENTIFICATION DIVISION.' });
  const refused = await petrel.refused(['deploy', scratch.path('old.cob')]);
  assert.equal(refused.code, 'BuildFailed');
  assert.match(refused.message, /no-such-cobc is not on this machine. Install it: apt-get install gnucobol4/);
});

test('requirements of Python, from a wheel', async (t) => {
  scratch.write({
    'snake/requirements.txt': './wheels/dep-1.0-py3-none-any.whl\n',
    'snake/main.py': 'import dep\ndef handler(event, context):\n    return dep.word()\n',
  });
  const made = spawnSync('python3', ['-c', WHEEL, scratch.path('snake/wheels')]);
  if (made.status !== 0 || spawnSync('/usr/bin/python3', ['-m', 'pip', '--version']).status !== 0)
    return t.skip('no python3 with pip on this machine');
  await petrel.deploy(scratch.path('snake'));
  assert.match((await get('snake')).body, /from a wheel/);
});

test('a platform that is killed while it builds builds again when it is back', async () => {
  const path = built('survivor');
  const command = `test -e "$PETREL_CACHE/seen" || { touch "$PETREL_CACHE/seen"; echo waiting; sleep 1000; }; ${WRITES}`;
  await petrel.run(['deploy', path, '--no-wait', '--build-command', command]);
  await eventually('the build has begun', async () =>
    existsSync(join(petrel.home, 'cache/build_default_node/seen')),
  );
  process.kill(platform.pid, 'SIGKILL');
  await eventually('the platform is gone', async () => !existsSync(`/proc/${platform.pid}`));
  platform = await petrel.up();
  await eventually('the survivor answers', async () => (await get('survivor')).body === 'made');
});

const WHEEL = `
import os, sys, zipfile
os.makedirs(sys.argv[1])
with zipfile.ZipFile(os.path.join(sys.argv[1], 'dep-1.0-py3-none-any.whl'), 'w') as z:
    z.writestr('dep.py', 'def word():\\n    return "from a wheel"\\n')
    z.writestr('dep-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: dep\\nVersion: 1.0\\n')
    z.writestr('dep-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('dep-1.0.dist-info/RECORD', 'dep.py,,\\ndep-1.0.dist-info/METADATA,,\\ndep-1.0.dist-info/WHEEL,,\\ndep-1.0.dist-info/RECORD,,\\n')
`;

test('a repository: branch and folder, a tag, and what is not in it', async () => {
  const repository = scratch.path('origin.git');
  const work = scratch.path('work');
  const git = (...args: string[]) => {
    const done = spawnSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      cwd: work,
      encoding: 'utf8',
    });
    assert.equal(done.status, 0, done.stderr);
  };
  scratch.write({ 'work/apps/api/index.js': `exports.handle = async () => ({ body: 'main' });` });
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-qm', 'one');
  git('tag', 'v1');
  scratch.write({ 'work/apps/api/index.js': `exports.handle = async () => ({ body: 'second' });` });
  git('commit', '-qam', 'two');
  git('clone', '-q', '--bare', '.', repository);
  await petrel.deploy(`file://${repository}#main:apps/api`);
  assert.equal((await get('api')).body, 'second');
  await petrel.deploy(`${repository}#v1:apps/api`);
  assert.equal((await get('api')).body, 'main');
  const folder = await petrel.refused(['deploy', `${repository}#main:nowhere`]);
  assert.equal(folder.code, 'FileNotFound');
  const branch = await petrel.refused(['deploy', `${repository}#no-such-branch`]);
  assert.equal(branch.code, 'UnsupportedSource');
  assert.match(branch.message, /no-such-branch/);
});

test('an archive, here and behind a URL, with one folder around everything or none', async (t) => {
  scratch.write({
    'packed/wrapped-1.0/index.js': `exports.handle = async () => ({ body: 'wrapped' });`,
    'flat/index.js': `exports.handle = async () => ({ body: 'flat' });`,
  });
  const tar = (name: string, from: string, what: string) =>
    assert.equal(spawnSync('tar', ['-czf', scratch.path(name), '-C', scratch.path(from), what]).status, 0);
  tar('wrapped.tar.gz', 'packed', 'wrapped-1.0');
  tar('flat.tgz', 'flat', '.');
  await petrel.deploy(scratch.path('wrapped.tar.gz'));
  assert.equal((await get('wrapped')).body, 'wrapped');
  const server = createServer((request, response) => {
    if (request.url !== '/flat.tgz') return response.writeHead(404).end();
    createReadStream(scratch.path('flat.tgz')).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await petrel.deploy(`${base}/flat.tgz`);
  assert.equal((await get('flat')).body, 'flat');
  const missing = await petrel.refused(['deploy', `${base}/other.zip`]);
  assert.equal(missing.code, 'UnsupportedSource');
  assert.match(missing.why, /answered 404/);
  scratch.write({ 'broken.zip': 'PK\u0003\u0004 this is no zip' });
  assert.equal((await petrel.refused(['deploy', scratch.path('broken.zip')])).code, 'UnsafeArchive');
});

test('an image without a container engine, of what is built and of what is not', async () => {
  const path = built('boxed');
  const deployed = await petrel.json<{ image: string }>([
    'deploy',
    path,
    '--build-command',
    WRITES,
    '--image',
    'team/boxed:1',
  ]);
  assert.match(deployed.image, /^team\/boxed:1@sha256:[0-9a-f]{64}$/);
  const index = JSON.parse(readFileSync(join(petrel.home, 'images/team/boxed/index.json'), 'utf8'));
  assert.equal(`team/boxed:1@${index.manifests[0].digest}`, deployed.image);
  scratch.write({ 'lone.js': `exports.handle = async () => ({ body: 'lone' });` });
  const lone = await petrel.json<{ image: string }>(['deploy', scratch.path('lone.js'), '--image', 'lone']);
  assert.match(lone.image, /^lone@sha256:/);
  const refused = await petrel.refused(['deploy', scratch.path('lone.js'), '--image', '127.0.0.1:1/lone:2']);
  assert.equal(refused.code, 'BuildFailed');
  assert.match(
    refused.message,
    /the image 127\.0\.0\.1:1\/lone:2 was not written: 127\.0\.0\.1:1 cannot be reached/,
  );
  assert.equal((await get('lone')).body, 'lone');
  const without = await petrel.json<{ image?: string }>([
    'deploy',
    scratch.path('lone.js'),
    '--image',
    'none',
  ]);
  assert.equal(without.image, undefined);
});

test('packages of the registry, where there is one', async (t) => {
  const reachable = await fetch('https://registry.npmjs.org/is-odd', {
    method: 'HEAD',
    signal: AbortSignal.timeout(5000),
  }).then(
    ({ ok }) => ok,
    () => false,
  );
  if (!reachable) return t.skip('no npm registry from here');
  scratch.write({
    'odd/package.json':
      '{"name":"odd","version":"1.0.0","main":"index.js","dependencies":{"is-odd":"3.0.1"}}',
    'odd/index.js': `const odd = require('is-odd'); exports.handle = async () => ({ body: String(odd(3)) });`,
  });
  const { code, stderr } = await petrel.run(['deploy', scratch.path('odd')]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /there is no lock file: versions are chosen now/);
  assert.equal((await get('odd')).body, 'true');
});
