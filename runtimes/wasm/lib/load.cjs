// @ts-check
'use strict';
/** The functions of this process: one that it is, or several that it holds. */

const os = require('node:os');
const { settings } = require('../../node/lib/answer.cjs');
const { turns } = require('../../exec/lib/turns.cjs');
const { compile, entryOf, versionOf } = require('./module.cjs');
const { Leases } = require('./leases.cjs');
const { logOf } = require('./log.cjs');
const { programOf } = require('./program.cjs');
const { run } = require('./run.cjs');
const { Threads } = require('./threads.cjs');

const threads = new Threads();

/** The whole instance is one function's. @param {any} params of `specialise` @returns {Promise<import('../../node/lib/loader.cjs').Loaded>} */
async function load(params) {
  const { shape, dispatch } = await programOf(params, threads, {
    tmp: os.tmpdir(),
    log: logOf(params.function),
  });
  return { shape, transport: { kind: 'mux' }, dispatch };
}

/** @param {string} dir of the instance's socket */
function leasesIn(dir) {
  return new Leases(dir, (params, own) => {
    settings.development = params.development === true;
    return programOf(params, threads, own);
  });
}

/** A module that does nothing: memory and `_start`. */
const NOTHING = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00], // types: [] → []
  ...[0x03, 0x02, 0x01, 0x00], // functions
  ...[0x05, 0x03, 0x01, 0x00, 0x01], // memories
  ...[
    0x07,
    0x13,
    0x02,
    0x06,
    ...Buffer.from('memory'),
    0x02,
    0x00,
    0x06,
    ...Buffer.from('_start'),
    0x00,
    0x00,
  ],
  ...[0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b],
);

/** Starts threads and has each run a module, before it is known which it will be. */
async function warmUp() {
  const name = 'warm.wasm';
  const module = await compile(name, Buffer.from(NOTHING));
  const { start } = entryOf(name, module, undefined);
  const loaded = {
    key: name,
    name,
    module: { module, start, version: versionOf(name, module) },
    preopens: {},
  };
  /** @type {import('./run.cjs').Program} */
  const program = { loaded, mode: 'stdio', env: {}, log() {} };
  const { exercise } = require('../../node/warm/warm-up.cjs');
  const both = () => exercise(turns(2, (exchange, over) => run(threads, program, exchange, over)));
  await Promise.all([both(), both()]);
}

module.exports = { load, leasesIn, warmUp };
