// @ts-check
'use strict';
/**
 * The gate of a function zygote: a process with the platform's rights that runs files of the runtime only, beside one without any
 * that has loaded a function's code (runtimes/PROTOCOL.md, "Function zygote"). The two have root and working directory in common, so
 * this one can give each process that the other forks a root of its own; it puts it into its control groups, and tells of its end.
 */

const fs = require('node:fs');
const path = require('node:path');
const {
  libc,
  must,
  forkBare,
  comeAlive,
  pidfd,
  pipe,
  pivotHere,
  readable,
  MNT_DETACH,
} = require('./libc.cjs');
const { Lines, exitCode } = require('./forker.cjs');
const { buildView, dropPrivileges } = require('./sandbox.cjs');

/**
 * @typedef {{
 *   orders: string, answers: string, groups: string[], fresh: string[],
 * }} Gate `groups`: directories in which control groups are made; `fresh`: directories in memory that each instance has of its own
 * @typedef {{
 *   id: number, groups: string[], stdout: string, stderr: string, env: Record<string, string>,
 * }} ForkOrder
 * @typedef {{input: number, output: number, go: number}} Channel of the process that loads code: orders, answers, and a byte for
 *   each forked process that may go on
 */

const F_SETFD = 2;
const FD_CLOEXEC = 1n;
const SIGKILL = 9;
const O_PATH = 0x200000;
const MS = { bind: 0x1000n, recursive: 0x4000n, unbindable: 0x20000n, private: 0x40000n };
/** Where the roots are; nobody but this process may pass. */
const SLOTS = '/run/.petrel-slots';
/** Longest time that a fork may take, and that the exit code of a process that has ended may keep others waiting, ms. */
const FORK_MS = 2000;
const CODE_MS = 500;
/** Exit code of a process whose end nobody has seen. */
const UNSEEN = 255;

/** @param {string} inner @param {string} outer */
const within = (inner, outer) => inner.startsWith(`${outer}/`);

/** The directories that an instance has of its own, and what lies in them of the view. @param {import('./sandbox.cjs').Sandbox} sandbox @param {string[]} fresh */
function scratchOf({ root, mounts }, fresh) {
  const inside = mounts.map((mount) => ({ ...mount, target: mount.target.slice(root.length) }));
  return inside
    .filter(({ type, target }) => type === 'tmpfs' && fresh.includes(target))
    .map((own) => {
      const nested = inside.map(({ target }) => target).filter((target) => within(target, own.target));
      // What lies in one of these comes along with it.
      return { own, nested: nested.filter((each) => !nested.some((other) => within(each, other))) };
    });
}

class GateKeeper {
  /** Processes by the descriptor that tells of their end. @type {Map<number, {id: number, pid: number, slot: string}>} */
  #children = new Map();
  /** Exit codes that the other process has told. @type {Map<number, number>} */
  #codes = new Map();
  #slots = 0;
  #ending = false;
  #living = true;
  /**
   * @param {{orders: number, answers: number, to: number, from: number, go: number, zygote: number, groups: Map<string, number>,
   *   root: number | undefined, scratch: ReturnType<typeof scratchOf>}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.orders = new Lines(parts.orders);
    this.from = new Lines(parts.from);
    this.end = pidfd(parts.zygote);
  }

  /** @param {object} message */
  tell(message) {
    fs.writeSync(this.parts.answers, `${JSON.stringify(message)}\n`);
  }

