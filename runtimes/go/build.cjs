// @ts-check
'use strict';
/** Builds a function in Go: one binary, and the files that its code may read at run time. What it is given and owes: ../BUILDS.md. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { bringDelve } = require('./delve.cjs');
const { handlerOf, NAMES, readSource } = require('./source.cjs');

/** Directory of the package in which the launcher looks (../launch/README.md). */
const BUILD = 'petrel-build';
/** Directory of what is generated, inside the function's module. */
const GENERATED = 'petrel_generated';
/** Module of source that has no go.mod. */
const MODULE = 'function';
/** What a package needs no more once it is built. */
const SOURCE = /(\.go|^go\.(mod|sum|work|work\.sum))$/;
const NOT_COPIED = new Set(['.git', 'vendor', GENERATED, BUILD]);

const root = process.cwd();
const output = process.env.PETREL_OUTPUT ?? '';
const cache = process.env.PETREL_CACHE ?? '';
const debug = process.env.PETREL_DEBUG === '1';
const wanted = process.env.PETREL_HANDLER || undefined;

/** @param {string} message what the user reads @returns {never} */
function give(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const env = { ...process.env };
if (cache !== '') {
  env.GOCACHE = path.join(cache, 'build');
  env.GOMODCACHE = path.join(cache, 'modules');
  // Modules are read-only by default, and a cache must be possible to empty.
  env.GOFLAGS = `${env.GOFLAGS ?? ''} -modcacherw`.trim();
}
env.GOTELEMETRY = 'off';

/** Runs go with its own words on the log; undefined when it failed. @param {string} cwd @param {string[]} args @param {boolean} [quiet] */
function go(cwd, args, quiet = false) {
  const run = spawnSync('go', args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', quiet ? 'pipe' : 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (run.error !== undefined) {
    give(
      /** @type {NodeJS.ErrnoException} */ (run.error).code === 'ENOENT'
        ? 'go was not found: install Go 1.22 or later (https://go.dev/dl, apt install golang-go)'
        : `go cannot be run: ${run.error.message}`,
    );
  }
  return run.status === 0 ? run.stdout : undefined;
}

/** @param {string} dir */
const goFiles = (dir) =>
  fs.existsSync(dir)
    ? fs.readdirSync(dir).filter((name) => name.endsWith('.go') && !name.endsWith('_test.go'))
    : [];

/** The directory of the package that is built: of the entry, the source itself, or the only command in `cmd`. */
function packageDir() {
  const entry = process.env.PETREL_ENTRY;
  if (entry) {
    const asked = path.resolve(root, entry);
    if (asked !== root && !asked.startsWith(`${root}/`))
      give(`the entry ${entry} lies outside of the source`);
    if (!fs.existsSync(asked)) give(`the source has no ${entry}; it has: ${fs.readdirSync(root).join(', ')}`);
    return fs.statSync(asked).isDirectory() ? asked : path.dirname(asked);
  }
  if (goFiles(root).length > 0) return root;
  const commands = fs.existsSync(path.join(root, 'cmd'))
    ? fs
        .readdirSync(path.join(root, 'cmd'))
        .filter((name) => goFiles(path.join(root, 'cmd', name)).length > 0)
    : [];
  if (commands.length === 1) return path.join(root, 'cmd', String(commands[0]));
  return give(
    commands.length === 0
      ? `no Go file at the top of the source and none in cmd/; name the package's directory as the entry. It has: ${fs.readdirSync(root).join(', ')}`
      : `several commands (${commands.map((name) => `cmd/${name}`).join(', ')}): name one as the entry`,
  );
}

/** The nearest directory with a go.mod, from the package up to the source. One is made when there is none. @param {string} dir */
function moduleDir(dir) {
  for (let at = dir; ; at = path.dirname(at)) {
    if (fs.existsSync(path.join(at, 'go.mod'))) return at;
    if (at === root) break;
  }
  const version = /go(\d+\.\d+)/.exec(go(root, ['env', 'GOVERSION']) ?? '')?.[1] ?? '1.22';
  fs.writeFileSync(path.join(root, 'go.mod'), `module ${MODULE}\n\ngo ${version}\n`);
  return root;
}

/** How strictly go.mod and go.sum are taken. @param {string} dir of the module */
function modFlag(dir) {
  if (fs.existsSync(path.join(dir, 'vendor/modules.txt'))) return '-mod=vendor';
  return fs.existsSync(path.join(dir, 'go.sum')) ? '-mod=readonly' : '-mod=mod';
}

/**
 * Writes the main package that serves the handler; returns the directory to build.
 * @param {string} module its directory @param {string} name its path @param {string} dir the function's package
 * @param {boolean} isMain whether that is package main @param {import('./source.cjs').Declaration} handler
 */
function generate(module, name, dir, isMain, handler) {
  const support = path.join(module, GENERATED, 'petrel');
  fs.cpSync(path.join(__dirname, 'support'), support, {
    recursive: true,
    filter: (file) => !file.endsWith('go.mod'),
  });
  const importPath = [name, path.relative(module, dir)].filter((part) => part !== '').join('/');
  const qualified = isMain ? handler.name : `function.${handler.name}`;
  const value = handler.kind === 'type' ? `new(${qualified})` : qualified;
  const imports = [`petrel "${name}/${GENERATED}/petrel"`, ...(isMain ? [] : [`function "${importPath}"`])];
  const text = `package main\n\nimport (\n${imports.map((line) => `\t${line}\n`).join('')})\n\nfunc main() { petrel.Main("${handler.name}", ${value}) }\n`;
  const target = isMain ? dir : path.join(module, GENERATED);
  fs.writeFileSync(path.join(target, isMain ? `${GENERATED}_main.go` : 'main.go'), text);
  return target;
}

/** Copies what is no Go source. @param {string} from @param {string} to */
function copyRest(from, to) {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    if (NOT_COPIED.has(entry.name) || SOURCE.test(entry.name)) continue;
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyRest(source, target);
    else {
      fs.mkdirSync(to, { recursive: true });
      fs.cpSync(source, target, { verbatimSymlinks: true });
    }
  }
}

