// @ts-check
'use strict';
/** A package as the modules of a worker: every file of it, types stripped, under the name it has. */

const fs = require('node:fs');
const path = require('node:path');
const { builtinModules, stripTypeScriptTypes } = require('node:module');
const { SpecialiseError, findEntry, insidePackage, readManifest } = require('../../node/lib/entry.cjs');
const { COMPATIBILITY_DATE } = require('./process.cjs');

/** Bytes of a package that are given to an isolate. */
const MAX_BYTES = 32 * 1048576;
/** Files that a wrangler project describes itself with. */
const PROJECT = ['wrangler.json', 'wrangler.jsonc'];
const PLACES = ['worker', 'src/worker', 'src/index'];
const CODE = ['.ts', '.mts', '.js', '.mjs'];
const NAME = 'petrel-main.mjs';
/** A handler hears of a client that goes away. */
const FLAGS = ['enable_request_signal'];
/** Without them an isolate is made in two thirds of the time and of the memory. */
const WITHOUT_NODE = ['no_nodejs_compat', 'no_nodejs_compat_v2'];
/** What code can only see, or sees otherwise, with Node's interfaces, and ways of looking for something by a name that is not written out. */
const OF_NODE =
  /\b(?:process|Buffer|global|globalThis|self|require|setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate|performance)\b|\bnode:|\bimport\s*\(\s*[^\s'"]/;
const SPECIFIER = /\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;
const BUILTIN = new Set(builtinModules);
const MAIN = fs.readFileSync(path.join(__dirname, 'main.mjs'), 'utf8');
const CONSOLE = fs.readFileSync(path.join(__dirname, 'console.mjs'), 'utf8');

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
 * What the worker loader is given. @param {string} root real path
 * @param {{entry?: string, handler?: string, env?: Record<string, unknown>, port?: number, development?: boolean, function?: string}} params
 * @returns {{code: object, entry: string}} @throws {InstanceType<typeof SpecialiseError>}
 */
function codeOf(
  root,
  { entry: wanted, handler, env = {}, port, development = false, function: name = 'function' },
) {
  const project = projectOf(root);
  const entry = entryOf(root, wanted, project.main);
  if (handler && !/^[A-Za-z_$][\w$]*$/.test(handler))
    throw new SpecialiseError('HandlerNotFound', `${JSON.stringify(handler)} is not the name of an export`);
  const main = MAIN.replaceAll('$ENTRY', () => `./${entry}`)
    .replace('$HANDLER', () => handler || 'default')
    .replace('$DEVELOPMENT', String(development));
  /** @type {Record<string, object>} */
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
  modules[NAME] = { js: main };
  modules['petrel-console.mjs'] = { js: CONSOLE.replace('$NAME', () => name.replace(/[^a-z0-9-]/g, '')) };
  return {
    entry,
    code: {
      compatibilityDate: project.compatibility_date ?? COMPATIBILITY_DATE,
      compatibilityFlags: [...flags, ...FLAGS],
      mainModule: NAME,
      modules,
      env: { ...project.vars, ...(port === undefined ? {} : { PORT: String(port) }), ...env },
    },
  };
}

module.exports = { codeOf };
