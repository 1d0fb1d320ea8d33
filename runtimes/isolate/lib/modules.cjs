// @ts-check
'use strict';
/** A package as the modules of a worker: every file of it, types stripped, under the name it has; kept, since it never changes. */

const fs = require('node:fs');
const path = require('node:path');
const { builtinModules, stripTypeScriptTypes } = require('node:module');
const { SpecialiseError, findEntry, insidePackage, readManifest } = require('../../node/lib/entry.cjs');
const { COMPATIBILITY_DATE, WITHOUT_NODE, isPlain } = require('./code.cjs');
const { lateOf } = require('./late.cjs');

/** Bytes of a package that are given to an isolate. */
const MAX_BYTES = 32 * 1048576;
/** Characters of packages that are kept while no function needs them. */
const KEPT = 8 * 1048576;
/** Files that a wrangler project describes itself with. */
const PROJECT = ['wrangler.json', 'wrangler.jsonc'];
const PLACES = ['worker', 'src/worker', 'src/index'];
const CODE = ['.ts', '.mts', '.js', '.mjs'];
/** What code can only see, or sees otherwise, with Node's interfaces, and ways of looking for something by a name that is not written out. */
const OF_NODE =
  /\b(?:process|Buffer|global|globalThis|self|require|setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate|performance)\b|\bnode:|\bimport\s*\(\s*[^\s'"]/;
const SPECIFIER = /\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;
const BUILTIN = new Set(builtinModules);

/** @param {string} root @returns {{main?: string, compatibility_date?: string, compatibility_flags?: string[], vars?: Record<string, unknown>}} */
function projectOf(root) {
  for (const name of PROJECT) {
    const file = path.join(root, name);
    if (!fs.existsSync(file)) continue;
    const text = fs.readFileSync(file, 'utf8');
    try {
      // Comments and commas before a bracket, as JSONC has them; strings are left alone.
      const json = text
        .replace(/("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (_, string) => string ?? '')
        .replace(/("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])/g, (_, string) => string ?? '');
      return JSON.parse(json);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      throw new SpecialiseError('LoadError', `${name} is not valid JSON: ${message}`, {
        file: name,
        detail: message,
      });
    }
  }
  return {};
}

/** @param {string} root @param {string | undefined} entry @param {string | undefined} main @returns {string} relative, with slashes */
function entryOf(root, entry, main) {
  const named = entry || main;
  if (!named) {
    for (const place of PLACES)
      for (const extension of CODE)
        if (fs.existsSync(path.join(root, place + extension))) return place + extension;
  } else insidePackage(root, named);
  const file = findEntry(root, named, readManifest(root));
  if (file === undefined)
    throw new SpecialiseError(
      'EntryNotFound',
      'which file is the worker is not clear: name it as the entry, or call it worker.js',
    );
  return path.relative(root, file);
}

/** @param {string} file @param {string} name @returns {object} as the worker loader has it */
function moduleOf(file, name) {
  const extension = path.extname(name);
  const text = () => fs.readFileSync(file, 'utf8');
  switch (extension) {
    case '.ts':
    case '.mts':
      try {
        return { js: stripTypeScriptTypes(text()) };
      } catch (error) {
        const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
        throw new SpecialiseError('LoadError', `SyntaxError: ${message}`, {
          file: name,
          detail: `${name}: ${code}: ${message}`,
        });
      }
    case '.js':
    case '.mjs':
      return { js: text() };
    case '.cjs':
      return { cjs: text() };
    case '.json':
      return { text: text(), json: true };
    case '.txt':
    case '.html':
    case '.css':
    case '.md':
    case '.svg':
      return { text: text() };
    case '.wasm':
      return { wasm: fs.readFileSync(file).toString('base64') };
    default:
      return { data: fs.readFileSync(file).toString('base64') };
  }
}

/** Whether a package may see the difference that Node's interfaces make. @param {Record<string, any>} modules of the package */
function usesNode(modules) {
  return Object.values(modules).some(({ js, cjs }) => {
    if (js === undefined) return cjs !== undefined;
    if (OF_NODE.test(js)) return true;
    return [...js.matchAll(SPECIFIER)].some(([, name]) => BUILTIN.has(name));
  });
}

/**
 * @typedef {object} Package
 * @property {string} entry @property {string} date @property {string[]} flags @property {Record<string, unknown>} vars
 * @property {string} modules JSON
 * @property {string | undefined} late its one module as a script, where it can be given to an isolate that stands ready
 * @property {boolean} proven it has been loaded as the modules that it is
 */

/** @param {string} root real path @param {string} entry @param {ReturnType<typeof projectOf>} project @returns {Package} */
function readPackage(root, entry, project) {
  /** @type {Record<string, any>} */
  const modules = {};
  let size = 0;
  for (const name of fs.readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (/(^|\/)(node_modules|\.[^/]*)(\/|$)/.test(name) || /\.d\.m?ts$/.test(name)) continue;
    const file = path.join(root, name);
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (!stats?.isFile()) continue;
    size += stats.size;
    if (size > MAX_BYTES)
      throw new SpecialiseError(
        'LoadError',
        `the package is larger than ${MAX_BYTES >> 20} MiB, which is what an isolate is given`,
      );
    // Files that nothing imports need not be what they seem.
    modules[name] = moduleOf(file, name);
  }
  const asked = project.compatibility_flags ?? ['nodejs_compat'];
  const flags = usesNode(modules)
    ? asked
    : [...asked.filter((flag) => !/^(no_)?nodejs_compat(_v2)?$/.test(flag)), ...WITHOUT_NODE];
  const date = project.compatibility_date ?? COMPATIBILITY_DATE;
  const source = modules[entry]?.js;
  return {
    entry,
    date,
    flags,
    vars: project.vars ?? {},
    modules: JSON.stringify(modules),
    late: source !== undefined && isPlain(date, flags) ? lateOf(source) : undefined,
    proven: false,
  };
}

/** In the order of their last use. @type {Map<string, Package>} */
const kept = new Map();

/** @param {string} key @param {Package} pack */
function keep(key, pack) {
  kept.delete(key);
  kept.set(key, pack);
  let size = 0;
  for (const [one, { modules, late }] of [...kept].reverse()) {
    size += modules.length + (late?.length ?? 0);
    if (size > KEPT) kept.delete(one);
  }
  return pack;
}

/**
 * @param {string} root real path @param {{entry?: string, handler?: string}} params
 * @returns {Package} @throws {InstanceType<typeof SpecialiseError>}
 */
function packageOf(root, { entry: wanted, handler }) {
  if (handler && !/^[A-Za-z_$][\w$]*$/.test(handler))
    throw new SpecialiseError('HandlerNotFound', `${JSON.stringify(handler)} is not the name of an export`);
  // Who writes a directory cannot choose the time of its last change.
  const { dev, ino, ctimeNs } = fs.statSync(root, { bigint: true });
  const key = [dev, ino, ctimeNs, handler, wanted].join(':');
  const known = kept.get(key);
  if (known !== undefined) return keep(key, known);
  const project = projectOf(root);
  return keep(key, readPackage(root, entryOf(root, wanted, project.main), project));
}

module.exports = { packageOf };
