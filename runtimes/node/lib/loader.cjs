// @ts-check
'use strict';
/** From an unpacked package to something that answers requests. */

/** @typedef {InstanceType<typeof import('./exchange.cjs').Exchange>} ExchangeType */

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { SpecialiseError, readManifest, findEntry, formatOf, listing } = require('./entry.cjs');
const { loadCommonJs } = require('./code-cache.cjs');
const { recognise, exportsOf, DECLARED, NAMES } = require('./recognise.cjs');
const { once } = require('./once.cjs');
const { whenListening, listening } = require('./listening.cjs');

/** @typedef {{kind: 'mux' | 'http1-unix'} | {kind: string, host: string, port: number}} Transport */
/**
 * A function that is ready: how it is reached, and what ends it.
 * @typedef {{shape: string, transport: Transport, dispatch?: (exchange: ExchangeType) => void, stop?: (signal: NodeJS.Signals) => Promise<void>,
 *   drain?: (graceMs: number) => Promise<number>, inFlight?: () => Promise<number>}} Loaded where requests do not come through this process, it says what is left of them
 */

const fetchShape = once(() => require('../shapes/fetch.cjs'));
const nodeHttp = once(() => require('../shapes/node-http.cjs'));
const moduleCache = once(() => require('./module-cache.cjs'));
const typeCache = once(() => require('./type-cache.cjs'));

/** What makes a request handler of each shape. @type {Record<string, (found: import('./recognise.cjs').Found, settings: {name: string, timeoutMs: number}) => (exchange: ExchangeType) => void>} */
const SHAPES = {
  fetch: ({ handler, self }) => fetchShape().fetchShape(handler, self),
  http: ({ handler }) => nodeHttp().nodeHttp(handler),
  server: ({ handler }) => nodeHttp().nodeServer(handler),
  knative: ({ handler, self }) => require('../shapes/knative.cjs').knative(handler, self),
  fission: ({ handler }) => {
    const second = require('./recognise.cjs').parametersOf(handler)[1];
    return require('../shapes/fission.cjs').fission(handler, second !== undefined);
  },
  lambda: ({ handler }, settings) => require('../shapes/lambda.cjs').lambda(handler, settings),
};

/** The global that handlers of Lambda stream their answers with; loaded by the first that asks for it. */
function provideLambda() {
  /** @param {unknown} value */
  const set = (value) =>
    Object.defineProperty(globalThis, 'awslambda', { value, writable: true, configurable: true });
  const get = () => require('../shapes/lambda-stream.cjs').awslambda;
  Object.defineProperty(globalThis, 'awslambda', { get, set, configurable: true });
}

/** @template T @param {Promise<T>} promise @param {number} ms @param {string} message @returns {Promise<T>} */
function limited(promise, ms, message) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new SpecialiseError('LoadError', message, { detail: message })),
      ms,
    );
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** @param {string} file @param {string} root @param {string | undefined} cache @returns {Promise<{exports: Map<string, any>, cjs: boolean}>} */
async function loadModule(file, root, cache) {
  const format = formatOf(file, root);
  if (format !== 'other') {
    const own = loadCommonJs(file, cache, format === 'cjs');
    if (own !== undefined) return { exports: exportsOf(own.exports, true), cjs: true };
  }
  if (!/\.[cm]?[jt]s$/.test(file)) {
    throw new SpecialiseError(
      'LoadError',
      `${path.relative(root, file)} is not a JavaScript or TypeScript file`,
      { file: path.relative(root, file) },
    );
  }
  const namespace = await import(pathToFileURL(file).href);
  return { exports: exportsOf(namespace, false), cjs: 'module.exports' in namespace };
}

/** @param {Map<string, any>} exports @param {string | undefined} handler @param {string} file */
function handlerNotFound(exports, handler, file) {
  const found =
    exports.size === 0
      ? 'it exports nothing'
      : `it exports ${[...exports].map(([name, value]) => `${name} (${value === null ? 'null' : typeof value})`).join(', ')}`;
  const others = listening().map(({ address }) => address.port);
  const elsewhere =
    others.length === 0
      ? ''
      : ` It listens on port ${others.join(', ')}; a program must listen on process.env.PORT.`;
  const wanted =
    handler !== undefined && handler !== ''
      ? `${file} has no function named ${handler}: ${found}.`
      : `${file} has no handler: ${found}. Looked for, in this order: ${NAMES.join(', ')}; as a function or an object with fetch or handle, a single exported function, an http.Server or app, or a server that listens on $PORT.`;
  return new SpecialiseError('HandlerNotFound', wanted + elsewhere, { file });
}

