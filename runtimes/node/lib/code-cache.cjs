// @ts-check
'use strict';
/**
 * Running CommonJS from V8's code cache. The cache is taken after the code has run: it then holds the functions that
 * were compiled lazily too, which the module compile cache of Node does not.
 */

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { Module, createRequire } = require('node:module');
const { cacheName } = require('./cache-name.cjs');

/** Sources below this size compile faster than a cache file is read, bytes. */
const WORTH_CACHING = 16384;
const HEAD = '(function (exports, require, module, __filename, __dirname) { ';
const TAIL = '\n})';

/** A script whose cache is still to be written. @type {{script: vm.Script, file: string} | undefined} */
let unsaved;

/** Messages of errors that mean "this is an ES module", not "this is broken". */
const ESM_SYNTAX =
  /Cannot use import statement|Unexpected token 'export'|Cannot use 'import\.meta'|await is only valid|Unexpected reserved word/;

/**
 * Loads a file as CommonJS. @param {string} file absolute @param {string | undefined} cacheDir
 * @param {boolean} certain false: an ES module's syntax is no error, the answer is undefined
 * @returns {{exports: any} | undefined} @throws what the code throws
 */
function loadCommonJs(file, cacheDir, certain) {
  let source = fs.readFileSync(file, 'utf8');
  if (source.charCodeAt(0) === 0xfeff) source = source.slice(1);
  if (source.startsWith('#!')) source = `//${source.slice(2)}`;
  const cacheFile =
    cacheDir !== undefined && source.length >= WORTH_CACHING
      ? path.join(cacheDir, cacheName(file, 'v8'))
      : undefined;
  /** @type {Buffer | undefined} */
  let cachedData;
  if (cacheFile !== undefined) {
    try {
      cachedData = fs.readFileSync(cacheFile);
    } catch {}
  }
  /** @type {vm.Script} */
  let script;
  try {
    script = new vm.Script(HEAD + source + TAIL, {
      filename: file,
      columnOffset: -HEAD.length,
      cachedData,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
  } catch (error) {
    if (!certain && error instanceof SyntaxError && ESM_SYNTAX.test(error.message)) return undefined;
    throw error;
  }
  if (cacheFile !== undefined && (cachedData === undefined || script.cachedDataRejected))
    unsaved = { script, file: cacheFile };
  const own = new Module(file, /** @type {any} */ (module));
  own.filename = file;
  const require = createRequire(file);
  own.require = /** @type {any} */ (require);
  // In the cache while it runs: what it requires may require it.
  require.cache[file] = own;
  const wrapper = script.runInThisContext();
  try {
    wrapper.call(own.exports, own.exports, require, own, file, path.dirname(file));
  } catch (error) {
    delete require.cache[file];
    throw error;
  }
  own.loaded = true;
  return own;
}

/** Writes the cache of what has been loaded, whole or not at all. Does nothing the second time. */
function saveCodeCache() {
  if (unsaved === undefined) return;
  const { script, file } = unsaved;
  unsaved = undefined;
  const temporary = `${file}.${process.pid}`;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(temporary, script.createCachedData());
    fs.renameSync(temporary, file);
  } catch {
    // A full disk or a read-only cache costs the next start some milliseconds, nothing else.
    fs.rmSync(temporary, { force: true });
  }
}

module.exports = { loadCommonJs, saveCodeCache };
