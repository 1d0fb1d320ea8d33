// @ts-check
'use strict';
/** From a package with a WebAssembly module to a function that answers requests. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const fs = require('node:fs');
const path = require('node:path');
const { turns } = require('../../exec/lib/turns.cjs');
const { isComponent } = require('../component/build.cjs');
const { findModule, compiledFrom, versionOf, entryOf } = require('./module.cjs');
const { run } = require('./run.cjs');

/** Threads at work at a time, where the function does not say. */
const MAX_THREADS = 16;

/** @param {string} name @param {string} file @param {string | undefined} handler */
async function moduleAt(name, file, handler) {
  const { key, module } = await compiledFrom(name, file);
  const version = versionOf(name, module);
  const { start, mode } = entryOf(name, module, handler);
  return { key, module: { module, start, version }, mode, shape: start === '_start' ? mode : 'function' };
}

/** The head of its answer comes as CGI has it. @param {string} name @param {string} file */
async function componentAt(name, file) {
  const { partsOf } = require('./component.cjs');
  return { ...(await partsOf(name, file)), mode: /** @type {const} */ ('cgi'), shape: 'wasi:http' };
}

/**
 * @param {any} params of `specialise` @param {InstanceType<typeof import('./threads.cjs').Threads>} threads
 * @param {{tmp: string, log: (bytes: Buffer) => void}} own directory that the module has as `/tmp`; where its error stream goes
 * @returns {Promise<{shape: string, dispatch: (exchange: ExchangeType) => void}>}
 */
async function programOf({ code, entry, handler, env: given, port, concurrency = 0 }, threads, { tmp, log }) {
  const root = fs.realpathSync(code);
  const file = findModule(root, entry);
  const name = path.relative(root, file);
  const { shape, mode, ...what } = await (isComponent(file)
    ? componentAt(name, file)
    : moduleAt(name, file, handler));
  const loaded = { ...what, name, preopens: { '/': root, '/tmp': tmp } };
  threads.prepare(loaded);
  const env = Object.fromEntries(Object.entries(given ?? {}).map(([key, value]) => [key, String(value)]));
  if (port !== undefined) env.PORT ??= String(port);
  const limit = concurrency > 0 ? concurrency : MAX_THREADS;
  /** @type {import('./run.cjs').Program} */
  const program = { loaded, mode, env, log };
  return {
    shape,
    dispatch: turns(limit, (exchange, over) => run(threads, program, exchange, over)),
  };
}

module.exports = { programOf };