/**
 * Loads a package. @param {{code: string, entry?: string, handler?: string, shape?: string, cache?: string, port?: number, workdir?: string,
 *   name: string, timeoutMs: number, loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}} options
 * @returns {Promise<Loaded>} @throws {SpecialiseError} or whatever the user's code threw, to be told with `loadError`
 */
async function load(options) {
  const { code, handler, shape, cache, port, name, timeoutMs, loadTimeoutMs } = options;
  const root = fs.realpathSync(code);
  const manifest = readManifest(root);
  const declaredShape = shape ?? manifest.petrel?.shape;
  const entry = findEntry(root, options.entry, manifest);
  const isDeclared = options.entry !== undefined && options.entry !== '';
  const isProgram =
    declaredShape === 'program' || (entry === undefined && typeof manifest.scripts?.start === 'string');
  if (isProgram) {
    const { commandOf, loadProgram } = require('./program.cjs');
    return loadProgram({
      root,
      cwd: process.cwd(),
      ...commandOf(root, manifest, entry, isDeclared),
      port,
      limitMs: loadTimeoutMs,
      onProgramExit: options.onProgramExit,
    });
  }
  if (entry === undefined) {
    throw new SpecialiseError(
      'EntryNotFound',
      `no file to load: package.json names none and there is no index.ts, index.js, function.ts, handler.ts … ; ${listing(root)}`,
    );
  }
  process.argv = [process.execPath, entry];
  provideLambda();
  const before = activeResources();
  if (process.env.PETREL_STATE_URL !== undefined) require('./own-module.cjs').provide();
  if (cache !== undefined) {
    moduleCache().useModuleCache(cache);
    typeCache().useTypeCache(root, cache);
  }
  const file = path.relative(root, entry);
  const { exports, cjs } = await limited(
    loadModule(entry, root, cache),
    loadTimeoutMs,
    `${file} did not finish loading within ${Math.round(loadTimeoutMs / 1000)} s: an await at its top level never settles`,
  );
  const found = recognise(exports, {
    handler,
    shape: declaredShape === 'handler' ? undefined : declaredShape,
    cjs,
  });
  if (found !== undefined) {
    const init = found.module?.init;
    if (typeof init === 'function' && (found.shape === 'knative' || found.shape === 'server')) {
      await limited(
        Promise.resolve(init.call(found.module)),
        loadTimeoutMs,
        `init() of ${file} did not settle within ${Math.round(loadTimeoutMs / 1000)} s`,
      );
    }
    const dispatch = /** @type {NonNullable<typeof SHAPES[string]>} */ (SHAPES[found.shape])(found, {
      name,
      timeoutMs,
    });
    const { shutdown } = found.module ?? {};
    const stop =
      typeof shutdown === 'function' && found.shape === 'knative'
        ? async () => shutdown.call(found.module)
        : undefined;
    return {
      shape: found.shape === 'server' ? 'http' : found.shape,
      transport: { kind: 'mux' },
      dispatch,
      stop,
    };
  }
  // No handler, but perhaps a program: it listens already, or is about to when what it waits for has come.
  if (port !== undefined && (handler === undefined || handler === '')) {
    const limit = exports.size === 0 ? loadTimeoutMs : Math.min(loadTimeoutMs, 1000);
    const pending = () => somethingGoing(before);
    const transport = await whenListening(port, limit, pending);
    if (transport !== undefined) return { shape: 'program', transport, stop: closeServers };
  }
  throw handlerNotFound(exports, handler, file);
}

/** What keeps the event loop alive: how many of each kind. @returns {Map<string, number>} */
function activeResources() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** Whether user code has something going that may yet lead to a server. @param {Map<string, number>} before as it was before the code was loaded */
function somethingGoing(before) {
  for (const [kind, count] of activeResources()) {
    const own = kind === 'Timeout' ? 1 : 0; // the one that asks
    if (kind !== 'Immediate' && count > (before.get(kind) ?? 0) + own) return true;
  }
  return false;
}

/** A server in this process ends when its open requests have ended. */
async function closeServers() {
  await Promise.all(
    listening().map(
      ({ server }) =>
        new Promise((resolve) => {
          server.close(() => resolve(undefined));
          /** @type {import('node:http').Server} */ (server).closeIdleConnections?.();
        }),
    ),
  );
}

module.exports = { load, loadModule, DECLARED, SHAPES };
