// @ts-check
'use strict';
/** Functions in the slots of one workerd. */

const fs = require('node:fs');
const path = require('node:path');
const { SpecialiseError } = require('../../node/lib/entry.cjs');
const { giveMessage, loadMessage } = require('./code.cjs');
const { packageOf } = require('./modules.cjs');
const { Workerd, binary } = require('./process.cjs');

/** How often it is looked whether a function still works on something, while it is waited for, milliseconds. */
const LOOK_MS = 10;

/** Workerd's words for a module that does not load, as one of our errors. @param {string} text @param {string} root @param {string} entry */
function loadError(text, root, entry) {
  const words = text
    .replace(/^Error: Failed to start Worker:\n/, '')
    .replace(/^Uncaught (?:\(in promise\) )?/, '');
  const at = /at (?:.*\()?([^\s()]+?):(\d+):(\d+)\)?/.exec(words);
  const missing = /^Error: No such module "([^"]+)"\.\s+imported from "([^"]+)"/.exec(words);
  let file = at?.[1] ?? missing?.[2] ?? entry;
  let line = at === null ? undefined : Number(at[2]);
  const column = at === null ? undefined : Number(at[3]);
  /** @type {string[]} */
  let lines = [];
  try {
    lines = fs.readFileSync(path.join(root, file), 'utf8').split('\n');
  } catch {
    file = entry;
  }
  if (missing !== null) {
    const name = path.posix.basename(/** @type {string} */ (missing[1]));
    const found = lines.findIndex((one) => /\b(import|from|require)\b/.test(one) && one.includes(name));
    if (found >= 0) line = found + 1;
  }
  const source = line === undefined ? undefined : lines[line - 1];
  const detail =
    source === undefined || source.length > 1000 ? words : `${file}:${line}\n${source}\n\n${words}`;
  return new SpecialiseError('LoadError', words.split('\n', 1)[0] ?? words, { file, line, column, detail });
}

/** A slot that has no socket. */
const WARM = -1;
/** Isolates that stand ready for functions that are not known yet. */
const SPARES = 2;
/** They are made when nothing has been loaded for this long: what is wanted now comes first, milliseconds. */
const REST_MS = 20;

class Functions {
  /** @param {string} dir @param {number} slots */
  constructor(dir, slots) {
    this.workerd = new Workerd(dir, slots);
    this.slots = slots;
    this.loads = 0;
    this.spares = 0;
    /** @type {NodeJS.Timeout | undefined} */
    this.resting = undefined;
    /** @type {Promise<void> | undefined} */
    this.stocking = undefined;
    /** Whose the places are. @type {Map<number, {namespace?: string, revision?: string}>} */
    this.leases = new Map();
  }

  /** Starts workerd, and runs once what the first function would wait for. */
  async warmUp() {
    if (!fs.existsSync(binary())) return;
    try {
      await this.workerd.start();
      const pack = packageOf(path.join(__dirname, '../template'), {});
      // As it is loaded first, and as it is loaded from then on.
      for (let round = 0; round < 2; round++) {
        if (round > 0) await this.stock();
        await this.tell(pack, WARM, {});
        await this.workerd.say('/unload', JSON.stringify({ slot: WARM }));
      }
      await this.stock();
    } catch (error) {
      process.stderr.write(`petrel: ${/** @type {Error} */ (error).message}\n`);
    }
  }

  /** Makes the isolates that are to stand ready. */
  stock() {
    this.stocking ??= (async () => {
      while (this.spares < SPARES) this.spares = (await this.workerd.say('/spare')).spares;
    })().finally(() => {
      this.stocking = undefined;
    });
    return this.stocking;
  }

  /** Does so when there is time. */
  stockLater() {
    clearTimeout(this.resting);
    if (this.spares >= SPARES) return;
    this.resting = setTimeout(() => this.stock().catch(() => {}), REST_MS).unref();
  }

  /** @param {import('./modules.cjs').Package} pack @param {number} slot @param {any} params @returns {Promise<{found?: string[], error?: string}>} */
  async tell(pack, slot, params) {
    const gift = this.spares > 0 ? giveMessage(pack, slot, params) : undefined;
    if (gift !== undefined) {
      this.spares--;
      const { given, refused, spares } = await this.workerd.say('/give', gift);
      this.spares = spares;
      if (given) return {};
      if (refused) pack.late = undefined;
    }
    const id = `${slot}-${++this.loads}`;
    const answer = await this.workerd.say('/load', loadMessage(pack, { slot, id }, params));
    if (answer.error === undefined && answer.found === undefined) pack.proven = true;
    return answer;
  }

  /** Resolves when workerd answers. */
  async reachable() {
    if (this.workerd.starting === undefined) return;
    await this.workerd.starting;
    await this.workerd.say('/ping');
  }

  /**
   * @param {number} slot @param {any} params of `specialise` @param {{loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}} context
   */
  async put(slot, params, { loadTimeoutMs, onProgramExit }) {
    if (!fs.existsSync(binary()))
      throw new SpecialiseError('LoadError', 'workerd, which runs functions of this runtime, is not there', {
        detail: `${binary()} is missing. On a machine with network: node ${path.dirname(__dirname)}/bring.cjs`,
      });
    const root = fs.realpathSync(params.code);
    const pack = packageOf(root, params);
    const { entry } = pack;
    this.workerd.onExit = onProgramExit;
    await this.workerd.start();
    this.workerd.guard();
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const late = new Promise((_, reject) => {
      const words = `the code did not finish loading within ${loadTimeoutMs / 1000} s`;
      timer = setTimeout(
        () => reject(new SpecialiseError('LoadError', words, { detail: words })),
        loadTimeoutMs,
      );
    });
    const { found, error } = await Promise.race([this.tell(pack, slot, params), late]).finally(() => {
      clearTimeout(timer);
      this.stockLater();
    });
    if (error !== undefined) throw loadError(error, root, entry);
    if (found !== undefined) {
      await this.workerd.say('/unload', JSON.stringify({ slot }));
      const what = params.handler
        ? `export "${params.handler}" of ${entry} is no handler`
        : `${entry} has no default export that answers`;
      const list = found.length === 0 ? 'nothing' : found.join(', ');
      throw new SpecialiseError(
        'HandlerNotFound',
        `${what}: a function, an object with fetch, or a class with fetch is looked for; it exports ${list}`,
        { file: entry },
      );
    }
  }

  /** @param {number[]} slots @returns {Promise<number>} */
  async inFlight(...slots) {
    const all = await this.workerd.say('/in-flight');
    return slots.reduce((sum, slot) => sum + (all[slot] ?? 0), 0);
  }

  /** @param {number[]} slots @param {number} graceMs @returns {Promise<number>} what is left when the time is over */
  async idle(slots, graceMs) {
    const deadline = Date.now() + graceMs;
    for (;;) {
      const left = await this.inFlight(...slots);
      if (left === 0 || Date.now() > deadline) return left;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** @param {number[]} slots that take nothing new from now on @param {number} graceMs @returns {Promise<number>} what is left */
  drain(slots, graceMs) {
    for (const slot of slots) this.workerd.close(slot);
    return slots.length === 0 ? Promise.resolve(0) : this.idle(slots, graceMs);
  }

  /** @param {number} graceMs */
  drainAll(graceMs) {
    return this.drain([...this.leases.keys()], graceMs);
  }

  /** @param {NodeJS.Signals} signal */
  stop(signal) {
    return this.workerd.stop(signal);
  }

  /** The whole instance is one function's. @param {any} params @param {any} context @returns {Promise<import('../../node/lib/loader.cjs').Loaded>} */
  async load(params, context) {
    await this.put(0, params, context);
    return {
      shape: 'fetch',
      transport: { kind: 'http1-unix' },
      inFlight: () => this.inFlight(0),
      drain: (graceMs) => this.drain([0], graceMs),
      stop: (signal) => this.stop(signal),
    };
  }

  /** @param {any} params as of `specialise`, and `slot` @param {any} context */
  async lease(params, context) {
    const { slot, namespace, revision } = params;
    if (!Number.isInteger(slot) || slot < 1 || slot >= this.slots)
      throw new SpecialiseError('BadRequest', `lease: slot must be a number from 1 to ${this.slots - 1}`);
    const begin = process.hrtime.bigint();
    this.leases.delete(slot);
    await this.put(slot, params, context);
    this.leases.set(slot, { namespace, revision });
    const loadMs = Number((process.hrtime.bigint() - begin) / 10_000n) / 100;
    return { shape: 'fetch', loadMs, transport: { kind: 'http1-unix' } };
  }

  /** Forgets a function, or all. @param {{slot?: number}} params */
  async release({ slot }) {
    if (slot === undefined) this.leases.clear();
    else this.leases.delete(slot);
    if (this.workerd.starting === undefined) return {}; // it holds none
    await this.workerd.starting;
    await this.workerd.say('/unload', JSON.stringify({ slot }));
    return {};
  }

  /** What is in the places, for a platform that was not there when it was put there. */
  async held() {
    const transport = { kind: 'http1-unix' };
    return { leases: [...this.leases].map(([slot, whose]) => ({ slot, ...whose, transport })) };
  }

  /** @param {{slot: number, graceMs: number}} params */
  async drainLease({ slot, graceMs }) {
    return { left: await this.idle([slot], graceMs) };
  }
}

/** @type {Functions | undefined} */
let functions;
/** @param {string} dir @param {number} slots */
function functionsOf(dir, slots) {
  functions ??= new Functions(dir, slots);
  return functions;
}

module.exports = { functionsOf };
