// @ts-check
'use strict';
/** Functions in the places of one process, each with a socket of its own. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */
/** @typedef {(params: any, own: {tmp: string, log: (bytes: Buffer) => void}) => Promise<{shape: string, dispatch: (exchange: ExchangeType) => void}>} Open */

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { Connection } = require('../../node/lib/connection.cjs');
const { SpecialiseError } = require('../../node/lib/entry.cjs');
const { logOf } = require('./log.cjs');

/** Functions that one process may hold. */
const SLOTS = 256;

/** The next place is made ready when this much time has passed without another load, milliseconds. */
const REST_MS = 20;

class Lease {
  /** @param {string} socket */
  constructor(socket) {
    this.socket = socket;
    /** @type {{namespace?: string, revision?: string}} */
    this.whose = {};
    this.tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'wasm-'));
    /** @type {(bytes: Buffer) => void} */
    this.log = () => {};
    this.inFlight = 0;
    this.draining = false;
    /** @type {(() => void)[]} */
    this.waiters = [];
    /** @type {Set<Connection>} */
    this.connections = new Set();
    /** @type {((exchange: ExchangeType) => void) | undefined} */
    this.dispatch = undefined;
    const host = {
      hello: () => ({
        version: 1,
        runtime: 'wasm',
        language: process.versions.v8,
        pid: process.pid,
        state: 'specialised',
      }),
      roles: () => ['data'],
      request: (/** @type {ExchangeType} */ exchange) => {
        this.inFlight++;
        this.dispatch?.(exchange);
      },
      answered: () => {
        if (--this.inFlight === 0) for (const waiter of this.waiters.splice(0)) waiter();
      },
      call() {},
      opened: (/** @type {Connection} */ connection) => {
        if (this.draining) connection.goaway();
      },
      closed: (/** @type {Connection} */ connection) => void this.connections.delete(connection),
    };
    this.server = net.createServer((connection) => {
      // Nobody has been told of a place without a function.
      if (this.dispatch === undefined) connection.destroy();
      else this.connections.add(new Connection(connection, host));
    });
    this.listening = this.listen();
    this.listening.catch(() => {});
  }

  /** @returns {Promise<void>} */
  async listen() {
    fs.mkdirSync(path.dirname(this.socket), { recursive: true });
    fs.rmSync(this.socket, { force: true });
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.socket, () => resolve(undefined));
    });
  }

  /** @param {number} graceMs @returns {Promise<number>} requests that are left when the time is over */
  async drain(graceMs) {
    this.draining = true;
    for (const connection of this.connections) connection.goaway();
    if (this.inFlight > 0) {
      /** @type {NodeJS.Timeout | undefined} */
      let timer;
      await new Promise((resolve) => {
        this.waiters.push(() => resolve(undefined));
        timer = setTimeout(resolve, graceMs);
      });
      clearTimeout(timer);
    }
    return this.inFlight;
  }

  /** Resolves when what has been written is on its way. */
  async hangUp() {
    this.server.close();
    const ends = [...this.connections].map(({ writer, socket }) => {
      writer.flush();
      return new Promise((resolve) => socket.end(resolve));
    });
    await Promise.all(ends);
  }

  /** What is still worked on ends here. */
  close() {
    this.server.close();
    for (const { socket } of this.connections) socket.destroy();
    fs.rm(this.tmp, { recursive: true, force: true }, () => {});
  }
}

class Leases {
  /** @param {string} dir of the sockets @param {Open} open */
  constructor(dir, open) {
    this.dir = dir;
    this.open = open;
    /** @type {Map<number, Lease>} */
    this.slots = new Map();
    /** Places whose function is being loaded. @type {Set<number>} */
    this.loading = new Set();
    /** Places that have no function yet. @type {Map<number, Lease>} */
    this.ready = new Map();
    /** @type {NodeJS.Timeout | undefined} */
    this.resting = undefined;
  }

  /** @param {number} slot */
  make(slot) {
    const lease = this.ready.get(slot) ?? new Lease(path.join(this.dir, `f${slot}`, 'i.sock'));
    this.ready.delete(slot);
    return lease;
  }

  /** Makes the place ready that is asked for next: a platform takes the first that is free. */
  prepare() {
    let slot = 1;
    while (this.slots.has(slot) || this.loading.has(slot)) slot++;
    if (slot <= SLOTS) this.ready.set(slot, this.make(slot));
  }

  /** Does so when there is time. */
  prepareLater() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.prepare(), REST_MS).unref();
  }

  /** @param {any} params as of `specialise`, and `slot` */
  async lease(params) {
    const { slot } = params;
    if (!Number.isInteger(slot) || slot < 1 || slot > SLOTS)
      throw new SpecialiseError('BadRequest', `lease: slot must be a number from 1 to ${SLOTS}`);
    const begin = process.hrtime.bigint();
    await this.release({ slot });
    const lease = this.make(slot);
    this.loading.add(slot);
    try {
      lease.whose = { namespace: params.namespace, revision: params.revision };
      lease.log = logOf(params.function);
      const { shape, dispatch } = await this.open(params, lease);
      await lease.listening;
      lease.dispatch = dispatch;
      this.slots.set(slot, lease);
      const loadMs = Number((process.hrtime.bigint() - begin) / 10_000n) / 100;
      return { shape, loadMs, transport: { kind: 'mux' } };
    } catch (error) {
      lease.close();
      throw error;
    } finally {
      this.loading.delete(slot);
      this.prepareLater();
    }
  }

  /** Forgets a function, or all. @param {{slot?: number}} params */
  async release({ slot }) {
    for (const one of slot === undefined ? [...this.slots.keys()] : [slot]) {
      this.slots.get(one)?.close();
      this.slots.delete(one);
    }
    return {};
  }

  /** @param {{slot: number, graceMs?: number}} params */
  async drainLease({ slot, graceMs = 30_000 }) {
    return { left: (await this.slots.get(slot)?.drain(Number(graceMs))) ?? 0 };
  }

  /** Takes nothing new in any place. @param {number} graceMs @returns {Promise<number>} requests that are left when the time is over */
  async drain(graceMs) {
    const left = await Promise.all([...this.slots.values()].map((lease) => lease.drain(graceMs)));
    return left.reduce((sum, one) => sum + one, 0);
  }

  async hangUp() {
    await Promise.all([...this.slots.values()].map((lease) => lease.hangUp()));
  }

  /** What is in the places, for a platform that was not there when it was put there. */
  async held() {
    const transport = { kind: 'mux' };
    return { leases: [...this.slots].map(([slot, { whose }]) => ({ slot, ...whose, transport })) };
  }
}

module.exports = { Leases };
