// Brings the dependencies of a package with its own package manager, in its frozen mode, as ../BUILDS.md says.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** Package managers by lock file; the first that is there decides. `npx`: how it is had where the machine has none. */
const MANAGERS = [
  { lock: 'package-lock.json', name: 'npm', args: ['ci'] },
  { lock: 'npm-shrinkwrap.json', name: 'npm', args: ['ci'] },
  { lock: 'pnpm-lock.yaml', name: 'pnpm', args: ['install', '--frozen-lockfile', '--prod'], npx: 'pnpm@10' },
  { lock: 'yarn.lock', name: 'yarn', args: [], npx: '' },
];
/** Without a lock file versions are chosen now, and may be others the next time. */
const UNLOCKED = { lock: '', name: 'npm', args: ['install', '--no-package-lock'] };
const NPM_OPTIONS = ['--omit=dev', '--no-audit', '--no-fund', '--no-update-notifier', '--prefer-offline'];

const here = (name) => fs.existsSync(path.join(process.cwd(), name));
const say = (text) => process.stdout.write(`${text}\n`);

/** The program behind a name in PATH, links followed. */
function find(name) {
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(dir, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return fs.realpathSync(file);
    } catch {}
  }
  return undefined;
}

/** Yarn before version 2 writes another lock file and takes other options. */
function yarn() {
  const classic = fs.readFileSync('yarn.lock', 'utf8').includes('# yarn lockfile v1');
  return classic
    ? {
        name: 'yarn',
        args: ['install', '--frozen-lockfile', '--production', '--non-interactive'],
        npx: 'yarn@1',
      }
    : {
        name: 'yarn',
        // The first compares the lock file, the second leaves out what is for developers.
        args: ['install', '--immutable', '--mode=skip-build'],
        second: ['workspaces', 'focus', '--all', '--production'],
        npx: '@yarnpkg/cli-dist@4',
      };
}

/** The version that package.json asks for: `"packageManager": "pnpm@9.1.0+sha512…"`. */
function pinned(manager) {
  const { packageManager = '' } = JSON.parse(fs.readFileSync('package.json', 'utf8'));
  const match = /^(\w+)@([0-9][^+\s]*)/.exec(packageManager);
  if (match === null || match[1] !== manager.name) return manager.npx;
  return `${manager.npx.replace(/@[^@]*$/, '')}@${match[2]}`;
}

/** argv that runs npm: the machine's, else one brought from the registry. */
async function npm() {
  const found = find('npm');
  if (found !== undefined) return [process.execPath, found];
  const { bringNpm } = require('./bring-npm.cjs');
  return [process.execPath, await bringNpm(process.env.PETREL_CACHE ?? '', process.env)];
}

/** argv that runs another package manager. */
async function other(manager) {
  const found = find(manager.name);
  if (found !== undefined) return /\.[cm]?js$/.test(found) ? [process.execPath, found] : [found];
  return [...(await npm()), 'exec', '--yes', `--package=${pinned(manager)}`, '--', manager.name];
}

/** What is installed is copied into the package: links into a cache would lead nowhere. */
const pnpmOptions = (cache) => [
  '--package-import-method=copy',
  ...(cache ? [`--store-dir=${path.join(cache, 'pnpm')}`] : []),
];

async function main() {
  if (!here('package.json')) return 0; // nothing to bring
  let manager = MANAGERS.find(({ lock }) => here(lock));
  if (manager === undefined) {
    say(
      'there is no lock file: versions are chosen now (npm install writes package-lock.json, which pins them)',
    );
    manager = UNLOCKED;
  }
  if (manager.name === 'yarn') manager = yarn();
  const isNpm = manager.name === 'npm';
  const argv = isNpm ? await npm() : await other(manager);
  const cache = process.env.PETREL_CACHE;
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`,
    ...(cache
      ? {
          npm_config_cache: path.join(cache, 'npm'),
          YARN_CACHE_FOLDER: path.join(cache, 'yarn'),
          YARN_ENABLE_GLOBAL_CACHE: 'false',
        }
      : {}),
    YARN_NODE_LINKER: 'node-modules',
    CI: '1',
  };
  const [program, ...before] = argv;
  const options = isNpm ? NPM_OPTIONS : manager.name === 'pnpm' ? pnpmOptions(cache) : [];
  for (const args of [[...manager.args, ...options], manager.second ?? []]) {
    if (args.length === 0) continue;
    const { status, signal, error } = spawnSync(program, [...before, ...args], { stdio: 'inherit', env });
    if (error) throw error;
    if (status !== 0) return status ?? (signal === null ? 1 : 128);
  }
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
