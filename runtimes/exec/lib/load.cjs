// @ts-check
'use strict';
/** From a package with an executable or a script to something that answers requests. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const fs = require('node:fs');
const { refuse } = require('../../node/lib/answer.cjs');
const { readScript } = require('./script.cjs');
const { run } = require('./run.cjs');

/** Processes of one instance at a time, where neither the function nor `max_inflight` says. */
const MAX_PROCESSES = 64;
/** Requests that may wait for a process to end. */
const MAX_WAITING = 1024;

/** @param {number} concurrency 0 for no limit of the function's @returns {number} */
function processLimit(concurrency) {
  const own = Number(process.env.max_inflight);
  const limit = Number.isInteger(own) && own > 0 ? own : MAX_PROCESSES;
  return concurrency > 0 ? Math.min(limit, concurrency) : limit;
}

/**
 * @param {any} params of `specialise` @param {{loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}} context
 * @returns {Promise<import('../../node/lib/loader.cjs').Loaded>} @throws {InstanceType<typeof import('../../node/lib/entry.cjs').SpecialiseError>}
 */
async function load(params, { loadTimeoutMs, onProgramExit }) {
  const root = fs.realpathSync(params.code);
  const script = await readScript(root, params);
  if (script.mode === 'http') {
    return require('../../node/lib/program.cjs').loadProgram({
      root,
      cwd: process.cwd(),
      command: script.command,
      args: script.args,
      label: script.name,
      port: params.port,
      limitMs: loadTimeoutMs,
      onProgramExit,
    });
  }
  const env = { ...process.env };
  const limit = processLimit(params.concurrency ?? 0);
  let running = 0;
  /** @type {Set<ExchangeType>} */
  const waiting = new Set();
  const begin = (/** @type {ExchangeType} */ exchange) => {
    running++;
    run(script, root, env, exchange, () => {
      running--;
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next);
      begin(next);
    });
  };
  return {
    shape: script.mode,
    transport: { kind: 'mux' },
    dispatch(exchange) {
      if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade')
        refuse(
          exchange,
          501,
          'upgrade_not_supported',
          'A program that is started per request has no notion of an upgrade. Run it as a program on $PORT.',
        );
      else if (running < limit) begin(exchange);
      else if (waiting.size >= MAX_WAITING)
        exchange.reset('overloaded', `${running} processes are at work and ${waiting.size} requests wait`);
      else {
        waiting.add(exchange);
        exchange.onabort(() => waiting.delete(exchange));
      }
    },
  };
}

module.exports = { load };
