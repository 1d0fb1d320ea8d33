/** Package managers besides npm and pip, each with its own lock file, against the registries that this machine reaches. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { BuildError, build, type Files, forgetBuilds, Instance, withoutProgram } from '../instance.ts';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-managers-'));
after(() => {
  forgetBuilds();
  fs.rmSync(scratch, { recursive: true, force: true });
});

/** Locks that the tools have made for the manifests below. */
const locks = new URL('locks/', import.meta.url);
const lock = (name: string) => fs.readFileSync(new URL(name, locks), 'utf8');

const MANIFEST = {
  name: 'function',
  type: 'module',
  dependencies: { 'is-odd': '3.0.1' },
  devDependencies: { ms: '2.1.3' },
};
const node = (files: Files, more: object = {}): Files => ({
  'package.json': JSON.stringify({ ...MANIFEST, ...more }),
  'index.mjs':
    "import isOdd from 'is-odd';\nexport default () => new Response('three is odd: ' + isOdd(3));\n",
  ...files,
});
const python = (files: Files): Files => ({
  'main.py':
    'import dateutil.easter\n\ndef handle(request):\n    return "easter: " + str(dateutil.easter.easter(2026))\n',
  ...files,
});

/** Why a registry cannot be asked; the tools say so in many ways, npm and pip in few. */
const silent = (command: string, ...args: string[]): string | undefined => {
  const gone = withoutProgram(command);
  if (gone !== undefined) return gone;
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 30_000, cwd: scratch });
  return status === 0 ? undefined : `the registry is out of reach: ${stderr.trim().split('\n').at(-1)}`;
};
const npm = silent('npm', 'view', 'is-odd@3.0.1', 'version');
const pypi = silent('python3', '-m', 'pip', 'download', '-q', '--no-deps', '-d', scratch, 'six==1.17.0');

interface Managed {
  runtime: 'node' | 'python';
  missing: string | undefined;
  files: Files;
  /** The same with a manifest that asks for something else than the lock file. */
  stale?: { files: Files; says: RegExp };
}

const other = { dependencies: { 'is-odd': '3.0.0' } };
const managers: Record<string, Managed> = {
  'pnpm 10': {
    runtime: 'node',
    missing: npm,
    files: node({ 'pnpm-lock.yaml': lock('pnpm-lock.yaml') }),
    stale: { files: node({ 'pnpm-lock.yaml': lock('pnpm-lock.yaml') }, other), says: /OUTDATED_LOCKFILE/ },
  },
  'yarn 1': {
    runtime: 'node',
    missing: npm,
    files: node({ 'yarn.lock': lock('yarn-1.lock') }),
    stale: { files: node({ 'yarn.lock': lock('yarn-1.lock') }, other), says: /needs to be updated/ },
  },
  'yarn 4': {
    runtime: 'node',
    missing: npm,
    files: node({ 'yarn.lock': lock('yarn-4.lock') }),
    stale: {
      files: node({ 'yarn.lock': lock('yarn-4.lock') }, other),
      says: /YN0028|would have been modified/,
    },
  },
  uv: {
    runtime: 'python',
    missing: pypi,
    files: python({ 'pyproject.toml': lock('pyproject.toml'), 'uv.lock': lock('uv.lock') }),
    stale: {
      files: python({
        'pyproject.toml': lock('pyproject.toml').replace('2.9.0.post0', '2.8.2'),
        'uv.lock': lock('uv.lock'),
      }),
      says: /lockfile.*needs to be updated/,
    },
  },
  poetry: {
    runtime: 'python',
    missing: pypi,
    files: python({ 'pyproject.toml': lock('pyproject.toml'), 'poetry.lock': lock('poetry.lock') }),
  },
};
const ANSWERS = { node: 'three is odd: true', python: 'easter: 2026-04-05' };
const DEVELOPMENT = { node: 'node_modules/ms', python: 'site-packages/iniconfig' };

for (const [name, { runtime, missing, files, stale }] of Object.entries(managers)) {
  const skip = missing ?? false;
  test(`${name}: what the lock file names is there, and no more`, { skip }, async (t) => {
    const instance = await Instance.start({ runtime });
    t.after(() => instance.stop());
    const code = build(runtime, instance.package(files), files, undefined, undefined);
    assert.equal(fs.existsSync(path.join(code, DEVELOPMENT[runtime])), false, 'tools of the developer are');
    const links = fs
      .readdirSync(code, { recursive: true, encoding: 'utf8' })
      .map((one) => path.join(code, one))
      .filter((file) => fs.lstatSync(file).isSymbolicLink());
    for (const link of links) assert.ok(fs.realpathSync(link).startsWith(`${code}/`), `${link} leads out`);
    await instance.specialise(files);
    const data = await instance.connect();
    assert.equal((await data.request()).body.toString(), ANSWERS[runtime]);
  });
  if (stale === undefined) continue;
  test(`${name}: a lock file that does not match fails in the tool’s words`, { skip }, (t) => {
    const source = fs.mkdtempSync(path.join(scratch, 'stale-'));
    for (const [file, text] of Object.entries(stale.files)) fs.writeFileSync(path.join(source, file), text);
    let said: unknown;
    try {
      build(runtime, source, stale.files, undefined, undefined);
    } catch (error) {
      said = error;
    }
    assert.ok(said instanceof BuildError, String(said));
    // Each tool has certificates and proxies of its own: that another one reaches the registry says little.
    if (/UnknownIssuer|error sending request/.test(said.log))
      return t.skip('the registry is out of reach for this tool');
    assert.match(said.log, stale.says);
  });
}

// Gradle comes as a distribution of its own, from no registry of packages; Debian's is of version 4.
const gradle = withoutProgram('gradle') ?? withoutProgram('javac') ?? false;
test('gradle: classes, and the libraries that they need', { skip: gradle }, async (t) => {
  const files: Files = {
    'build.gradle': "apply plugin: 'java'\ndependencies { runtimeOnly files('libs/some.jar') }\n",
    'settings.gradle': "rootProject.name = 'function'\n",
    'libs/some.jar': 'not looked into',
    'src/main/java/Handler.java':
      'public class Handler { public String handle(String body) { return "built by Gradle"; } }\n',
  };
  const instance = await Instance.start({ runtime: 'java' });
  t.after(() => instance.stop());
  const code = build('java', instance.package(files), files, undefined, undefined);
  assert.equal(fs.existsSync(path.join(code, 'petrel-build/lib/some.jar')), true);
  await instance.specialise(files);
  const client = await instance.caller();
  assert.match((await client.request({ method: 'POST', body: 'x' })).body.toString(), /built by Gradle/);
});
