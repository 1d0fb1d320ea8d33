// @ts-check
'use strict';
/**
 * Runs one function of every kind before there is a user's: whatever Node and V8 set up on first use (module loaders, lazy
 * globals, compiled functions of ours) is then not part of anybody's first request.
 */

const path = require('node:path');
const { EventEmitter } = require('node:events');

const HEAD =
  'POST /warm?a=b\r\nhost: warm.invalid\r\ncontent-type: application/json\r\nx-request-id: warm\r\n';

/** @param {number} type @param {number} stream @param {string} payload */
function frame(type, stream, payload) {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUInt32LE(payload.length, 0);
  bytes[4] = type;
  bytes.writeUInt32LE(stream, 5);
  bytes.write(payload, 9, 'latin1');
  return bytes;
}

/** A connection of the protocol whose other end is nobody. @param {Partial<import('../lib/connection.cjs').Host>} host */
function pretend(host) {
  const { Connection } = require('../lib/connection.cjs');
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    writableLength: 0,
    write() {},
    cork() {},
    uncork() {},
  });
  new Connection(
    /** @type {any} */ (socket),
    /** @type {any} */ ({ hello: () => ({ version: 1 }), opened() {}, closed() {}, answered() {}, ...host }),
  );
  return socket;
}

/** One request that goes nowhere. @param {(exchange: any) => void} dispatch */
function exercise(dispatch) {
  const { TYPE } = require('../lib/frames.cjs');
  return new Promise((resolve) => {
    const socket = pretend({ request: dispatch, answered: () => resolve(undefined) });
    socket.emit('data', frame(TYPE.HELLO, 0, '{"version":1,"role":"data"}'));
    socket.emit(
      'data',
      Buffer.concat([
        frame(TYPE.REQUEST_BODY, 1, HEAD),
        frame(TYPE.DATA, 1, '{"warm":true}'),
        frame(TYPE.END, 1, ''),
      ]),
    );
  });
}

/** @param {string} file in this folder */
async function runAll(file) {
  const { loadModule, SHAPES } = require('../lib/loader.cjs');
  const { recognise } = require('../lib/recognise.cjs');
  const { exports, cjs } = await loadModule(path.join(__dirname, file), __dirname, undefined);
  delete require.cache[path.join(__dirname, file)];
  for (const [name] of exports) {
    const found = recognise(exports, { handler: name, cjs });
    if (found !== undefined)
      await exercise(SHAPES[found.shape]?.(found, { name: 'warm', timeoutMs: 1000 }) ?? (() => {}));
  }
}

/** The way of a package: manifest, entry, recognition. @param {string} entry in this folder */
function loadOne(entry) {
  const { load } = require('../lib/loader.cjs');
  const nothing = () => {};
  return load({
    code: __dirname,
    entry,
    name: 'warm',
    timeoutMs: 1000,
    loadTimeoutMs: 1000,
    onProgramExit: nothing,
  });
}

/** In order of how likely the next function needs it; each a few milliseconds. @type {((call: any) => unknown)[]} */
const STEPS = [
  (call) => {
    const { TYPE } = require('../lib/frames.cjs');
    const socket = pretend({ call });
    socket.emit('data', frame(TYPE.HELLO, 0, '{"version":1,"role":"control"}'));
    socket.emit('data', frame(TYPE.CALL, 0, '{"id":1,"method":"health"}'));
    // Refused for its directory before anything changes; by then most of what comes before loading has run once.
    const refused = { id: 2, method: 'specialise', params: { code: path.join(__dirname, 'none'), env: {} } };
    socket.emit('data', frame(TYPE.CALL, 0, JSON.stringify(refused)));
  },
  () => require('../lib/loader.cjs'),
  () => require('../lib/type-cache.cjs'),
  () => require('../shapes/web.cjs').install(),
  () => require('../lib/listening.cjs').watchListening(),
  () => runAll('warm.mjs'),
  () => loadOne('warm.mjs'),
  () => require('../shapes/node-http.cjs'),
  () => runAll('warm.cjs'),
];

/** Parts that may be loaded ahead on demand. @type {Record<string, () => unknown>} */
const EXTRA = {
  /** The type stripper: 35 ms and 11 MB. Stripped code is kept in the package's cache, so only a package's first start gains. */
  typescript: () => import(`${__dirname}/warm-types.ts`),
  /** The engine's fetch: 30 ms and 6 MB. */
  fetch: () => fetch('data:,'),
};

/**
 * Works through the steps, one per turn of the event loop, as long as nobody waits.
 * @param {string[]} extra names of EXTRA @param {() => boolean} idle
 * @param {import('../lib/connection.cjs').Host['call']} call the supervisor's, for a call that changes nothing
 */
async function warmUp(extra, idle, call) {
  for (const step of [...STEPS, ...extra.map((name) => EXTRA[name] ?? (() => {}))]) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!idle()) return;
    await step(call);
  }
}

module.exports = { warmUp, exercise, frame };
