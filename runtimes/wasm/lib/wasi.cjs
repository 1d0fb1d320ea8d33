// @ts-check
'use strict';
/**
 * The part of WASI preview 1 that concerns a request: standard streams that are the request and its answer, and waiting that can be
 * interrupted. Everything else is node:wasi's. Runs on a worker thread; every function answers with an errno.
 */

const SUCCESS = 0;
const BADF = 8;
const FAULT = 21;
const NOSYS = 52;

/** Kinds of events in `poll_oneoff`. */
const CLOCK = 0;
const FLAG_ABSTIME = 1;
const SUBSCRIPTION = 48;
const EVENT = 32;
/** `filetype` of a stream without position. */
const CHARACTER_DEVICE = 2;
const RIGHT_READ = 2n;
const RIGHT_WRITE = 64n;
const RIGHT_POLL = 134_217_728n;

/**
 * @typedef {object} Streams
 * @property {(room: number) => Uint8Array} read at most that many bytes of the request's body; waits; empty at its end
 * @property {(fd: 1 | 2, bytes: Uint8Array) => void} write waits until there is room
 * @property {(ms: number) => void} sleep
 */

/**
 * @param {Record<string, Function>} rest the other functions, node:wasi's
 * @param {Streams} streams
 * @param {() => WebAssembly.Memory} memory of the instance
 * @returns {Record<string, Function>}
 */
function wasiOf(rest, streams, memory) {
  const view = () => new DataView(memory().buffer);
  /** @param {number} at @param {number} count @returns {Uint8Array[]} buffers that an array of (address, length) names */
  const vectors = (at, count) => {
    const table = view();
    return Array.from({ length: count }, (_, i) => {
      const address = table.getUint32(at + i * 8, true);
      return new Uint8Array(table.buffer, address, table.getUint32(at + i * 8 + 4, true));
    });
  };
  const open = [true, true, true];
  /** @param {number} fd */
  const isStream = (fd) => fd >= 0 && fd <= 2;

  /** @param {number} fd @param {number} at @param {number} count @param {number} result */
  function fd_write(fd, at, count, result) {
    if (!isStream(fd)) return rest.fd_write?.(fd, at, count, result) ?? NOSYS;
    if (fd === 0 || !open[fd]) return BADF;
    const parts = vectors(at, count);
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let length = 0;
    for (const part of parts) {
      bytes.set(part, length);
      length += part.length;
    }
    if (length > 0) streams.write(/** @type {1 | 2} */ (fd), bytes);
    view().setUint32(result, length, true);
    return SUCCESS;
  }

  /** @param {number} fd @param {number} at @param {number} count @param {number} result */
  function fd_read(fd, at, count, result) {
    if (!isStream(fd)) return rest.fd_read?.(fd, at, count, result) ?? NOSYS;
    if (fd !== 0 || !open[0]) return BADF;
    const first = vectors(at, count).find((part) => part.length > 0);
    const bytes = first === undefined ? new Uint8Array(0) : streams.read(first.length);
    first?.set(bytes);
    view().setUint32(result, bytes.length, true);
    return SUCCESS;
  }

  /** @param {number} fd @param {number} result */
  function fd_fdstat_get(fd, result) {
    if (!isStream(fd)) return rest.fd_fdstat_get?.(fd, result) ?? NOSYS;
    if (!open[fd]) return BADF;
    const table = view();
    table.setUint8(result, CHARACTER_DEVICE);
    table.setUint16(result + 2, 0, true);
    // Without the rights to seek and tell, libraries do not take it for a terminal.
    table.setBigUint64(result + 8, (fd === 0 ? RIGHT_READ : RIGHT_WRITE) | RIGHT_POLL, true);
    table.setBigUint64(result + 16, 0n, true);
    return SUCCESS;
  }

  /** @param {number} fd */
  function fd_close(fd) {
    if (!isStream(fd)) return rest.fd_close?.(fd) ?? NOSYS;
    if (!open[fd]) return BADF;
    open[fd] = false;
    return SUCCESS;
  }

  /**
   * Waits for the earliest clock, unless a stream or file is asked for: those are ready at once, and what is done with them waits.
   * @param {number} subscriptions @param {number} events @param {number} count @param {number} result
   */
  function poll_oneoff(subscriptions, events, count, result) {
    if (count === 0) return 28; // EINVAL
    const table = view();
    /** @type {{at: number, type: number, wait: number}[]} */
    const wanted = [];
    for (let i = 0; i < count; i++) {
      const at = subscriptions + i * SUBSCRIPTION;
      const type = table.getUint8(at + 8);
      let wait = 0;
      if (type === CLOCK) {
        const timeout = Number(table.getBigUint64(at + 24, true)) / 1e6;
        const absolute = (table.getUint16(at + 40, true) & FLAG_ABSTIME) !== 0;
        const monotonic = table.getUint32(at + 16, true) === 1;
        const now = monotonic ? Number(process.hrtime.bigint()) / 1e6 : Date.now();
        wait = Math.max(0, absolute ? timeout - now : timeout);
      }
      wanted.push({ at, type, wait });
    }
    const least = Math.min(...wanted.map(({ wait }) => wait));
    if (least > 0) streams.sleep(least);
    let ready = 0;
    for (const { at, type, wait } of wanted) {
      if (wait > least) continue;
      const event = events + ready++ * EVENT;
      table.setBigUint64(event, table.getBigUint64(at, true), true);
      table.setUint16(event + 8, SUCCESS, true);
      table.setUint8(event + 10, type);
      table.setBigUint64(event + 16, type === CLOCK ? 0n : 1n, true);
      table.setUint16(event + 24, 0, true);
    }
    table.setUint32(result, ready, true);
    return SUCCESS;
  }

  const own = { fd_write, fd_read, fd_fdstat_get, fd_close, poll_oneoff };
  /** @type {Record<string, Function>} */
  const imports = { ...rest };
  for (const [name, run] of Object.entries(own)) {
    imports[name] = (/** @type {number[]} */ ...numbers) => {
      try {
        return /** @type {Function} */ (run)(...numbers.map((number) => number >>> 0));
      } catch (error) {
        if (error instanceof RangeError) return FAULT; // an address outside of the memory
        throw error;
      }
    };
  }
  return imports;
}

module.exports = { wasiOf };
