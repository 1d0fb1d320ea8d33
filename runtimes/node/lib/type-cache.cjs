// @ts-check
'use strict';
/**
 * TypeScript modules from a cache of what is left when their types are stripped. Node's stripper takes 35 ms and 11 MB at its
 * first use in a process; with this, only the first instance of a package pays them. What is kept keeps line and column.
 */

const fs = require('node:fs');
const path = require('node:path');
const nodeModule = require('node:module');
const { fileURLToPath } = require('node:url');
const { cacheName } = require('./cache-name.cjs');

/** Module code, as opposed to CommonJS, which is left to Node. */
const MODULE_SYNTAX = /^\s*(?:import|export)\b/m;

/** What is still to be written: file of the cache → JavaScript. @type {Map<string, string>} */
const unsaved = new Map();

/** @param {string} file @param {string} cacheFile @returns {string | undefined} undefined: Node's own way is right, or tells best what is wrong */
function stripped(file, cacheFile) {
  try {
    return fs.readFileSync(cacheFile, 'utf8');
  } catch {}
  const { emitWarning } = process;
  try {
    // Nothing of the user's: that the interface may change is our concern, the Node version is pinned.
    process.emitWarning = () => {};
    const source = nodeModule.stripTypeScriptTypes(fs.readFileSync(file, 'utf8'));
    if (!MODULE_SYNTAX.test(source)) return undefined;
    unsaved.set(cacheFile, source);
    return source;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Where modules are served from the cache, and the cache; undefined: nowhere. @type {{inside: string, cacheDir: string} | undefined} */
let served;
let hooked = false;

/** Serves no module from the cache any more. */
function stopTypeCache() {
  served = undefined;
  unsaved.clear();
}

/** Serves the TypeScript modules below `root` from the cache from now on. @param {string} root @param {string} cacheDir */
function useTypeCache(root, cacheDir) {
  served = { inside: path.join(root, path.sep), cacheDir };
  if (hooked) return;
  hooked = true;
  nodeModule.registerHooks({
    load(url, context, nextLoad) {
      if (served === undefined) return nextLoad(url, context);
      const { inside, cacheDir } = served;
      const plain =
        context.format === 'module-typescript' || context.format === undefined || context.format === null;
      if (!plain || !/\.m?ts$/.test(url) || !url.startsWith('file:')) return nextLoad(url, context);
      const file = fileURLToPath(url);
      if (!file.startsWith(inside) || file.includes(`${path.sep}node_modules${path.sep}`))
        return nextLoad(url, context);
      const source = stripped(file, path.join(cacheDir, cacheName(file, 'js')));
      return source === undefined ? nextLoad(url, context) : { format: 'module', source, shortCircuit: true };
    },
  });
}

/** Writes what was stripped, each file whole or not at all. */
function saveTypeCache() {
  for (const [file, source] of unsaved) {
    const temporary = `${file}.${process.pid}`;
    try {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(temporary, source);
      fs.renameSync(temporary, file);
    } catch {
      // A full disk or a read-only cache costs the next start some milliseconds, nothing else.
      fs.rmSync(temporary, { force: true });
    }
  }
  unsaved.clear();
}

module.exports = { useTypeCache, stopTypeCache, saveTypeCache };
