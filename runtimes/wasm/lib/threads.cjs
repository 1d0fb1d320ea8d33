// @ts-check
'use strict';
/** The threads of an instance: a few kept warm, ended one by one when what they run has to stop. */

const path = require('node:path');
const { Worker } = require('node:worker_threads');

/** Threads without work that are kept. */
const KEPT = 3;

/** @typedef {import('./worker.cjs').Loaded} Loaded */

class Threads {
  constructor() {
    /** Longest without work first. @type {Worker[]} */
    this.idle = [];
    /** What each thread has been told to run. @type {WeakMap<Worker, Loaded>} */
    this.told = new WeakMap();
  }

  /** @returns {Worker} */
  make() {
    const worker = new Worker(path.join(__dirname, 'worker.cjs'), { env: {}, stdin: false });
    worker.unref();
    worker.on('error', (error) =>
      process.stderr.write(`petrel: a thread failed: ${error.stack ?? error.message}\n`),
    );
    worker.once('exit', () => {
      this.idle = this.idle.filter((one) => one !== worker);
    });
    return worker;
  }

  /** Has a thread make ready what a request for it will need, while nobody waits. @param {Loaded} loaded */
  prepare(loaded) {
    if (this.idle.length === 0) this.idle.push(this.make());
    const at = this.choose(loaded);
    this.tell(/** @type {Worker} */ (this.idle[at]), loaded);
  }

  /** One that has the module already, or the one that has rested longest. @param {Loaded} loaded @returns {number} among the idle */
  choose(loaded) {
    return Math.max(
      0,
      this.idle.findLastIndex((worker) => this.told.get(worker)?.key === loaded.key),
    );
  }

  /** @param {Worker} worker @param {Loaded} loaded */
  tell(worker, loaded) {
    if (this.told.get(worker) === loaded) return;
    this.told.set(worker, loaded);
    worker.postMessage({ loaded });
  }

  /** @param {Loaded} loaded what it is to run @returns {Worker} to be given back, or ended */
  take(loaded) {
    const [worker = this.make()] = this.idle.splice(this.choose(loaded), 1);
    this.tell(worker, loaded);
    return worker;
  }

  /** @param {Worker} worker */
  give(worker) {
    worker.removeAllListeners('message');
    if (this.idle.length < KEPT) this.idle.push(worker);
    else worker.terminate();
  }
}

module.exports = { Threads };