  /** A root like the other process's, with scratch space of its own. @param {string} at */
  #makeSlot(at) {
    fs.mkdirSync(at);
    must(libc.mount('/', at, '', MS.bind | MS.recursive, ''), 'mount the root');
    must(libc.mount('', at, '', MS.private | MS.recursive, ''), 'mount the root');
    for (const { own, nested } of this.parts.scratch) {
      must(libc.mount('tmpfs', at + own.target, 'tmpfs', BigInt(own.flags[0] ?? 0), own.data), own.target);
      for (const each of nested) {
        fs.mkdirSync(at + each, { recursive: true, mode: 0o755 });
        must(libc.mount(each, at + each, '', MS.bind | MS.recursive, ''), each);
      }
    }
  }

  /** @param {string} at */
  #removeSlot(at) {
    if (this.parts.root === undefined || !fs.existsSync(at)) return;
    libc.umount2(at, MNT_DETACH);
    fs.rmdirSync(at);
  }

  /** Runs something while both processes have this root. @template T @param {string} at @param {() => T} work @returns {T} */
  #inSlot(at, work) {
    if (this.parts.root === undefined) return work();
    this.#makeSlot(at);
    must(libc.chroot(at), 'chroot');
    process.chdir('/');
    try {
      return work();
    } finally {
      must(libc.fchdir(this.parts.root), 'fchdir');
      must(libc.chroot('.'), 'chroot');
    }
  }

  /** The next thing that the other process says. @param {number} ms @returns {any} undefined: nothing in that time, or it has ended */
  #said(ms) {
    for (;;) {
      const line = this.from.take();
      if (line !== undefined) return line;
      if (readable([this.from.fd], ms).length === 0 || !this.from.read()) return undefined;
    }
  }

  /** Believed only of a process that the other has forked. @param {unknown} pid @returns {number} */
  #check(pid) {
    const status = Number.isInteger(pid) ? fs.readFileSync(`/proc/${pid}/status`, 'latin1') : '';
    const parent = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
    const known = [...this.#children.values()].some((child) => child.pid === pid);
    if (parent !== this.parts.zygote || known)
      throw new Error('the zygote has named a process that is not its own');
    return /** @type {number} */ (pid);
  }

  /** Has the other process fork. @param {object} order @returns {number} what it says is the new one's number */
  #ask(order) {
    fs.writeSync(this.parts.to, `${JSON.stringify(order)}\n`);
    for (;;) {
      const said = this.#said(FORK_MS);
      if (said?.ended !== undefined) this.#codes.set(said.ended, said.code);
      else if (said?.pid !== undefined) return said.pid;
      else throw new Error(said?.error ?? 'the zygote does not fork');
    }
  }

  /** @param {ForkOrder} order */
  #fork({ id, groups, ...order }) {
    const slot = `${SLOTS}/${++this.#slots}`;
    try {
      const pid = this.#check(this.#inSlot(slot, () => this.#ask({ id, ...order })));
      const fd = pidfd(pid);
      try {
        for (const file of groups) this.#enter(file, pid);
      } catch (error) {
        fs.closeSync(fd);
        libc.kill(pid, SIGKILL);
        throw error;
      }
      this.#children.set(fd, { id, pid, slot });
      fs.writeSync(this.parts.go, '!');
      // Not before: whoever reads its output must not take it for over.
      if (!this.#hasBegun(fd)) libc.kill(pid, SIGKILL);
      else this.tell({ id, up: true });
    } catch (error) {
      this.#removeSlot(slot);
      throw error;
    }
  }

  /** Whether a forked process has opened what it was told to. @param {number} end tells of its end */
  #hasBegun(end) {
    for (;;) {
      for (let said = this.from.take(); said !== undefined; said = this.from.take()) {
        if (said.begun) return true;
        if (said.ended !== undefined) this.#codes.set(said.ended, said.code);
      }
      const ready = readable([this.from.fd, end], FORK_MS);
      if (!ready.includes(this.from.fd) || !this.from.read()) return false;
    }
  }

  /** @param {string} file `cgroup.procs` of a control group, as the node agent sees it @param {number} pid */
  #enter(file, pid) {
    const dir = path.dirname(file);
    const base = this.parts.groups.get(path.dirname(dir));
    fs.writeFileSync(`/proc/self/fd/${base}/${path.basename(dir)}/${path.basename(file)}`, `${pid}`);
  }

  /** One of the forked processes has ended. @param {number} fd */
  #ended(fd) {
    const { id, pid, slot } = /** @type {{id: number, pid: number, slot: string}} */ (this.#children.get(fd));
    this.#children.delete(fd);
    fs.closeSync(fd);
    while (this.#living && !this.#codes.has(pid)) {
      const said = this.#said(CODE_MS);
      if (said === undefined) break;
      if (said.ended !== undefined) this.#codes.set(said.ended, said.code);
    }
    const code = this.#codes.get(pid);
    this.#codes.delete(pid);
    this.#removeSlot(slot);
    this.tell({ ended: id, code: Number.isInteger(code) ? code : UNSEEN });
  }

  #lost() {
    const status = Buffer.alloc(4);
    libc.waitpid(this.parts.zygote, status, 0);
    this.#living = false;
    fs.closeSync(this.end);
    this.tell({ lost: `it ended with exit code ${exitCode(status.readInt32LE())}` });
  }

  /** @param {{fork?: ForkOrder, end?: true}} order */
  #carryOut({ fork, end }) {
    if (end) {
      this.#ending = true;
      if (this.#living) libc.kill(this.parts.zygote, SIGKILL);
    }
    if (fork === undefined) return;
    try {
      if (!this.#living || this.#ending) throw new Error('the zygote has ended');
      this.#fork(fork);
    } catch (error) {
      this.tell({ id: fork.id, error: /** @type {Error} */ (error).message });
    }
  }

  /** Until the other process and all that it has forked have ended. @returns {number} exit code */
  serve() {
    for (;;) {
      const alive = this.#living ? [this.from.fd, this.end] : [];
      const ready = readable([this.orders.fd, ...alive, ...this.#children.keys()]);
      // First, as those that have ended may have it read again.
      if (ready.includes(this.from.fd) && this.#living && !this.from.read() && !ready.includes(this.end)) {
        // It has closed what it cannot do without.
        libc.kill(this.parts.zygote, SIGKILL);
      }
      for (let said = this.from.take(); said !== undefined; said = this.from.take()) {
        if (said.ready) this.tell({ ready: true });
        if (said.ended !== undefined && [...this.#children.values()].some(({ pid }) => pid === said.ended))
          this.#codes.set(said.ended, said.code);
      }
      for (const fd of ready) if (this.#children.has(fd)) this.#ended(fd);
      if (this.#living && ready.includes(this.end)) this.#lost();
      if (ready.includes(this.orders.fd) && !this.orders.read()) return 1;
      for (let order = this.orders.take(); order !== undefined; order = this.orders.take())
        this.#carryOut(order);
      if (!this.#living && this.#children.size === 0) return this.#ending ? 0 : 1;
    }
  }
}

/**
 * In a process that was forked without anything (`forkBare`): becomes the gate, which never returns, and makes the process that is to
 * load code, where this returns. That one is confined, and can do nothing more than an instance. Throws when that does not work.
 * @param {Gate} gate @param {import('./sandbox.cjs').Sandbox | undefined} sandbox @param {number} control closed here
 * @returns {Channel}
 */
function openGate(gate, sandbox, control) {
  const orders = fs.openSync(gate.orders, 'r');
  const answers = fs.openSync(gate.answers, 'w');
  const groups = new Map(gate.groups.map((dir) => [dir, fs.openSync(dir, O_PATH)]));
  /** @type {number | undefined} */
  let root;
  if (sandbox !== undefined) {
    buildView(sandbox);
    process.chdir(sandbox.root);
    // Not chroot(2): from a directory that is open outside of its root a process could climb to the machine's.
    pivotHere();
    root = fs.openSync('/', 'r');
    fs.mkdirSync(SLOTS);
    must(libc.mount('tmpfs', SLOTS, 'tmpfs', 0n, 'mode=700,size=1m'), 'mount the slots');
    // Otherwise each root would contain all others.
    must(libc.mount('', SLOTS, '', MS.unbindable, ''), 'mount the slots');
  }
  const [input, to] = pipe();
  const [from, output] = pipe();
  const [goAhead, go] = pipe();
  for (const fd of [input, to, from, output, goAhead, go]) libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
  const mine = [orders, answers, to, from, go, ...groups.values(), ...(root === undefined ? [] : [root])];
  const zygote = forkBare(sandbox !== undefined);
  if (zygote < 0) throw new Error('fork: no more processes or memory');
  if (zygote === 0) {
    for (const fd of mine) fs.closeSync(fd);
    comeAlive();
    if (sandbox !== undefined) dropPrivileges(sandbox.user);
    return { input, output, go: goAhead };
  }
  for (const fd of [input, output, goAhead, control]) fs.closeSync(fd);
  process.title = 'node zygote-gate';
  const scratch = sandbox === undefined ? [] : scratchOf(sandbox, gate.fresh);
  libc._exit(new GateKeeper({ orders, answers, to, from, go, zygote, groups, root, scratch }).serve());
  throw new Error('unreachable');
}

module.exports = { openGate };