/** What the support package needs. */
function checkVersion() {
  const found = /go1\.(\d+)/.exec(go(root, ['env', 'GOVERSION']) ?? '');
  if (found !== null && Number(found[1]) < 22)
    give(`go ${found[0].slice(2)} is too old: install Go 1.22 or later (https://go.dev/dl)`);
}

function build() {
  checkVersion();
  const dir = packageDir();
  const module = moduleDir(dir);
  const mod = modFlag(module);
  const found = go(module, [
    'list',
    '-e',
    mod,
    '-json=Name,GoFiles,CgoFiles,Module',
    `./${path.relative(module, dir)}`,
  ]);
  if (found === undefined) process.exit(1);
  const { Name, GoFiles = [], CgoFiles = [], Module } = JSON.parse(found);
  const name = Module?.Path ?? MODULE;
  const sources = [...GoFiles, ...CgoFiles].map((file) => readSource(path.join(dir, file)));
  const isMain = Name === 'main';
  const main = sources.find((source) => source.main !== undefined);
  const handler = handlerOf(sources, wanted);
  // A package with a main of its own is a program, unless that does nothing or a handler is asked for by its name.
  const program = isMain && main?.main !== undefined && !main.main.empty && wanted === undefined;
  let target = dir;
  if (!program && sources.length > 0) {
    if (handler === undefined) {
      // What the compiler has to say comes first: a file that it cannot read exports nothing.
      if (go(module, ['build', mod, '-o', os.devNull, `./${path.relative(module, dir)}`]) === undefined)
        process.exit(1);
      const exported = sources.flatMap((source) => source.exported).map((one) => `${one.name} (${one.kind})`);
      give(
        `HandlerNotFound: package ${Name} has no ${wanted ?? `${NAMES.join(', ')} and no single func(http.ResponseWriter, *http.Request)`}; it exports ${exported.join(', ') || 'nothing'}`,
      );
    }
    if (isMain && main?.main !== undefined) {
      // One main is enough; the name has as many letters, so that columns stay.
      const text = fs.readFileSync(main.file, 'utf8');
      fs.writeFileSync(main.file, `${text.slice(0, main.main.at)}niam${text.slice(main.main.at + 4)}`);
    }
    target = generate(module, name, dir, isMain, handler);
  }
  const into = path.join(output, BUILD);
  fs.mkdirSync(into, { recursive: true });
  // Without these tags every binary that knows net/http is linked with C's resolver, which it waits for at each start.
  const tags = [
    'netgo',
    'osusergo',
    ...(/-tags[= ](\S+)/.exec(process.env.GOFLAGS ?? '')?.[1]?.split(',') ?? []),
  ];
  const kind = program ? 'program' : 'handler';
  const args = [
    'build',
    mod,
    '-trimpath',
    '-buildvcs=false',
    `-tags=${tags.join(',')}`,
    // A debugger needs the symbols, and the lines and variables of the function's own code as they were written.
    ...(debug ? ['-gcflags=./...=-N -l'] : ['-ldflags=-s -w']),
    '-o',
    path.join(into, kind),
  ];
  if (go(module, [...args, `./${path.relative(module, target)}`]) === undefined) process.exit(1);
  fs.writeFileSync(
    path.join(into, 'about.json'),
    `${JSON.stringify({ language: 'go', module: name, looked: `package main has a main of its own` })}\n`,
  );
  if (debug) bringDelve(path.join(into, 'dlv'), env, cache, give);
  copyRest(root, output);
}

if (output === '') give('PETREL_OUTPUT is not set: the platform runs this build');
build();
