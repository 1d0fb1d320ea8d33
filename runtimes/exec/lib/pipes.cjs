// @ts-check
'use strict';
/**
 * Real pipes for the standard streams of a program. Node gives its children sockets, which cannot be opened by name: `cat /dev/stdin`
 * and `tee /dev/stderr`, usual in scripts, would fail. A set of named pipes is made by mkfifo(1) and used by one request after the other.
 */

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = fs.constants;
/** Sets that are made at a time: one start of mkfifo. */
const BATCH = 4;
const NAMES = ['in', 'out', 'err'];

/** @typedef {{in: string, out: string, err: string}} Set paths of the pipes of one request */

/** @type {Set[]} */
const free = [];
/** @type {string | undefined} */
let dir;
let made = 0;
/** @type {Promise<void> | undefined} */
let making;

/** @returns {Promise<void>} */
async function make() {
  if (dir === undefined) {
    const mine = fs.mkdtempSync(path.join(os.tmpdir(), 'pipes-'));
    dir = mine;
    process.once('exit', () => fs.rmSync(mine, { recursive: true, force: true }));
  }
  /** @type {Set[]} */
  const sets = [];
  for (let i = 0; i < BATCH; i++) {
    const at = path.join(dir, String(made++));
    sets.push({ in: `${at}.in`, out: `${at}.out`, err: `${at}.err` });
  }
  const paths = sets.flatMap((set) => Object.values(set));
  const child = spawn('mkfifo', ['-m', '600', ...paths], { stdio: ['ignore', 'ignore', 'inherit'] });
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve(undefined) : reject(new Error(`mkfifo ended with ${code}`)),
    );
  });
  free.push(...sets);
}

/** Makes the first pipes, so that the first request need not wait for them. Fails when there is no mkfifo. */
function prepare() {
  making ??= make().finally(() => {
    making = undefined;
  });
  making.catch(() => {});
  return making;
}

/** @returns {Promise<Set>} */
async function take() {
  for (;;) {
    const set = free.pop();
    if (set !== undefined) return set;
    await prepare();
  }
}

/**
 * The open ends of one request's pipes.
 * @typedef {object} Pipes
 * @property {[number | 'ignore', number, number]} stdio the program's ends; closed by `started`
 * @property {net.Socket | undefined} stdin
 * @property {net.Socket} stdout
 * @property {net.Socket} stderr
 * @property {() => void} started the program has its ends
 * @property {() => void} done the program is gone and both outputs have been read to their end or closed
 */

/** @param {Set} set @param {boolean} body whether the program gets something to read @returns {Pipes} */
function open(set, body) {
  // Held for a moment, so that neither end has to wait for the other; the program's ends are blocking, as programs expect.
  const reader = (/** @type {string} */ file) => {
    const own = fs.openSync(file, O_RDONLY | O_NONBLOCK);
    return { own, theirs: fs.openSync(file, O_WRONLY) };
  };
  const out = reader(set.out);
  const err = reader(set.err);
  /** @type {{own: number, theirs: number} | undefined} */
  let input;
  if (body) {
    const both = fs.openSync(set.in, O_RDWR | O_NONBLOCK);
    input = { theirs: fs.openSync(set.in, O_RDONLY), own: fs.openSync(set.in, O_WRONLY | O_NONBLOCK) };
    fs.closeSync(both);
  }
  const stdout = new net.Socket({ fd: out.own, readable: true, writable: false });
  const stderr = new net.Socket({ fd: err.own, readable: true, writable: false });
  let ended = 0;
  for (const socket of [stdout, stderr]) {
    socket.once('end', () => ended++);
    socket.on('error', () => {});
  }
  return {
    stdio: [input?.theirs ?? 'ignore', out.theirs, err.theirs],
    stdin: input && new net.Socket({ fd: input.own, readable: false, writable: true }),
    stdout,
    stderr,
    started() {
      for (const fd of [input?.theirs, out.theirs, err.theirs]) if (fd !== undefined) fs.closeSync(fd);
    },
    done() {
      // A process that has got away may still hold an end: such pipes belong to it from now on.
      if (ended === 2 && (!body || unread(set.in))) free.push(set);
      else for (const name of NAMES) fs.rm(set[/** @type {keyof Set} */ (name)], () => {});
    },
  };
}

/** Whether nobody has the reading end open. @param {string} file */
function unread(file) {
  try {
    fs.closeSync(fs.openSync(file, O_WRONLY | O_NONBLOCK));
    return false;
  } catch {
    return true; // ENXIO
  }
}

/** Gives back what nobody has used. @param {Set} set */
function give(set) {
  free.push(set);
}

module.exports = { prepare, take, give, open };
