// @ts-check
'use strict';
/**
 * The zygote's work: waits, without an event loop and without a timer, for orders on file descriptor 3, forks, and tells how the
 * forked processes ended. In the child `serve` returns what it was forked for.
 */

const fs = require('node:fs');
const { libc, must, fork, spawn, pidfd, isShared, pipe } = require('./libc.cjs');

/** To the node agent and back: lines of JSON. */
const CONTROL = 3;
const CLONE_NEWPID = 0x20000000;
const CLONE_NEWNS = 0x00020000;
const POLLIN = 1;
/** `struct pollfd` */
const POLLFD = 8;
const WNOHANG = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1n;
const MAX_ORDER = 1 << 20;
const SIGKILL = 9;
/** Longest time that the self-test may take, ms. */
const TEST_MS = 10_000;

/**
 * @typedef {{
 *   id: number, stdout?: string, stderr?: string, keeper?: {command: string[], life: string},
 *   sandbox?: import('./sandbox.cjs').Sandbox, env: Record<string, string>,
 *   mount?: {of: number, source: string, target: string, flags: number[]},
 * }} Order
 */

/** @param {object} message */
function tell(message) {
  fs.writeSync(CONTROL, `${JSON.stringify(message)}\n`);
}

/** Processes that have not been waited for: descriptor that tells of its end → pid. @type {Map<number, number>} */
const children = new Map();

/** @param {number} pid */
function watch(pid) {
  children.set(pidfd(pid), pid);
}

const status = Buffer.alloc(4);

/** Tells how those that have ended did. @param {number} fd */
function reap(fd) {
  const pid = /** @type {number} */ (children.get(fd));
  if (libc.waitpid(pid, status, WNOHANG) === 0) return;
  children.delete(fd);
  fs.closeSync(fd);
  const word = status.readInt32LE();
  const signal = word & 0x7f;
  tell({ ended: pid, code: signal === 0 ? (word >> 8) & 0xff : 128 + signal });
}

/** Waits until there is something to read from the agent, telling of ends meanwhile. @returns {void} */
function wait() {
  for (;;) {
    const fds = [CONTROL, ...children.keys()];
    const set = Buffer.alloc(fds.length * POLLFD);
    for (const [index, fd] of fds.entries()) {
      set.writeInt32LE(fd, index * POLLFD);
      set.writeInt16LE(POLLIN, index * POLLFD + 4);
    }
    if (libc.poll(set, BigInt(fds.length), -1) < 0) continue;
    for (let index = 1; index < fds.length; index++)
      if (set.readInt16LE(index * POLLFD + 6) !== 0) reap(/** @type {number} */ (fds[index]));
    if (set.readInt16LE(6) !== 0) return;
  }
}

let unread = Buffer.alloc(0);
const chunk = Buffer.alloc(65536);
const NEW_LINE = 10;

/** The next order; undefined when the agent is gone. @returns {Order | undefined} */
function next() {
  for (;;) {
    const end = unread.indexOf(NEW_LINE);
    if (end >= 0) {
      const line = unread.toString('utf8', 0, end);
      unread = unread.subarray(end + 1);
      return JSON.parse(line);
    }
    wait();
    const read = fs.readSync(CONTROL, chunk, 0, chunk.length, null);
    if (read === 0 || unread.length > MAX_ORDER) return undefined;
    unread = Buffer.concat([unread, chunk.subarray(0, read)]);
  }
}

const ownPids = fs.openSync('/proc/self/ns/pid', 'r');

/**
 * Forks; where the order asks for it as the second process of a new pid namespace, whose first one lives as long as the agent wants.
 * @param {Order} order @returns {boolean} whether this is the child
 */
function carryOut({ id, keeper }) {
  /** @type {number | undefined} */
  let first;
  if (keeper !== undefined) {
    must(libc.unshare(CLONE_NEWPID), 'unshare');
    try {
      first = spawn(keeper.command, keeper.life);
    } catch (error) {
      libc.setns(ownPids, CLONE_NEWPID);
      throw error;
    }
    watch(first);
  }
  const pid = fork();
  if (pid === 0) return true;
  if (first !== undefined) libc.setns(ownPids, CLONE_NEWPID);
  if (pid < 0) {
    if (first !== undefined) libc.kill(first, SIGKILL);
    throw new Error('fork: no more processes or memory');
  }
  watch(pid);
  tell({ id, pid, keeper: first });
  return false;
}

