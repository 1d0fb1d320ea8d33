// @ts-check
'use strict';
/** The threads of an instance: a few kept warm, ended one by one when what they run has to stop. */

const path = require('node:path');
const { Worker } = require('node:worker_threads');

/** Threads without work that are kept. */
const KEPT = 2;

/** @typedef {import('./worker.cjs').Loaded} Loaded */

class Threads {
  constructor() {
    /** @type {Worker[]} */
    this.idle = [];
    /** @type {Loaded | undefined} */
    this.loaded = undefined;
    /** What each thread has been told to run. @type {WeakMap<Worker, Loaded>} */
    this.told = new WeakMap();
  }

  /** Starts a thread ahead, so that the next request need not wait for it. */
  spare() {
    this.idle.push(this.make());
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

  /** What every thread runs from now on. @param {Loaded} loaded */
  load(loaded) {
    this.loaded = loaded;
    if (this.idle.length === 0) this.spare();
    for (const worker of this.idle) this.tell(worker);
  }

  /** @param {Worker} worker */
  tell(worker) {
    if (this.loaded === undefined || this.told.get(worker) === this.loaded) return;
    this.told.set(worker, this.loaded);
    worker.postMessage({ loaded: this.loaded });
  }

  /** @returns {Worker} to be given back, or ended */
  take() {
    const worker = this.idle.pop() ?? this.make();
    this.tell(worker);
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
