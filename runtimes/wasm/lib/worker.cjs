// @ts-check
'use strict';
/**
 * A thread that runs one request after the other, each in a new instance of the module. It is ended from outside when a request takes too
 * long. `turn` says that something has come or gone: [0] counts pieces of the body that were sent here, [1] bytes of output that nobody has taken yet.
 */

const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { parentPort, receiveMessageOnPort } = require('node:worker_threads');
const { WASI } = require('node:wasi');
const { wasiOf } = require('./wasi.cjs');

/** Output that may be on its way, bytes. */
const OUTPUT_LIMIT = 131072;

/** Memory of an instance that stands by which is taken from the kernel before the request, bytes. */
const TOUCHED = 4 * 1048576;
/** … in pieces of this size. */
const PAGE = 4096;
/** After an answer the next instance is made this much later: making it takes as long as the way of the answer, milliseconds. */
const NEXT_MS = 2;

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

/**
 * @typedef {object} Loaded
 * @property {string} key the same for the same module
 * @property {string} name
 * @property {{module: WebAssembly.Module, start: string, version: 'preview1' | 'unstable'}} [module] a program for WASI preview 1, and its export that is called
 * @property {import('./component.cjs').Parts} [parts] a component of the world wasi:http/proxy
 * @property {Record<string, string>} preopens
 */
/**
 * @typedef {object} Job
 * @property {Record<string, string>} env @property {boolean} body @property {Int32Array} turn
 * @property {{method: string, target: string, scheme: string, authority: string, headers: string[]}} request
 */

/** @type {Loaded} */
let loaded;

/** @param {Job} job @returns {import('./wasi.cjs').Streams} */
function streamsOf({ body, turn }) {
  /** @type {Uint8Array | null} */
  let piece = new Uint8Array(0);
  if (!body) piece = null;
  const next = () => {
    port.postMessage({ pull: true });
    for (;;) {
      const seen = Atomics.load(turn, 0);
      const received = receiveMessageOnPort(port);
      if (received !== undefined) return received.message.piece;
      Atomics.wait(turn, 0, seen);
    }
  };
  return {
    read(room) {
      while (piece !== null && piece.length === 0) piece = next();
      if (piece === null) return new Uint8Array(0);
      const bytes = piece.subarray(0, room);
      piece = piece.subarray(bytes.length);
      return bytes;
    },
    write(fd, bytes) {
      Atomics.add(turn, 1, bytes.length);
      port.postMessage({ fd, bytes }, [/** @type {ArrayBuffer} */ (bytes.buffer)]);
      for (let left = Atomics.load(turn, 1); left > OUTPUT_LIMIT; left = Atomics.load(turn, 1))
        Atomics.wait(turn, 1, left);
    },
    sleep(ms) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    },
  };
}

/** How what has been loaded is asked. @typedef {{ready: () => void, answer: (job: Job) => number}} Program */

/** Has the kernel give an instance its memory, which otherwise it does page by page under the request. @param {WebAssembly.Instance} instance */
function touch({ exports: { memory } }) {
  if (!(memory instanceof WebAssembly.Memory)) return;
  const bytes = new Uint8Array(memory.buffer, 0, Math.min(memory.buffer.byteLength, TOUCHED));
  for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = /** @type {number} */ (bytes[at]);
}

/** Makes instances of a module, whose imports are those of whichever request each will be for. @param {WebAssembly.Module} module @returns {Program} */
function moduleProgram(module) {
  /** What the module has imported does, for the request that is worked on. @type {Record<string, Function>} */
  let imports = {};
  /** @type {Record<string, Record<string, Function>>} */
  const late = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    late[from] ??= {};
    late[from][name] = (/** @type {number[]} */ ...numbers) =>
      /** @type {Function} */ (imports[name])(...numbers);
  }
  const instantiate = () => new WebAssembly.Instance(module, /** @type {WebAssembly.Imports} */ (late));
  /** An instance that nothing has run in yet. @type {WebAssembly.Instance | undefined} */
  let next;
  return {
    ready() {
      if (next !== undefined) return;
      next = instantiate();
      touch(next);
    },
    answer(job) {
      const instance = next ?? instantiate();
      next = undefined;
      const { name: program, preopens } = loaded;
      const { start, version } = /** @type {NonNullable<Loaded['module']>} */ (loaded.module);
      const wasi = new WASI({ version, args: [program], env: job.env, preopens, returnOnExit: true });
      const memory = () => /** @type {WebAssembly.Memory} */ (instance.exports.memory);
      imports = wasiOf(/** @type {any} */ (wasi.wasiImport), streamsOf(job), memory);
      if (start === '_start') return wasi.start(instance) ?? 0;
      wasi.initialize(instance);
      const result = /** @type {Function} */ (instance.exports[start])();
      return typeof result === 'number' ? result : 0;
    },
  };
}

/** The same of a component: instances of its modules, joined by what it was translated into. @returns {Promise<Program>} */
async function componentProgram() {
  const { name, preopens } = loaded;
  const { dir, modules } = /** @type {import('./component.cjs').Parts} */ (loaded.parts);
  const load = (/** @type {string} */ file) => import(pathToFileURL(path.join(dir, file)).href);
  const host = 'node_modules/@bytecodealliance/preview2-shim/dist';
  const [{ instantiate }, shim, { WASIShim }, { worldOf }] = await Promise.all([
    load('component.js'),
    load(`${host}/nodejs/index.js`),
    load(`${host}/common/instantiation.js`),
    import('../component/world.mjs'),
  ]);
  const { imports, answer } = worldOf({ ...shim, WASIShim }, { name, preopens });
  const make = () => instantiate((/** @type {string} */ name) => modules[name], imports);
  /** @type {unknown} */
  let next;
  return {
    ready() {
      next ??= make();
    },
    answer(job) {
      const instance = next ?? make();
      next = undefined;
      answer(instance, { streams: streamsOf(job), request: job.request, env: job.env });
      return 0;
    },
  };
}

/** @type {Promise<Program> | undefined} */
let program;

/** Does what takes time and needs no request. What cannot be instantiated says so when it is asked. */
async function prepare() {
  try {
    program ??= loaded.module ? Promise.resolve(moduleProgram(loaded.module.module)) : componentProgram();
    (await program).ready();
  } catch {}
}

/** @param {Job} job @returns {Promise<{code: number} | {trap: string, stack: string}>} */
async function run(job) {
  try {
    return { code: (await /** @type {Promise<Program>} */ (program)).answer(job) };
  } catch (error) {
    const { name: kind, message, stack } = /** @type {Error} */ (error);
    return { trap: `${kind}: ${message}`, stack: String(stack).replace(/^.*\n/, '') };
  }
}

/** @type {NodeJS.Timeout | undefined} */
let later;

port.on('message', async (message) => {
  clearTimeout(later);
  if (message.loaded) {
    if (loaded?.key !== message.loaded.key || message.loaded.parts) program = undefined;
    loaded = message.loaded;
    await prepare();
  } else if (message.job) {
    port.postMessage({ end: await run(message.job) });
    later = setTimeout(prepare, NEXT_MS);
  }
});
