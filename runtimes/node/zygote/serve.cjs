// @ts-check
'use strict';
/** The zygote's work: forks on the node agent's orders (file descriptor 3). In the child `serve` returns what it was forked for. */

const fs = require('node:fs');
const { libc, must, fork, forkBare, spawn } = require('./libc.cjs');
const { Forker } = require('./forker.cjs');

/** To the node agent and back: lines of JSON. */
const CONTROL = 3;
const CLONE_NEWPID = 0x20000000;
const CLONE_NEWNS = 0x00020000;
const F_SETFD = 2;
const FD_CLOEXEC = 1n;
const SIGKILL = 9;

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
 * Forks; where the order asks for it as the second process of a new pid namespace, whose first one lives as long as the agent wants.
 * @param {Order} order @returns {boolean} whether this is the child
 */
function carryOut({ id, keeper, gate }) {
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
    forker.watch(first);
  }
  const pid = gate === undefined ? fork() : forkBare();
  if (pid === 0) return true;
  if (first !== undefined) libc.setns(ownPids, CLONE_NEWPID);
  if (pid < 0) {
    if (first !== undefined) libc.kill(first, SIGKILL);
    throw new Error('fork: no more processes or memory');
  }
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
    if (pid < 0) throw new Error('fork: no more processes or memory');
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
