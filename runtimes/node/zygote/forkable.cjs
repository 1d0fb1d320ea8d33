// @ts-check
'use strict';
/** Whether a process in which a function's code has been loaded can be forked: what code does while it loads may forbid it. */

const fs = require('node:fs');
const crypto = require('node:crypto');

/** Threads that Node has in any process, and that a forked one gets anew; the kernel knows fifteen letters of a name. */
const NODE_THREADS = new Set(['node-V8Worker', 'DelayedTaskSche', 'libuv-worker']);
/** What may wait in a process that is forked: it goes on in each child; or is told by its descriptor, unless that is standard output's. */
const HARMLESS = new Set([
  'Timeout',
  'Immediate',
  'PipeWrap',
  'PipeServerWrap',
  'TCPSocketWrap',
  'TCPServerWrap',
  'TTYWrap',
]);
/** After the load, what has begun may take this long to end, ms. */
const SETTLE_MS = 500;
const LOOK_MS = 20;

/** Functions whose results must be nobody else's. */
const RANDOM = /** @type {const} */ ([
  'randomBytes',
  'randomFill',
  'randomFillSync',
  'randomInt',
  'randomUUID',
  'generateKey',
  'generateKeySync',
  'generateKeyPair',
  'generateKeyPairSync',
]);

/** What keeps the event loop busy: how many of each kind. @returns {Map<string, number>} */
function resources() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** Open descriptors and what they are. @returns {Map<string, string>} */
function descriptors() {
  const found = new Map();
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      found.set(fd, fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // That of the directory itself.
    }
  }
  return found;
}

/** Names of all threads but the main one. */
const threads = () =>
  fs
    .readdirSync('/proc/self/task')
    .filter((id) => Number(id) !== process.pid)
    .map((id) => fs.readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim());

const hasChildren = () =>
  fs
    .readdirSync('/proc/self/task')
    .some((id) => fs.readFileSync(`/proc/self/task/${id}/children`, 'utf8') !== '');

/**
 * Begins to watch, before any code is loaded.
 * @returns {{problem(trusted: boolean): Promise<string | undefined>, drawn(): string}} `problem` is asked once when it has been loaded:
 *   why the process cannot be forked. `trusted`: whoever wrote the code says that it may draw random numbers while it loads. `drawn`: by
 *   which function it has
 */
function watch() {
  let drawn = '';
  const before = { resources: resources(), descriptors: descriptors() };
  const undo = [];
  const replace = (/** @type {any} */ owner, /** @type {string} */ name) => {
    const original = owner[name];
    if (typeof original !== 'function') return;
    const watched = Object.assign(function (/** @type {any[]} */ ...args) {
      drawn ||= name;
      // @ts-expect-error: whatever it was called on
      return Reflect.apply(original, this === undefined ? owner : this, args);
    }, original);
    owner[name] = watched;
    undo.push(() => {
      // Somebody may have put something of his own there.
      if (owner[name] === watched) owner[name] = original;
    });
  };
  for (const name of RANDOM) replace(crypto, name);
  const web = Object.getPrototypeOf(crypto.webcrypto);
  for (const name of ['getRandomValues', 'randomUUID']) replace(web, name);
  // ES modules see a copy of what the module exports.
  require('node:module').syncBuiltinESMExports();

  /** What is there that a fork would not bring along, or would share. */
  const look = () => {
    if (hasChildren()) return 'it has started a process';
    const foreign = threads().find((name) => !NODE_THREADS.has(name));
    if (foreign !== undefined) return `it has started a thread (${foreign})`;
    for (const [kind, count] of resources())
      if (!HARMLESS.has(kind) && count > (before.resources.get(kind) ?? 0))
        return `something is under way or open: ${kind}`;
    for (const [fd, what] of descriptors())
      if (before.descriptors.get(fd) !== what && !what.includes('/proc/')) return `it has opened ${what}`;
    return undefined;
  };

  return {
    drawn: () => drawn,
    async problem(trusted) {
      for (const each of undo) each();
      require('node:module').syncBuiltinESMExports();
      if (drawn !== '' && !trusted) return `it has drawn random numbers while it was loaded (${drawn})`;
      let found = look();
      for (let waited = 0; found !== undefined && waited < SETTLE_MS; waited += LOOK_MS) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        found = look();
      }
      return found;
    },
  };
}

module.exports = { watch };
