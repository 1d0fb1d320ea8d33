// @ts-check
'use strict';
/** From a package with an executable or a script to something that answers requests. */

const fs = require('node:fs');
const { readScript } = require('./script.cjs');
const { run } = require('./run.cjs');
const { turns } = require('./turns.cjs');

/** Processes of one instance at a time, where neither the function nor `max_inflight` says. */
const MAX_PROCESSES = 64;

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
  return {
    shape: script.mode,
    transport: { kind: 'mux' },
    dispatch: turns(processLimit(params.concurrency ?? 0), (exchange, over) =>
      run(script, root, env, exchange, over),
    ),
  };
}

module.exports = { load };
