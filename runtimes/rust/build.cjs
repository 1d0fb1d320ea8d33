// @ts-check
'use strict';
/** Builds a function in Rust: one binary, and the files that its code may read at run time. What it is given and owes: ../BUILDS.md. */

const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');
const { spawnSync } = require('node:child_process');
const { handlerOf, NAMES, readSource } = require('./source.cjs');

/** Directory of the package in which the launcher looks (../launch/README.md). */
const BUILD = 'petrel-build';
/** Name of the binary that is generated, and of its file. */
const GENERATED = 'petrel_generated';
/** What a package needs no more once it is built. */
const SOURCE = /(\.rs|^Cargo\.(toml|lock)|^rust-toolchain(\.toml)?)$/;
const NOT_COPIED = new Set(['.git', '.cargo', 'target', 'vendor', 'petrel', BUILD]);

const output = process.env.PETREL_OUTPUT ?? '';
const wanted = process.env.PETREL_HANDLER || undefined;
const cache = process.env.PETREL_CACHE || path.join(process.env.TMPDIR ?? '/tmp', 'petrel-cache');
const source = process.cwd();
/** A place of its own that is always the same: cargo tells apart packages by their paths, and would keep what it made for each. */
const root = path.join(cache, 'source');
/** The crate that handlers use; by its content, so that it is compiled once. */
const support = path.join(cache, `petrel-${digestOf(path.join(__dirname, 'support'))}`);

/** @param {string} dir */
function digestOf(dir) {
  const hash = createHash('sha256');
  for (const name of fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort())
    if (fs.statSync(path.join(dir, name)).isFile())
      hash.update(name).update(fs.readFileSync(path.join(dir, name)));
  return hash.digest('hex').slice(0, 12);
}

/** @param {string} message what the user reads @returns {never} */
function give(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Where rustup keeps its toolchains when it is not said: beside the directory of its commands, since HOME is not the user's here. */
function rustupHome() {
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    if (!fs.existsSync(path.join(dir, 'cargo'))) continue;
    const beside = path.resolve(dir, '../../.rustup');
    return fs.existsSync(beside) ? { RUSTUP_HOME: beside } : {};
  }
  return {};
}

const env = {
  ...rustupHome(),
  ...process.env,
  CARGO_HOME: path.join(cache, 'cargo'),
  CARGO_TARGET_DIR: path.join(cache, 'target'),
  CARGO_TERM_COLOR: 'never',
  RUST_BACKTRACE: '0',
};

