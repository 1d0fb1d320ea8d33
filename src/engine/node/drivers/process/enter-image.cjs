// @ts-check
'use strict';
/**
 * The last step before a container's own program where its root is an image, which need not have a shell: takes the root, gives up all
 * privileges and becomes the program. `node enter-image.cjs <file>`: the file is JSON of `Entry`, so that no variable of the container is one
 * of a process with privileges.
 */
const fs = require('node:fs');
const path = require('node:path');

/**
 * @typedef {{
 *   root: string, cwd: string, command: string[], env: Record<string, string>,
 *   user?: {uid: number, gid: number, groups: number[]},
 * }} Entry `user` absent: the same, without capabilities
 */

const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const LAST_CAPABILITY = 63;
/** Version 3 of the header of capset(2), for this process; and no capability in any set. */
const CAPABILITY_HEADER = Buffer.from(new Uint32Array([0x20080522, 0]).buffer);
const NO_CAPABILITIES = Buffer.alloc(24);
/** Signals that Node ignores, which a program would inherit: SIGPIPE, SIGXFSZ. */
const IGNORED = [13, 25];
/** As a shell says it. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** @param {number} code @param {string} text @returns {never} */
function fail(code, text) {
  process.stderr.write(`${text}\n`);
  process.exit(code);
}

process.emitWarning = () => {}; // Node's version is pinned: what may change in another one does not concern this one.
const { functions: libc } = require('node:ffi').dlopen(null, {
  chroot: { return: 'int32', arguments: ['string'] },
  capset: { return: 'int32', arguments: ['buffer', 'buffer'] },
  prctl: { return: 'int32', arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'] },
  signal: { return: 'pointer', arguments: ['int32', 'pointer'] },
});

/** @type {Entry} */
const { root, cwd, command, env, user } = JSON.parse(fs.readFileSync(process.argv[2] ?? '', 'utf8'));
if (libc.chroot(root) !== 0) fail(125, `cannot enter the image at ${root}`);
process.chdir('/');
libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n);
for (let each = 0; each <= LAST_CAPABILITY; each++) libc.prctl(PR_CAPBSET_DROP, BigInt(each), 0n, 0n, 0n);
if (user) {
  /** @type {any} */ (process).setgroups(user.groups);
  /** @type {any} */ (process).setgid(user.gid);
  /** @type {any} */ (process).setuid(user.uid);
}
if (libc.capset(CAPABILITY_HEADER, NO_CAPABILITIES) !== 0) fail(125, 'cannot give up capabilities');
try {
  process.chdir(cwd);
} catch {
  fail(NOT_EXECUTABLE, `cannot enter the working directory ${cwd}`);
}
const [name = ''] = command;
const places = name.includes('/')
  ? [path.resolve(cwd, name)]
  : (env.PATH ?? '').split(':').map((dir) => path.resolve(cwd, dir, name));
const file = places.find((place) => fs.statSync(place, { throwIfNoEntry: false })?.isFile());
if (file === undefined) fail(NOT_FOUND, `exec: "${name}": the image has no such program`);
for (const signal of IGNORED) libc.signal(signal, 0n);
try {
  /** @type {any} */ (process).execve(file, command, env);
} catch (error) {
  fail(NOT_EXECUTABLE, `exec: "${name}": ${/** @type {Error} */ (error).message}`);
}
