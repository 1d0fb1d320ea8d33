// @ts-check
'use strict';
/** From a package with a WebAssembly module to something that answers requests. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { SpecialiseError } = require('../../node/lib/entry.cjs');
const { turns } = require('../../exec/lib/turns.cjs');
const { findModule, isComponent, compile, versionOf, entryOf } = require('./module.cjs');
const { run } = require('./run.cjs');
const { Threads } = require('./threads.cjs');

/** Threads at work at a time, where the function does not say. */
const MAX_THREADS = 16;

const threads = new Threads();

/** @param {any} params of `specialise` @returns {Promise<import('../../node/lib/loader.cjs').Loaded>} @throws {InstanceType<typeof SpecialiseError>} */
async function load({ code, entry, handler, env: given, port, concurrency = 0 }) {
  const root = fs.realpathSync(code);
  const file = findModule(root, entry);
  const name = path.relative(root, file);
  const bytes = fs.readFileSync(file);
  if (isComponent(bytes)) {
    throw new SpecialiseError(
      'LoadError',
      `${name} is a WebAssembly component; this runtime runs modules for WASI preview 1`,
      { file: name, detail: `Compile ${name} for the target wasm32-wasip1.` },
    );
  }
  const module = await compile(name, bytes);
  const version = versionOf(name, module);
  const { start, mode } = entryOf(name, module, handler);
  threads.load({ module, name, start, version, preopens: { '/': root, '/tmp': os.tmpdir() } });
  const env = Object.fromEntries(Object.entries(given ?? {}).map(([key, value]) => [key, String(value)]));
  if (port !== undefined) env.PORT ??= String(port);
  const limit = concurrency > 0 ? concurrency : MAX_THREADS;
  return {
    shape: start === '_start' ? mode : 'function',
    transport: { kind: 'mux' },
    dispatch: turns(limit, (exchange, over) => run(threads, { name, mode, env }, exchange, over)),
  };
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

/** Starts a thread and has it run a module, before it is known which it will be. */
async function warmUp() {
  const name = 'warm.wasm';
  const module = await compile(name, Buffer.from(NOTHING));
  const { start } = entryOf(name, module, undefined);
  if (threads.loaded !== undefined) return;
  threads.load({ module, name, start, version: versionOf(name, module), preopens: {} });
  /** @type {import('./run.cjs').Program} */
  const program = { name, mode: 'stdio', env: {} };
  await require('../../node/warm/warm-up.cjs').exercise(
    turns(1, (exchange, over) => run(threads, program, exchange, over)),
  );
}

module.exports = { load, warmUp };
