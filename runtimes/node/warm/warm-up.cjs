// @ts-check
'use strict';
/**
 * Runs one function of every kind before there is a user's: whatever Node and V8 set up on first use (module loaders, lazy
 * globals, compiled functions of ours) is then not part of anybody's first request.
 */

const path = require('node:path');

const HEAD =
  'POST /warm?a=b HTTP/1.1\r\nhost: warm.invalid\r\ncontent-type: application/json\r\nx-request-id: warm\r\n'.replace(
    ' HTTP/1.1',
    '',
  );

/** One request that goes nowhere. @param {(exchange: any) => void} dispatch */
function exercise(dispatch) {
  const { FrameWriter } = require('../lib/frames.cjs');
  const { Exchange } = require('../lib/exchange.cjs');
  const sink = { destroyed: false, write() {}, cork() {}, uncork() {} };
  return new Promise((resolve) => {
    const connection = /** @type {any} */ ({ closed: false, forget() {}, answered: resolve });
    connection.writer = new FrameWriter(/** @type {any} */ (sink));
    const exchange = new Exchange(connection, 1, HEAD, true);
    dispatch(exchange);
    exchange.receive(Buffer.from('{"warm":true}'));
    exchange.receiveEnd('');
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

/** In order of how likely the next function needs it; each a few milliseconds. @type {(() => unknown)[]} */
const STEPS = [
  () => require('../lib/loader.cjs'),
  () => require('../shapes/web.cjs').install(),
  () => require('../lib/listening.cjs').watchListening(),
  () => runAll('warm.mjs'),
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
 */
async function warmUp(extra, idle) {
  for (const step of [...STEPS, ...extra.map((name) => EXTRA[name] ?? (() => {}))]) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!idle()) return;
    await step();
  }
}

module.exports = { warmUp };
