// @ts-check
'use strict';
/** The supervisor of the node runtime. Its life is lib/life.cjs; here stands what makes it one of functions in JavaScript and TypeScript. */

const { live } = require('./lib/life.cjs');
const { once } = require('./lib/once.cjs');

const web = once(() => require('./shapes/web.cjs'));
const listening = once(() => require('./lib/listening.cjs'));
const loader = once(() => require('./lib/loader.cjs'));
const codeCache = once(() => require('./lib/code-cache.cjs'));
const typeCache = once(() => require('./lib/type-cache.cjs'));
const moduleCache = once(() => require('./lib/module-cache.cjs'));

/** Time between loading and the first time that compiled code is written, milliseconds: the first burst is over by then. */
const CACHE_DELAY_MS = 500;

/** @type {Parameters<typeof live>[0]} */
const RUNTIME = {
  name: 'node',
  language: process.version,
  warmUp: (idle, call, warm) => require('./warm/warm-up.cjs').warmUp(warm, idle, call),
  async load(params, { loadTimeoutMs, onProgramExit }) {
    if (params.debugPort !== undefined) require('./lib/debugger.cjs').openDebugger(params.debugPort);
    web().install();
    listening().watchListening();
    const loaded = await loader().load({
      code: params.code,
      entry: params.entry,
      handler: params.handler,
      shape: params.shape,
      cache: params.cache,
      port: params.port,
      name: params.function ?? 'function',
      timeoutMs: params.timeoutMs ?? 300_000,
      loadTimeoutMs,
      onProgramExit,
    });
    if (params.cache !== undefined) setTimeout(() => moduleCache().saveModuleCache(), CACHE_DELAY_MS).unref();
    return loaded;
  },
  loadError: (error, { code, entry }) =>
    require('./lib/load-error.cjs').loadError(
      error,
      require('node:fs').realpathSync(code),
      `${code}/${entry ?? ''}`,
    ),
  saveCaches() {
    codeCache().saveCodeCache();
    typeCache().saveTypeCache();
    moduleCache().saveModuleCache();
  },
};

if (require.main === module) live(RUNTIME);

module.exports = { RUNTIME };
