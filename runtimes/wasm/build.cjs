// @ts-check
'use strict';
/** Compiles a program in Go or Rust for WASI, with the language's own tool, and translates components. What it is given and owes: ../BUILDS.md. */

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { translateAll } = require('./component/build.cjs');

const output = process.env.PETREL_OUTPUT ?? '';
const cache = process.env.PETREL_CACHE || path.join(process.env.TMPDIR ?? '/tmp', 'petrel-cache');
const has = (/** @type {string} */ name) => fs.existsSync(name);

/** @param {string} message what the user reads @returns {never} */
function give(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** @param {string} command @param {string[]} args @param {Record<string, string>} env @param {string} install how to get the command @returns {string} its output, when that is a pipe */
function tool(command, args, env, install, stdout = /** @type {'inherit' | 'pipe'} */ ('inherit')) {
  const run = spawnSync(command, args, {
    stdio: ['ignore', stdout, 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  });
  if (run.error !== undefined) {
    const missing = /** @type {NodeJS.ErrnoException} */ (run.error).code === 'ENOENT';
    give(missing ? `${command} was not found: ${install}` : `${command} cannot be run: ${run.error.message}`);
  }
  if (run.status !== 0) process.exit(run.status ?? 1);
  return run.stdout;
}

function go() {
  const env = {
    GOOS: 'wasip1',
    GOARCH: 'wasm',
    GOCACHE: path.join(cache, 'go-build'),
    GOMODCACHE: path.join(cache, 'go-mod'),
    GOTOOLCHAIN: process.env.GOTOOLCHAIN ?? 'local',
  };
  const mode = has('vendor/modules.txt') ? '-mod=vendor' : '-mod=readonly';
  const args = [
    'build',
    mode,
    '-trimpath',
    '-buildvcs=false',
    '-ldflags=-s -w',
    '-o',
    path.join(output, 'main.wasm'),
    '.',
  ];
  tool('go', args, env, 'install Go 1.21 or later (https://go.dev/dl, apt install golang-go)');
}

/** Where rustup keeps its toolchains when it is not said: beside the directory of its commands, since HOME is not the user's here. */
function rustupHome() {
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    const beside = path.resolve(dir, '../../.rustup');
    if (has(path.join(dir, 'cargo')) && has(beside)) return { RUSTUP_HOME: beside };
  }
  return {};
}

function rust() {
  const target = path.join(cache, 'target');
  const root = process.cwd();
  const env = {
    ...(process.env.RUSTUP_HOME ? {} : rustupHome()),
    CARGO_HOME: path.join(cache, 'cargo'),
    CARGO_TARGET_DIR: target,
    CARGO_TERM_COLOR: 'never',
    CARGO_ENCODED_RUSTFLAGS: [`--remap-path-prefix=${root}=.`, '-Cstrip=symbols'].join('\x1f'),
  };
  const locked = has('Cargo.lock') ? ['--locked'] : [];
  const rustup = 'install Rust with rustup (https://rustup.rs), then: rustup target add';
  /** @type {{targets: {kind: string[]}[]}[]} */
  const { packages } = JSON.parse(
    tool('cargo', ['metadata', '--no-deps', '--format-version=1', ...locked], env, rustup, 'pipe'),
  );
  const kinds = new Set(packages.flatMap(({ targets }) => targets.flatMap(({ kind }) => kind)));
  // A program is a module, a library that is linked by its exports a component.
  const wanted = kinds.has('bin') || !kinds.has('cdylib') ? 'bin' : 'cdylib';
  const triple = wanted === 'bin' ? 'wasm32-wasip1' : 'wasm32-wasip2';
  const install = `${rustup} ${triple}`;
  const args = ['build', '--release', '--target', triple, '--message-format=json-render-diagnostics'];
  const said = tool('cargo', [...args, ...locked], env, install, 'pipe');
  const modules = said
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ reason, target }) => reason === 'compiler-artifact' && target.kind.includes(wanted))
    .flatMap(({ filenames }) => filenames.filter((/** @type {string} */ name) => name.endsWith('.wasm')));
  if (modules.length === 0)
    give(
      'cargo built no program: a function needs src/main.rs or a [[bin]], a component a [lib] with crate-type = ["cdylib"]',
    );
  for (const file of modules) fs.copyFileSync(file, path.join(output, path.basename(file)));
}

if (has('go.mod')) go();
else if (has('Cargo.toml')) rust();
else fs.cpSync('.', output, { recursive: true, verbatimSymlinks: true });
translateAll(output, cache);