/** Runs cargo with its own words on the log; undefined when it failed. @param {string} cwd @param {string[]} args */
function cargo(cwd, args) {
  const run = spawnSync('cargo', args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (run.error !== undefined) {
    give(
      /** @type {NodeJS.ErrnoException} */ (run.error).code === 'ENOENT'
        ? 'cargo was not found: install Rust 1.80 or later (https://rustup.rs, apt install cargo)'
        : `cargo cannot be run: ${run.error.message}`,
    );
  }
  return run.status === 0 ? run.stdout : undefined;
}

/** @param {string} text in TOML, as a basic string */
const quoted = (text) => JSON.stringify(text);

/** The directory of the package that is built, and the file asked for in it. */
function locate() {
  const entry = process.env.PETREL_ENTRY;
  if (!entry) return { dir: root, file: undefined };
  const asked = path.resolve(root, entry);
  if (asked !== root && !asked.startsWith(`${root}/`)) give(`the entry ${entry} lies outside of the source`);
  if (!fs.existsSync(asked)) give(`the source has no ${entry}; it has: ${fs.readdirSync(root).join(', ')}`);
  const file = fs.statSync(asked).isDirectory() ? undefined : asked;
  for (let at = file === undefined ? asked : path.dirname(asked); at !== root; at = path.dirname(at))
    if (fs.existsSync(path.join(at, 'Cargo.toml'))) return { dir: at, file };
  return { dir: root, file };
}

/** Makes a package of files that are none. @param {string | undefined} file */
function makePackage(file) {
  const sources = fs.readdirSync(root).filter((name) => name.endsWith('.rs'));
  const usual = ['lib.rs', 'main.rs', 'function.rs', 'handler.rs'].find((name) => sources.includes(name));
  const chosen =
    file === undefined
      ? (usual ?? (sources.length === 1 ? sources[0] : undefined))
      : path.relative(root, file);
  if (chosen === undefined)
    give(
      `no Cargo.toml, and no single Rust file: name one as the entry. The source has: ${fs.readdirSync(root).join(', ')}`,
    );
  const { exported, main } = readSource(fs.readFileSync(path.join(root, chosen), 'utf8'));
  const program = main && handlerOf(exported, wanted) === undefined;
  const target = program ? `[[bin]]\nname = "function"` : `[lib]`;
  fs.writeFileSync(
    path.join(root, 'Cargo.toml'),
    `[package]\nname = "function"\nversion = "0.0.0"\nedition = "2021"\n\n${target}\npath = ${quoted(chosen)}\n`,
  );
}

/** The call of a handler, in the generated `main`. @param {string} library @param {import('./source.cjs').Function_} handler @param {boolean} tokio */
function mainOf(library, handler, tokio) {
  const name = `${library}::${handler.name}`;
  if (!handler.async) return `fn main() {\n    petrel::serve(${name})\n}\n`;
  if (!tokio) return `fn main() {\n    petrel::serve(|request| petrel::block_on(${name}(request)))\n}\n`;
  return `fn main() {\n    let runtime = tokio::runtime::Runtime::new().expect("a runtime");\n    petrel::serve(move |request| runtime.block_on(${name}(request)))\n}\n`;
}

/** Copies what is no source. @param {string} from @param {string} to */
function copyRest(from, to) {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    if (NOT_COPIED.has(entry.name) || SOURCE.test(entry.name)) continue;
    const [file, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyRest(file, target);
    else {
      fs.mkdirSync(to, { recursive: true });
      fs.cpSync(file, target, { verbatimSymlinks: true });
    }
  }
}

/** @typedef {{name: string, kind: string[], src_path: string}} Target */

/** What cargo knows of the package. Fails in cargo's words when a lock file does not match. @param {string} dir @param {string[]} lock */
function metadata(dir, lock) {
  // With a lock file everything is resolved, which is what compares the two; without one only this package is read.
  const text = cargo(dir, ['metadata', '--format-version=1', ...(lock.length > 0 ? lock : ['--no-deps'])]);
  if (text === undefined) process.exit(1);
  const found = JSON.parse(text).packages.find(
    (/** @type {any} */ one) => one.manifest_path === path.join(dir, 'Cargo.toml'),
  );
  if (found === undefined)
    give('Cargo.toml at the top of the source has no package: name the member to build as the entry');
  return /** @type {{targets: Target[], dependencies: {name: string, rename?: string}[], default_run?: string}} */ (
    found
  );
}

/** @param {string} dir */
function lockOf(dir) {
  for (let at = dir; ; at = path.dirname(at)) {
    if (fs.existsSync(path.join(at, 'Cargo.lock'))) return ['--locked'];
    if (at === root) return [];
  }
}

function build() {
  fs.rmSync(root, { recursive: true, force: true });
  fs.cpSync(source, root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (file) => path.basename(file) !== 'target',
  });
  const { dir, file } = locate();
  if (!fs.existsSync(path.join(dir, 'Cargo.toml'))) makePackage(file);
  const manifest = path.join(dir, 'Cargo.toml');
  const lock = lockOf(dir);
  if (!fs.existsSync(path.join(support, 'Cargo.toml')))
    fs.cpSync(path.join(__dirname, 'support'), support, { recursive: true });
  // A function that names the crate expects it beside itself, where `petrel init` has put it.
  if (
    /^petrel\s*=\s*\{\s*path\s*=\s*"petrel"/m.test(fs.readFileSync(manifest, 'utf8')) &&
    !fs.existsSync(path.join(dir, 'petrel'))
  )
    fs.cpSync(support, path.join(dir, 'petrel'), { recursive: true });
  const { targets, dependencies, default_run } = metadata(dir, lock);
  const library = targets.find(({ kind }) => kind.some((one) => /lib/.test(one)));
  const bins = targets.filter(({ kind }) => kind.includes('bin'));
  const read = (/** @type {Target | undefined} */ one) =>
    one === undefined ? { exported: [], main: false } : readSource(fs.readFileSync(one.src_path, 'utf8'));
  const { exported } = read(library);
  const asked = bins.find(({ src_path }) => src_path === file);
  const handler = asked === undefined ? handlerOf(exported, wanted) : undefined;
  const has = (/** @type {string} */ name) => dependencies.some((one) => (one.rename ?? one.name) === name);

  let bin = '';
  if (handler !== undefined && library !== undefined) {
    bin = GENERATED;
    fs.writeFileSync(
      path.join(dir, `${GENERATED}.rs`),
      mainOf(library.name.replaceAll('-', '_'), handler, has('tokio')),
    );
    const crate = has('petrel') ? '' : `\n[dependencies.petrel]\npath = ${quoted(support)}\n`;
    fs.appendFileSync(manifest, `\n${crate}\n[[bin]]\nname = "${GENERATED}"\npath = "${GENERATED}.rs"\n`);
  } else {
    const program =
      asked ?? bins.find(({ name }) => name === default_run) ?? (bins.length === 1 ? bins[0] : undefined);
    if (program === undefined || wanted !== undefined) {
      // What the compiler has to say comes first: a file that it cannot read exports nothing.
      if (
        library !== undefined &&
        cargo(dir, ['check', '--quiet', '--lib', ...lock]) === undefined &&
        exported.length === 0
      )
        process.exit(1);
      const names = exported.map(({ name }) => `${name} (fn)`).join(', ') || 'no function';
      give(
        bins.length > 1
          ? `several binaries (${bins.map(({ name }) => name).join(', ')}): name the file of one as the entry`
          : `HandlerNotFound: the crate has no pub fn ${wanted ?? NAMES.join(', ')} and no binary; it exports ${names}`,
      );
    }
    bin = program.name;
  }
  // What is injected changes the lock file by one line, of the crate without dependencies; it has been compared before.
  const locked = bin === GENERATED ? [] : lock;
  const remap = [root, `${cache}/cargo/registry/src`, cache].map(
    (from) => `--remap-path-prefix=${from}=${from === root ? '.' : '/cargo'}`,
  );
  const flags = ['--config', `build.rustflags=[${remap.toReversed().map(quoted).join(',')}]`];
  if (cargo(dir, ['build', '--release', '--bin', bin, ...locked, ...flags]) === undefined) process.exit(1);
  const into = path.join(output, BUILD);
  fs.mkdirSync(into, { recursive: true });
  fs.copyFileSync(
    path.join(env.CARGO_TARGET_DIR, 'release', bin),
    path.join(into, bin === GENERATED ? 'handler' : 'program'),
  );
  fs.writeFileSync(
    path.join(into, 'about.json'),
    `${JSON.stringify({ language: 'rust', looked: 'the crate has no pub fn handle' })}\n`,
  );
  copyRest(source, output);
}

if (output === '') give('PETREL_OUTPUT is not set: the platform runs this build');
build();