/**
 * Descriptors that the event loops of other threads leave behind in a child: a way from there into this process. They are the same in
 * all children, as they were there before the first. @type {number[]}
 */
let leftBehind = [];

/** In the first child: which they are. @param {number} parent */
const findLeftBehind = (parent) =>
  fs
    .readdirSync('/proc/self/fd')
    .map(Number)
    .filter(
      (fd) => fd > 2 && fd !== CONTROL && fd !== ownPids && isOpen(fd) && isShared(process.pid, parent, fd),
    );

/** @param {number} fd */
function isOpen(fd) {
  try {
    fs.fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

/**
 * Mounts something in the namespace of a process that runs already. Here, because starting programs for it would cost the agent more
 * than the fork of an instance. @param {number} id @param {{of: number, source: string, target: string, flags: number[]}} order
 */
function mountFor(id, { of, source, target, flags }) {
  const pid = libc.fork();
  if (pid !== 0) {
    if (pid < 0) throw new Error('fork: no more processes or memory');
    watch(pid);
    tell({ id, pid });
    return;
  }
  // A process of one thread, which setns(2) asks for; it ends before anything of Node's could run in it.
  try {
    must(libc.setns(fs.openSync(`/proc/${of}/ns/mnt`, 'r'), CLONE_NEWNS), 'setns');
    for (const each of flags) must(libc.mount(source, target, 'none', BigInt(each), ''), 'mount');
    libc._exit(0);
  } catch {
    libc._exit(1);
  }
}

/** What of the zygote's the child must not have. */
function forget() {
  for (const fd of [...children.keys(), ownPids]) fs.closeSync(fd);
  children.clear();
  const nothing = fs.openSync('/dev/null', 'r+');
  // Not closed: whatever still knows the number must not meet somebody else's file there.
  for (const fd of leftBehind) must(libc.dup2(nothing, fd), 'dup2');
  fs.closeSync(nothing);
}

/** Whether a forked process that tries out what functions need ends well. @returns {'child' | 'passed' | string} */
function selfTest() {
  const parent = process.pid;
  const [read, write] = pipe();
  const pid = fork();
  if (pid === 0) {
    const found = findLeftBehind(parent).filter((fd) => fd !== read && fd !== write);
    fs.writeSync(write, JSON.stringify(found));
    for (const fd of [read, write]) fs.closeSync(fd);
    leftBehind = found;
    forget();
    return 'child';
  }
  fs.closeSync(write);
  if (pid < 0) return 'fork: no more processes or memory';
  const fd = pidfd(pid);
  const set = Buffer.alloc(POLLFD);
  set.writeInt32LE(fd, 0);
  set.writeInt16LE(POLLIN, 4);
  const over = libc.poll(set, 1n, TEST_MS) > 0;
  if (!over) libc.kill(pid, SIGKILL);
  libc.waitpid(pid, status, 0);
  fs.closeSync(fd);
  const found = fs.readFileSync(read, 'utf8');
  fs.closeSync(read);
  if (!over) return `the forked process did not pass its test within ${TEST_MS / 1000} s`;
  const word = status.readInt32LE();
  if (word !== 0) return `the forked process failed its test (status ${word})`;
  leftBehind = JSON.parse(found);
  return 'passed';
}

/**
 * Carries out orders until this is a child, whose order it returns, or the agent is gone.
 * @returns {Order | 'test'} `test`: try out everything, and end with 0 when it works
 */
function serve() {
  libc.fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
  const tested = selfTest();
  if (tested === 'child') return 'test';
  if (tested !== 'passed') {
    tell({ failed: tested });
    process.exit(1);
  }
  tell({ ready: true });
  for (;;) {
    const order = next();
    if (order === undefined) process.exit(0);
    try {
      if (order.mount !== undefined) {
        mountFor(order.id, order.mount);
        continue;
      }
      if (!carryOut(order)) continue;
    } catch (error) {
      tell({ id: order.id, error: /** @type {Error} */ (error).message });
      continue;
    }
    forget();
    return order;
  }
}

module.exports = { serve, tell, CONTROL };
