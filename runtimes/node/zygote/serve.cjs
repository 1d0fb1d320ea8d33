// @ts-check
'use strict';
/** The zygote's work: forks on the node agent's orders (file descriptor 3). In the child `serve` returns what it was forked for. */

const fs = require('node:fs');
const { libc, must, fork, forkBare, pipe, spawn } = require('./libc.cjs');
const { Forker } = require('./forker.cjs');

/** To the node agent and back: lines of JSON. */
const CONTROL = 3;
const CLONE_NEWPID = 0x20000000;
const CLONE_NEWNS = 0x00020000;
const F_SETFD = 2;
const FD_CLOEXEC = 1n;
const SIGKILL = 9;
const PR_SET_CHILD_SUBREAPER = 36;

/**
 * @typedef {{
 *   id: number, stdout?: string, stderr?: string, keeper?: {command: string[], life: string},
 *   sandbox?: import('./sandbox.cjs').Sandbox, env: Record<string, string>,
 *   gate?: import('./gate.cjs').Gate,
 *   mount?: {of: number, source: string, target: string, flags: number[]},
 * }} Order
 */

const ownPids = fs.openSync('/proc/self/ns/pid', 'r');
const forker = new Forker(CONTROL, CONTROL, [ownPids]);

/** @param {object} message */
const tell = (message) => forker.tell(message);

/**
 * Without root the process numbers of the machine are not this process's own: it could leave them, but not come back. It takes what
 * the processes that go there in its place leave behind, then.
 */
const returns = libc.setns(ownPids, CLONE_NEWPID) === 0;
if (!returns) libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);

/** Why there is no new process. */
const FULL = 'fork: no more processes or memory';

/**
 * Forks into a new pid namespace, whose first process is the keeper. What is forked next goes there too.
 * @param {NonNullable<Order['keeper']>} keeper @param {boolean} bare @returns {[first: number, pid: number]}
 */
function forkKept(keeper, bare) {
  must(libc.unshare(CLONE_NEWPID), 'unshare');
  const first = spawn(keeper.command, keeper.life);
  const pid = bare ? forkBare() : fork();
  if (pid < 0) {
    libc.kill(first, SIGKILL);
    libc.waitpid(first, Buffer.alloc(4), 0);
    throw new Error(FULL);
  }
  return [first, pid];
}

/**
 * The same by a process in between, which leaves both to this one when it ends.
 * @param {NonNullable<Order['keeper']>} keeper @param {boolean} bare @returns {[first: number, pid: number]}
 */
function forkAside(keeper, bare) {
  const [read, write] = pipe();
  // The keeper must not have it: this side reads to the end.
  libc.fcntl(write, F_SETFD, FD_CLOEXEC);
  const between = forkBare();
  if (between === 0) {
    fs.closeSync(read);
    /** @type {{forked?: [number, number], error?: string}} */
    let told;
    try {
      const forked = forkKept(keeper, bare);
      if (forked[1] === 0) {
        fs.closeSync(write);
        return forked;
      }
      told = { forked };
    } catch (error) {
      told = { error: /** @type {Error} */ (error).message };
    }
    fs.writeSync(write, JSON.stringify(told));
    libc._exit(0);
  }
  fs.closeSync(write);
  const text = fs.readFileSync(read, 'utf8');
  fs.closeSync(read);
  if (between < 0) throw new Error(FULL);
  libc.waitpid(between, Buffer.alloc(4), 0);
  const { forked, error = 'the process in between has ended' } = JSON.parse(text || '{}');
  if (forked === undefined) throw new Error(error);
  return forked;
}

/**
 * Forks; where the order asks for it as the second process of a new pid namespace, whose first one lives as long as the agent wants.
 * @param {Order} order @returns {boolean} whether this is the child
 */
function carryOut({ id, keeper, gate }) {
  /** @type {number | undefined} */
  let first;
  let pid;
  const bare = gate !== undefined;
  if (keeper === undefined) pid = bare ? forkBare() : fork();
  else if (!returns) [first, pid] = forkAside(keeper, bare);
  else {
    try {
      [first, pid] = forkKept(keeper, bare);
    } finally {
      if (pid !== 0) libc.setns(ownPids, CLONE_NEWPID);
    }
  }
  if (pid === 0) return true;
  if (pid < 0) throw new Error(FULL);
  if (first !== undefined) forker.watch(first);
  forker.watch(pid);
  tell({ id, pid, keeper: first });
  return false;
}

/**
 * Mounts something in the namespace of a process that runs already. Here, because starting programs for it would cost the agent more
 * than the fork of an instance. @param {number} id @param {{of: number, source: string, target: string, flags: number[]}} order
 */
function mountFor(id, { of, source, target, flags }) {
  const pid = libc.fork();
  if (pid !== 0) {
    if (pid < 0) throw new Error(FULL);
    forker.watch(pid);
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

/**
 * Carries out orders until this is a child, whose order it returns, or the agent is gone. @param {() => void} tidy takes away what is
 * left of orders @param {() => void} learned called when nothing has to be found out any more
 * @returns {Order | 'test' | number} `test`: try out everything, and end with 0 when it works; a descriptor: live once and write there
 *   what memory that took
 */
function serve(tidy, learned) {
  forker.tidy = tidy;
  libc.fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
  const tested = forker.selfTest();
  if (tested === 'child') return 'test';
  if (tested !== 'passed') {
    tell({ failed: tested });
    process.exit(1);
  }
  const learning = forker.learn();
  if (learning !== undefined) return learning;
  learned();
  tell({ ready: true });
  for (;;) {
    /** @type {Order | undefined} */
    const order = forker.next();
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
    forker.forget();
    return order;
  }
}

module.exports = { serve, tell, CONTROL };
