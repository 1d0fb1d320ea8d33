// @ts-check
'use strict';
/** Which file of a package is loaded, and as what. */

const fs = require('node:fs');
const path = require('node:path');

/** An error of the `specialise` call, as PROTOCOL.md lists them. */
class SpecialiseError extends Error {
  /** @param {string} code @param {string} message @param {{file?: string, line?: number, column?: number, detail?: string}} [where] */
  constructor(code, message, where = {}) {
    super(message);
    this.code = code;
    this.where = where;
  }
  toJSON() {
    return { code: this.code, message: this.message, ...this.where };
  }
}

const EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];
/** Names tried, in order, when neither the call nor package.json names a file. */
const STEMS = ['index', 'function', 'handler', 'main', 'app', 'server'];

/** @param {string} dir @returns {any} package.json, `{}` when there is none @throws {SpecialiseError} */
function readManifest(dir) {
  let text;
  try {
    text = fs.readFileSync(path.join(dir, 'package.json'), 'utf8');
  } catch {
    return {};
  }
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new SpecialiseError('LoadError', `package.json is not valid JSON: ${message}`, {
      file: 'package.json',
      detail: message,
    });
  }
}

/** @param {string} file */
function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

/** @param {string} dir @returns {string} names of what is there, for a message */
function listing(dir) {
  const names = fs.readdirSync(dir).filter((name) => name !== 'node_modules');
  const shown = names.slice(0, 20).join(', ');
  return names.length === 0
    ? 'the package is empty'
    : `the package has: ${shown}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`;
}

/** @param {string} root @param {string} name relative @returns {string} absolute @throws {SpecialiseError} EntryNotFound when it leaves the package */
function insidePackage(root, name) {
  const file = path.resolve(root, name);
  if (file !== root && !file.startsWith(root + path.sep)) {
    throw new SpecialiseError('EntryNotFound', `the entry ${name} is outside the package`);
  }
  return file;
}

/** @param {string} root @param {string} name relative @returns {string | undefined} absolute, with the extension it lacked */
function tryFile(root, name) {
  const file = insidePackage(root, name);
  if (isFile(file)) return file;
  for (const extension of EXTENSIONS) if (isFile(file + extension)) return file + extension;
  for (const extension of EXTENSIONS)
    if (isFile(path.join(file, `index${extension}`))) return path.join(file, `index${extension}`);
  return undefined;
}

/** The file that package.json's `exports` means by ".". @param {any} exports @returns {string | undefined} */
function mainOfExports(exports) {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return undefined;
  const root = Array.isArray(exports) ? exports[0] : (exports['.'] ?? exports);
  if (typeof root === 'string') return root;
  for (const condition of ['node', 'import', 'require', 'default']) {
    const found = mainOfExports(root?.[condition]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param {string} root real path of the package @param {string | undefined} entry as declared @param {any} manifest
 * @returns {string | undefined} absolute path; undefined when nothing is declared and no known name is there
 * @throws {SpecialiseError} EntryNotFound
 */
function findEntry(root, entry, manifest) {
  if (entry !== undefined && entry !== '') {
    const file = tryFile(root, entry);
    if (file === undefined)
      throw new SpecialiseError(
        'EntryNotFound',
        `there is no file ${entry} in the package; ${listing(root)}`,
        { file: entry },
      );
    return file;
  }
  const declared =
    manifest.main ??
    mainOfExports(manifest.exports) ??
    (typeof manifest.module === 'string' ? manifest.module : undefined);
  if (typeof declared === 'string') {
    const file = tryFile(root, declared);
    if (file === undefined) {
      throw new SpecialiseError(
        'EntryNotFound',
        `package.json names ${declared} as its main file, which is not in the package; ${listing(root)}`,
        { file: declared },
      );
    }
    return file;
  }
  for (const stem of STEMS)
    for (const extension of EXTENSIONS)
      if (isFile(path.join(root, stem + extension))) return path.join(root, stem + extension);
  const only = fs
    .readdirSync(root)
    .filter((name) => EXTENSIONS.includes(path.extname(name)) && !name.endsWith('.d.ts'));
  return only.length === 1 ? path.join(root, /** @type {string} */ (only[0])) : undefined;
}

/**
 * How a file is loaded: `cjs` for sure, `maybe` when only its syntax can tell, `other` for ES modules and TypeScript.
 * @param {string} file @param {string} root @returns {'cjs' | 'maybe' | 'other'}
 */
function formatOf(file, root) {
  const extension = path.extname(file);
  if (extension === '.cjs') return 'cjs';
  if (extension !== '.js') return 'other';
  for (let dir = path.dirname(file); dir.startsWith(root); dir = path.dirname(dir)) {
    if (isFile(path.join(dir, 'package.json'))) {
      const { type } = readManifest(dir);
      return type === 'module' ? 'other' : type === 'commonjs' ? 'cjs' : 'maybe';
    }
    if (dir === root) break;
  }
  return 'maybe';
}

module.exports = { SpecialiseError, readManifest, findEntry, insidePackage, formatOf, listing, STEMS };
