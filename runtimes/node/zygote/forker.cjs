// @ts-check
'use strict';
/**
 * What every process that others are forked from has to do, without an event loop and without a timer: wait for orders, tell how
 * those it has forked ended, and leave nothing of its own in them.
 */

const fs = require('node:fs');
const { pagesOf, rangesOf } = require('./pages.cjs');
const { libc, must, fork, pidfd, isShared, pipe, readable, setCopies } = require('./libc.cjs');

const WNOHANG = 1;
const MAX_ORDER = 1 << 20;
const NEW_LINE = 10;
const SIGKILL = 9;
/** Orders are read into new memory, and what is left of it is the children's: each has to collect the sooner, and writes where it shared. */
const TIDY_AFTER = 64;
/** Longest time that the self-test may take, ms. */
const TEST_MS = 10_000;

/** Exit code as a shell has it. @param {number} word as waitpid(2) gives it */
const exitCode = (word) => ((word & 0x7f) === 0 ? (word >> 8) & 0xff : 128 + (word & 0x7f));

/** @param {number} fd */
function isOpen(fd) {
  try {
    fs.fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

/** Lines of JSON from a descriptor. */
class Lines {
  #unread = Buffer.alloc(0);
  #chunk = Buffer.alloc(65536);
  /** @param {number} fd */
  constructor(fd) {
    this.fd = fd;
  }
  /** One that has been read already. @returns {any} undefined: none */
  take() {
    const end = this.#unread.indexOf(NEW_LINE);
    if (end < 0) return undefined;
    const line = this.#unread.toString('utf8', 0, end);
    this.#unread = this.#unread.subarray(end + 1);
    return JSON.parse(line);
  }
  /** Reads what is there, once there is something. @returns {boolean} false: at its end, or too long for a line */
  read() {
    const read = fs.readSync(this.fd, this.#chunk, 0, this.#chunk.length, null);
    if (read === 0 || this.#unread.length > MAX_ORDER) return false;
    this.#unread = Buffer.concat([this.#unread, this.#chunk.subarray(0, read)]);
    return true;
  }
}

const status = Buffer.alloc(4);
const explored = Buffer.alloc(65536);

class Forker {
  /** Processes that have not been waited for: descriptor that tells of its end → pid. @type {Map<number, number>} */
  #children = new Map();
  /**
   * Descriptors that the event loops of other threads leave behind in a child: a way from there into this process. They are the same
   * in all children, as they were there before the first. @type {number[]}
   */
  #leftBehind = [];
  /**
   * @param {number} input orders @param {number} output answers @param {number[]} [own] further descriptors that a child has to close
   */
  constructor(input, output, own = []) {
    this.lines = new Lines(input);
    this.output = output;
    this.own = own;
  }

  /** @param {object} message */
  tell(message) {
    fs.writeSync(this.output, `${JSON.stringify(message)}\n`);
  }

  /** @param {number} pid */
  watch(pid) {
    this.#forks++;
    this.#children.set(pidfd(pid), pid);
  }

  /** Tells how one that has ended did. @param {number} fd */
  #reap(fd) {
    const pid = /** @type {number} */ (this.#children.get(fd));
    if (libc.waitpid(pid, status, WNOHANG) === 0) return;
    this.#children.delete(fd);
    fs.closeSync(fd);
    this.tell({ ended: pid, code: exitCode(status.readInt32LE()) });
  }

  /** Called after each few forks, when there is nothing else to do. */
  tidy = () => {};
  #forks = 0;

  /** The next order; undefined when nobody gives any more. @returns {any} */
  next() {
    const { lines } = this;
    for (;;) {
      const order = lines.take();
      if (order !== undefined) return order;
      if (this.#forks >= TIDY_AFTER && readable([lines.fd], 0).length === 0) {
        this.#forks = 0;
        this.tidy();
      }
      const ready = readable([lines.fd, ...this.#children.keys()]);
      for (const fd of ready) if (fd !== lines.fd) this.#reap(fd);
      if (ready.includes(lines.fd) && !lines.read()) return undefined;
    }
  }

  /** In a child: lets go of what is its parent's. */
  forget() {
    for (const fd of [...this.#children.keys(), ...this.own]) fs.closeSync(fd);
    this.#children.clear();
    const nothing = fs.openSync('/dev/null', 'r+');
    // Not closed: whatever still knows the number must not meet somebody else's file there.
    for (const fd of this.#leftBehind) must(libc.dup2(nothing, fd), 'dup2');
    fs.closeSync(nothing);
  }

  /** In the first child: which descriptors are its parent's and not meant for it. @param {number} parent @param {number[]} meant */
  #findLeftBehind(parent, meant) {
    const known = new Set([0, 1, 2, this.lines.fd, this.output, ...this.own, ...meant]);
    return fs
      .readdirSync('/proc/self/fd')
      .map(Number)
      .filter((fd) => !known.has(fd) && isOpen(fd) && isShared(process.pid, parent, fd));
  }

  /** Forks on orders that are nothing else. @returns {any} in the child its order, in this process undefined when nobody gives any more */
  nextFork() {
    for (;;) {
      const order = this.next();
      if (order === undefined) return undefined;
      const pid = fork();
      if (pid === 0) return order;
      if (pid < 0) {
        this.tell({ error: 'fork: no more processes or memory' });
        continue;
      }
      this.watch(pid);
      this.tell({ pid });
    }
  }

  /** Finds out what children have to let go of, by a process that runs nothing else. Throws when forking does not work. */
  look() {
    const parent = process.pid;
    const [read, write] = pipe();
    const pid = fork();
    if (pid === 0) {
      fs.writeSync(write, JSON.stringify(this.#findLeftBehind(parent, [read, write])));
      libc._exit(0);
    }
    fs.closeSync(write);
    if (pid > 0) libc.waitpid(pid, status, 0);
    const found = fs.readFileSync(read, 'utf8');
    fs.closeSync(read);
    this.#leftBehind = JSON.parse(found);
  }

  /** Whether a forked process that tries out what functions need ends well. @returns {'child' | 'passed' | string} */
  selfTest() {
    const parent = process.pid;
    const [read, write] = pipe();
    const pid = fork();
    if (pid === 0) {
      this.#leftBehind = this.#findLeftBehind(parent, [read, write]);
      fs.writeSync(write, JSON.stringify(this.#leftBehind));
      for (const fd of [read, write]) fs.closeSync(fd);
      this.forget();
      return 'child';
    }
    fs.closeSync(write);
    if (pid < 0) return 'fork: no more processes or memory';
    const fd = pidfd(pid);
    const over = readable([fd], TEST_MS).length > 0;
    if (!over) libc.kill(pid, SIGKILL);
    libc.waitpid(pid, status, 0);
    fs.closeSync(fd);
    const found = fs.readFileSync(read, 'utf8');
    fs.closeSync(read);
    if (!over) return `the forked process did not pass its test within ${TEST_MS / 1000} s`;
    const word = status.readInt32LE();
    if (word !== 0) return `the forked process failed its test (status ${word})`;
    this.#leftBehind = JSON.parse(found);
    return 'passed';
  }

  /**
   * Forks a process that lives once for nobody. @returns {number | Set<number>} in that process where it is to write what `explorer`
   * says, in this one the pages that it has written to from the time on when a function's code was to be loaded
   */
  #explore() {
    const [read, write] = pipe();
    const pid = fork();
    if (pid === 0) {
      fs.closeSync(read);
      this.forget();
      return write;
    }
    fs.closeSync(write);
    let found = '';
    while (pid > 0 && readable([read], TEST_MS).length > 0) {
      const length = fs.readSync(read, explored, 0, explored.length, null);
      if (length === 0) break;
      found += explored.toString('latin1', 0, length);
    }
    fs.closeSync(read);
    if (pid > 0) {
      libc.kill(pid, SIGKILL);
      libc.waitpid(pid, status, 0);
    }
    // Without it instances are as good, only later.
    const [before, after] = found.endsWith(']') ? JSON.parse(found) : [[], []];
    return new Set(pagesOf(after)).difference(new Set(pagesOf(before)));
  }

  /**
   * Finds out what instances write to from the time on when they become a function's, for `copyAhead`.
   * @returns {number | undefined} in a process that is to find out what that is, as `#explore`
   */
  learn() {
    /** @type {Set<number> | undefined} */
    let both;
    for (let round = 0; round < 2; round++) {
      const found = this.#explore();
      if (typeof found === 'number') return found;
      // What both have written to: where new objects are made is another place each time.
      both = both === undefined ? found : both.intersection(found);
      this.tidy();
    }
    setCopies(rangesOf([...(both ?? [])]));
    return undefined;
  }
}

module.exports = { Forker, Lines, exitCode };
