// @ts-check
'use strict';
/**
 * A thread that runs one request after the other, each in a new instance of the module. It is ended from outside when a request takes too
 * long. `turn` says that something has come or gone: [0] counts pieces of the body that were sent here, [1] bytes of output that nobody has taken yet.
 */

const { parentPort, receiveMessageOnPort } = require('node:worker_threads');
const { WASI } = require('node:wasi');
const { wasiOf } = require('./wasi.cjs');

/** Output that may be on its way, bytes. */
const OUTPUT_LIMIT = 131072;

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

/**
 * @typedef {object} Loaded
 * @property {string} key the same for the same module
 * @property {WebAssembly.Module} module @property {string} name
 * @property {string} start export that is called
 * @property {'preview1' | 'unstable'} version
 * @property {Record<string, string>} preopens
 */
/** @typedef {{env: Record<string, string>, body: boolean, turn: Int32Array}} Job */

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

/** What the module has imported does, for the request that is worked on. @type {Record<string, Function>} */
let imports = {};
/** An instance that nothing has run in yet. @type {WebAssembly.Instance | undefined} */
let ready;

/** Makes an instance whose imports are those of whichever request it will be for. */
function instantiate() {
  /** @type {Record<string, Record<string, Function>>} */
  const modules = {};
  for (const { module: from, name } of WebAssembly.Module.imports(loaded.module)) {
    modules[from] ??= {};
    modules[from][name] = (/** @type {number[]} */ ...numbers) =>
      /** @type {Function} */ (imports[name])(...numbers);
  }
  return new WebAssembly.Instance(loaded.module, /** @type {WebAssembly.Imports} */ (modules));
}

/** Does what takes time and needs no request. A module that cannot be instantiated says so when it is asked. */
function prepare() {
  try {
    ready ??= instantiate();
  } catch {}
}

/** @param {Job} job @returns {{code: number} | {trap: string, stack: string}} */
function run(job) {
  const { name, start, version, preopens } = loaded;
  try {
    const instance = ready ?? instantiate();
    ready = undefined;
    const wasi = new WASI({ version, args: [name], env: job.env, preopens, returnOnExit: true });
    const memory = () => /** @type {WebAssembly.Memory} */ (instance.exports.memory);
    imports = wasiOf(/** @type {any} */ (wasi.wasiImport), streamsOf(job), memory);
    if (start === '_start') return { code: wasi.start(instance) ?? 0 };
    wasi.initialize(instance);
    const result = /** @type {Function} */ (instance.exports[start])();
    return { code: typeof result === 'number' ? result : 0 };
  } catch (error) {
    const { name: kind, message, stack } = /** @type {Error} */ (error);
    return { trap: `${kind}: ${message}`, stack: String(stack).replace(/^.*\n/, '') };
  }
}

port.on('message', (message) => {
  if (message.loaded) {
    if (loaded?.key !== message.loaded.key) ready = undefined;
    loaded = message.loaded;
    prepare();
  } else if (message.job) {
    port.postMessage({ end: run(message.job) });
    prepare();
  }
});
