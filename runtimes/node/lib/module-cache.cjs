// @ts-check
'use strict';
/**
 * Node's cache of compiled modules, in the package's cache. That may become writable only after the code has been loaded: what is
 * compiled until then is kept aside.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const nodeModule = require('node:module');

/** Where the cache is to be in the end, and where it is until then. @type {{final: string, aside: string} | undefined} */
let pending;

/** Serves modules from the cache from now on. @param {string} cache directory of the package's cache */
function useModuleCache(cache) {
  const final = path.join(cache, 'modules');
  if (fs.existsSync(final)) {
    nodeModule.enableCompileCache(final);
    return;
  }
  const aside = path.join(os.tmpdir(), `.petrel-modules-${process.pid}`);
  if (nodeModule.enableCompileCache(aside).status === nodeModule.constants.compileCacheStatus.ENABLED)
    pending = { final, aside };
}

/** Writes what has been compiled. */
function saveModuleCache() {
  nodeModule.flushCompileCache();
  if (pending === undefined) return;
  const { final, aside } = pending;
  const temporary = `${final}.${process.pid}`;
  try {
    // Whole or not at all: the directory itself says that the cache is there.
    fs.cpSync(aside, temporary, { recursive: true });
    fs.renameSync(temporary, final);
    pending = undefined;
    fs.rmSync(aside, { recursive: true, force: true });
  } catch {
    // Not writable (yet), or another instance was first: the next start has one, or does without.
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

module.exports = { useModuleCache, saveModuleCache };
