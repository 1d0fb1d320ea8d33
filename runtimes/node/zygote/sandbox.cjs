// @ts-check
'use strict';
/**
 * What a forked process does before anything of the user's can run in it: enters its control groups, makes namespaces and a view of
 * the file system of its own, and gives up all privileges. The node agent says how, in numbers of the kernel; see runtimes/PROTOCOL.md.
 */

const fs = require('node:fs');
const { libc, must } = require('./libc.cjs');

/**
 * @typedef {{
 *   groups: string[], hostname: string, root: string,
 *   mounts: {source: string, target: string, type: string, flags: number[], data: string, mkdir?: boolean}[],
 *   user?: {uid: number, gid: number, groups: number[]},
 * }} Sandbox
 */

/** Namespaces of a forked process; that for process ids is made before the fork. `unshare(2)` */
const NEW_NAMESPACES = 0x00020000 | 0x08000000 | 0x04000000; // mount, ipc, uts
const RECURSIVE_PRIVATE = 0x4000n | 0x40000n;
const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const LAST_CAPABILITY = 63;
/** Version 3 of the header of capset(2), for this process; and no capability in any set. */
const CAPABILITY_HEADER = Buffer.from(new Uint32Array([0x20080522, 0]).buffer);
const NO_CAPABILITIES = Buffer.alloc(24);

/** @param {Sandbox['user']} user absent: the same, without capabilities */
function dropPrivileges(user) {
  must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n), 'no_new_privs');
  if (user === undefined) {
    for (let each = 0; each <= LAST_CAPABILITY; each++) libc.prctl(PR_CAPBSET_DROP, BigInt(each), 0n, 0n, 0n);
  } else {
    const groups = Buffer.from(new Uint32Array(user.groups).buffer);
    must(libc.setgroups(BigInt(user.groups.length), groups), 'setgroups');
    must(libc.setresgid(user.gid, user.gid, user.gid), 'setresgid');
    must(libc.setresuid(user.uid, user.uid, user.uid), 'setresuid');
  }
  must(libc.capset(CAPABILITY_HEADER, NO_CAPABILITIES), 'capset');
  // As after an exec: otherwise /proc/self belongs to root.
  libc.prctl(PR_SET_DUMPABLE, 1n, 0n, 0n, 0n);
}

/**
 * Enters the control groups, and makes the namespaces and the view of the file system. Throws when something does not work: the
 * process must end then. @param {Sandbox} sandbox
 */
function buildView({ groups, hostname, mounts }) {
  for (const file of groups) {
    try {
      fs.writeFileSync(file, '0');
    } catch (error) {
      throw new Error(`cannot enter the control group ${file}: ${/** @type {Error} */ (error).message}`);
    }
  }
  must(libc.unshare(NEW_NAMESPACES), 'unshare');
  must(libc.mount('none', '/', '', RECURSIVE_PRIVATE, ''), 'mount /');
  must(libc.sethostname(hostname, BigInt(Buffer.byteLength(hostname))), 'sethostname');
  for (const { source, target, type, flags, data, mkdir } of mounts) {
    if (mkdir) fs.mkdirSync(target, { recursive: true, mode: 0o755 });
    // More than one: what a bind mount may do is settled by mounting it again.
    for (const each of flags) must(libc.mount(source, target, type, BigInt(each), data), `mount ${target}`);
  }
}

/** Throws when the process could not be confined: it must end then. @param {Sandbox} sandbox */
function enterSandbox(sandbox) {
  buildView(sandbox);
  must(libc.chroot(sandbox.root), 'chroot');
  process.chdir('/');
  dropPrivileges(sandbox.user);
}

module.exports = { enterSandbox, buildView, dropPrivileges };
