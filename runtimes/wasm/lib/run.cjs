// @ts-check
'use strict';
/** One request on one thread. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const { environmentOf } = require('../../exec/lib/environment.cjs');
const { Output } = require('../../exec/lib/output.cjs');

/** Bytes of standard error that a failure is told with. */
const TAIL = 8192;

/**
 * @typedef {object} Program
 * @property {import('./worker.cjs').Loaded} loaded @property {'stdio' | 'cgi'} mode @property {Record<string, string>} env
 * @property {(bytes: Buffer) => void} log where its error stream goes, in whole lines
 */

/**
 * @param {InstanceType<typeof import('./threads.cjs').Threads>} threads @param {Program} program
 * @param {ExchangeType} exchange @param {() => void} over called once, when the thread is free or gone
 */
function run(threads, { loaded, mode, env, log }, exchange, over) {
  const { name } = loaded;
  const worker = threads.take(loaded);
  const turn = new Int32Array(new SharedArrayBuffer(8));
  let tail = Buffer.alloc(0);
  /** The beginning of a line whose end has not come: others write to the same log. */
  let partial = Buffer.alloc(0);
  const said = (/** @type {Buffer} */ chunk, last = false) => {
    const all = Buffer.concat([partial, chunk]);
    const end = last || all.length > TAIL ? all.length : all.lastIndexOf(10) + 1;
    if (end > 0) log(all.subarray(0, end));
    partial = all.subarray(end);
  };
  let done = false;
  const stop = () => {
    if (done) return;
    done = true;
    said(Buffer.alloc(0), true);
    worker.removeAllListeners('message');
    // What the module does, an endless loop too, ends here.
    worker.terminate().then(over);
  };
  const output = new Output(exchange, name, mode, env.content_type, stop);
  exchange.onabort(stop);

  const taken = (/** @type {number} */ length) => {
    Atomics.sub(turn, 1, length);
    Atomics.notify(turn, 1);
  };
  const send = (/** @type {Uint8Array | null} */ piece) => {
    worker.postMessage({ piece });
    Atomics.add(turn, 0, 1);
    Atomics.notify(turn, 0);
  };
  const pull = () => {
    exchange.pull((error, chunk) => {
      if (!done) send(error === null ? chunk : null);
    });
  };
  /** @param {{code?: number, trap?: string, stack?: string}} end */
  const ended = ({ code = 0, trap, stack }) => {
    done = true;
    said(Buffer.alloc(0), true);
    threads.give(worker);
    if (trap !== undefined) {
      log(Buffer.from(`${trap}\n${stack}\n`));
      output.end({ what: 'trapped', said: `${trap}\n${stack}\n${tail}` });
    } else
      output.end(code === 0 ? undefined : { what: `ended with exit code ${code}`, said: tail.toString() });
    over();
  };
  worker.on('message', ({ fd, bytes, end, pull: wanted }) => {
    if (end !== undefined) ended(end);
    else if (wanted) pull();
    else if (fd === 2) {
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      said(chunk);
      tail = Buffer.concat([tail, chunk]).subarray(-TAIL);
      taken(bytes.length);
    } else if (output.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) taken(bytes.length);
    else exchange.drained().then(() => taken(bytes.length));
  });
  const { method, target, scheme, headerList } = exchange;
  const request = { method, target, scheme, authority: exchange.header('host'), headers: headerList };
  const all = loaded.module ? { ...env, ...environmentOf(exchange, name) } : env;
  worker.postMessage({ job: { env: all, request, body: exchange.hasBody, turn } });
}

module.exports = { run };
