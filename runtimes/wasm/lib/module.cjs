// @ts-check
'use strict';
/** A `.wasm` file: which one, what it is, and what of it is called. */

const fs = require('node:fs');
const path = require('node:path');
const { SpecialiseError, insidePackage, listing } = require('../../node/lib/entry.cjs');

/** Names tried, in order, when the call names no file. */
const STEMS = ['main', 'handler', 'function', 'index', 'app'];
/** The module that preview 1 is imported from, and that of its forerunner. @type {Record<string, 'preview1' | 'unstable'>} */
const WASI_MODULES = { wasi_snapshot_preview1: 'preview1', wasi_unstable: 'unstable' };
/** @type {Record<string, string>} */
const MODES = {
  stdio: 'the body on standard input, standard output is the answer (the default)',
  cgi: 'as stdio, with header lines before the answer',
};

/** @param {string} root @param {string | undefined} entry @returns {string} absolute @throws {InstanceType<typeof SpecialiseError>} EntryNotFound */
function findModule(root, entry) {
  const isFile = (/** @type {string} */ file) =>
    fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
  if (entry) {
    const file = insidePackage(root, entry);
    if (isFile(file)) return file;
    throw new SpecialiseError('EntryNotFound', `there is no file ${entry} in the package; ${listing(root)}`, {
      file: entry,
    });
  }
  for (const stem of STEMS) {
    const file = path.join(root, `${stem}.wasm`);
    if (isFile(file)) return file;
  }
  const modules = fs.readdirSync(root).filter((name) => name.endsWith('.wasm'));
  if (modules.length === 1) return path.join(root, /** @type {string} */ (modules[0]));
  throw new SpecialiseError(
    'EntryNotFound',
    `which module is to be run is not clear: name it as the entry; ${listing(root)}`,
  );
}

/** @param {string} name @param {Buffer} bytes @returns {Promise<WebAssembly.Module>} @throws {InstanceType<typeof SpecialiseError>} LoadError in the engine's words */
async function compile(name, bytes) {
  try {
    return await WebAssembly.compile(/** @type {any} */ (bytes));
  } catch (error) {
    const { name: kind, message } = /** @type {Error} */ (error);
    const words = `${kind}: ${message}`;
    throw new SpecialiseError('LoadError', words, { file: name, detail: `${name}: ${words}` });
  }
}

/** Bytes of modules whose compiled code is kept while no function needs it; the code is a few times as large. */
const KEPT_BYTES = 48 * 1048576;

/** @typedef {{key: string, module: WebAssembly.Module, size: number}} Compiled */

/** In the order of their last use. @type {Map<string, Compiled>} */
const compiled = new Map();

/**
 * A module, with what V8 has compiled of it since this process saw the file first: compiling the functions that a large module starts
 * with takes many times as long as running them.
 * @param {string} name @param {string} file @returns {Promise<Compiled>} @throws {InstanceType<typeof SpecialiseError>} LoadError
 */
async function compiledFrom(name, file) {
  // Packages do not change, and who writes a file cannot choose the time of its last change.
  const { dev, ino, size, ctimeNs } = fs.statSync(file, { bigint: true });
  const key = [dev, ino, size, ctimeNs].join(':');
  let known = compiled.get(key);
  if (known === undefined) {
    const bytes = fs.readFileSync(file);
    known = { key, module: await compile(name, bytes), size: bytes.length };
  }
  compiled.delete(key);
  compiled.set(key, known);
  let bytes = 0;
  for (const one of [...compiled.values()].reverse()) {
    bytes += one.size;
    if (bytes > KEPT_BYTES) compiled.delete(one.key);
  }
  return known;
}

/** @param {string} name @param {WebAssembly.Module} module @returns {'preview1' | 'unstable'} @throws {InstanceType<typeof SpecialiseError>} LoadError when it needs what is not there */
function versionOf(name, module) {
  const missing = [];
  /** @type {'preview1' | 'unstable'} */
  let version = 'preview1';
  for (const { module: from, name: what, kind } of WebAssembly.Module.imports(module)) {
    const known = Object.hasOwn(WASI_MODULES, from) ? WASI_MODULES[from] : undefined;
    if (known === undefined || kind !== 'function') missing.push(`${from}.${what} (${kind})`);
    else version = known;
  }
  if (missing.length === 0) return version;
  const list =
    missing.slice(0, 10).join(', ') + (missing.length > 10 ? ` and ${missing.length - 10} more` : '');
  throw new SpecialiseError('LoadError', `${name} imports what is not part of WASI preview 1: ${list}`, {
    file: name,
    detail: `${name} imports ${list}.\nCompile it for the target wasm32-wasip1 (Go: GOOS=wasip1 GOARCH=wasm), without bindings to a browser.`,
  });
}

/**
 * What is called, and how the answer is read. @param {string} name @param {WebAssembly.Module} module @param {string | undefined} handler
 * @returns {{start: string, mode: 'stdio' | 'cgi'}} @throws {InstanceType<typeof SpecialiseError>} HandlerNotFound
 */
function entryOf(name, module, handler) {
  const exports = WebAssembly.Module.exports(module);
  const isFunction = (/** @type {string} */ wanted) =>
    exports.some((one) => one.name === wanted && one.kind === 'function');
  if (!exports.some((one) => one.name === 'memory' && one.kind === 'memory'))
    throw new SpecialiseError(
      'HandlerNotFound',
      `${name} exports no memory, which WASI needs; it exports ${exportsOf(exports)}`,
    );
  const mode = handler && Object.hasOwn(MODES, handler) ? handler : undefined;
  if (handler && mode === undefined) {
    if (isFunction(handler) && handler !== '_start') return { start: handler, mode: 'stdio' };
    const modes = Object.entries(MODES).map(([one, what]) => `${one} (${what})`);
    throw new SpecialiseError(
      'HandlerNotFound',
      `${name} has no export "${handler}", and there is no such mode; modes are ${modes.join(', ')}; it exports ${exportsOf(exports)}`,
    );
  }
  if (!isFunction('_start'))
    throw new SpecialiseError(
      'HandlerNotFound',
      `${name} exports no function _start, which programs for WASI have; it exports ${exportsOf(exports)}`,
    );
  return { start: '_start', mode: mode === 'cgi' ? 'cgi' : 'stdio' };
}

/** @param {WebAssembly.ModuleExportDescriptor[]} exports */
function exportsOf(exports) {
  const names = exports.map(({ name, kind }) => `${name} (${kind})`);
  return names.length === 0 ? 'nothing' : names.slice(0, 20).join(', ');
}

module.exports = { findModule, compile, compiledFrom, versionOf, entryOf };
