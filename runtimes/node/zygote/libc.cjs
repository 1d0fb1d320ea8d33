// @ts-check
'use strict';
/**
 * The calls of the C library that forking an instance takes, through Node's own foreign function interface: no compiler, no
 * addon. Everything else a zygote needs Node has itself. Linux, 64 bit.
 */

const fs = require('node:fs');

/** Names and types, as the C library's headers have them. Variadic ones are named with the arguments they are called with here. */
const CALLS = /** @type {const} */ ({
  fork: ['int32', []],
  uv_loop_fork: ['int32', ['pointer']],
  madvise: ['int32', ['pointer', 'uint64', 'int32']],
  unshare: ['int32', ['int32']],
  setns: ['int32', ['int32', 'int32']],
  mount: ['int32', ['string', 'string', 'string', 'uint64', 'string']],
  umount2: ['int32', ['string', 'int32']],
  chroot: ['int32', ['string']],
  fchdir: ['int32', ['int32']],
  sethostname: ['int32', ['string', 'uint64']],
  setgroups: ['int32', ['uint64', 'buffer']],
  setresgid: ['int32', ['uint32', 'uint32', 'uint32']],
  setresuid: ['int32', ['uint32', 'uint32', 'uint32']],
  setsid: ['int32', []],
  getpid: ['int32', []],
  getrandom: ['int64', ['buffer', 'uint64', 'uint32']],
  _exit: ['void', ['int32']],
  prctl: ['int32', ['int32', 'uint64', 'uint64', 'uint64', 'uint64']],
  capset: ['int32', ['buffer', 'buffer']],
  dup2: ['int32', ['int32', 'int32']],
  fcntl: ['int32', ['int32', 'int32', 'int64']],
  poll: ['int32', ['buffer', 'uint64', 'int32']],
  kill: ['int32', ['int32', 'int32']],
  waitpid: ['int32', ['int32', 'buffer', 'int32']],
  pipe: ['int32', ['buffer']],
  syscall: ['int64', ['int64', 'int64', 'int64', 'int64', 'int64', 'int64']],
  posix_spawn: ['int32', ['buffer', 'string', 'buffer', 'buffer', 'buffer', 'buffer']],
  posix_spawn_file_actions_init: ['int32', ['buffer']],
  posix_spawn_file_actions_addopen: ['int32', ['buffer', 'int32', 'string', 'int32', 'uint32']],
  posix_spawn_file_actions_destroy: ['int32', ['buffer']],
  posix_spawnattr_init: ['int32', ['buffer']],
  posix_spawnattr_setflags: ['int32', ['buffer', 'int16']],
  __errno_location: ['pointer', []],
  malloc: ['pointer', ['uint64']],
  free: ['void', ['pointer']],
  malloc_trim: ['int32', ['uint64']],
  mallopt: ['int32', ['int32', 'int32']],
  sbrk: ['pointer', ['int64']],
  // Node's own: the number of threads that V8's background tasks run on, and what starts them.
  _ZN4node12NodePlatform21NumberOfWorkerThreadsEv: ['int32', ['pointer']],
  _ZN4node23WorkerThreadsTaskRunnerC1EiNS_21PlatformDebugLogLevelE: ['void', ['pointer', 'int32', 'int32']],
});
/** Node's platform object: V8's host. */
const PLATFORM = '_ZN4node11per_process11v8_platformE';

/** @typedef {Record<keyof typeof CALLS, (...args: any[]) => any>} Libc */

/** Node's foreign function interface, without its warning that it may change: the Node version is pinned. */
function openFfi() {
  const { emitWarning } = process;
  try {
    process.emitWarning = () => {};
    const ffi = require('node:ffi');
    const definitions = Object.fromEntries(
      Object.entries(CALLS).map(([name, [result, args]]) => [name, { return: result, arguments: [...args] }]),
    );
    /** @type {{functions: Libc, lib: any}} */
    const { functions, lib } = ffi.dlopen(null, definitions);
    return { ffi, functions, platformAt: /** @type {bigint} */ (lib.getSymbol(PLATFORM)) };
  } finally {
    process.emitWarning = emitWarning;
  }
}

const { ffi, functions: libc, platformAt } = openFfi();

/** Names of the errors that are of use in a message. @type {Record<number, string>} */
const ERRNO = {
  1: 'EPERM',
  2: 'ENOENT',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  22: 'EINVAL',
  28: 'ENOSPC',
};

const errno = () => /** @type {number} */ (ffi.getInt32(libc.__errno_location(), 0));

/** Throws when a call has failed. @param {number} result @param {string} what */
function must(result, what) {
  if (result >= 0) return result;
  const number = errno();
  throw new Error(`${what}: ${ERRNO[number] ?? `error ${number}`}`);
}

/** Text as the C library has it. @param {string} text */
const cString = (text) => Buffer.from(`${text}\0`);

/** An array of strings that ends with null; keeps what it points to. @param {string[]} list */
function cStrings(list) {
  const texts = list.map(cString);
  const pointers = Buffer.alloc((list.length + 1) * 8);
  for (const [index, text] of texts.entries()) pointers.writeBigUInt64LE(ffi.getRawPointer(text), index * 8);
  return { pointers, texts };
}

/** Numbers of calls that the C library has no name for, or does more than is wanted in. */
const SYS =
  process.arch === 'arm64'
    ? { pidfdOpen: 434n, kcmp: 272n, clone: 220n, pivotRoot: 41n }
    : { pidfdOpen: 434n, kcmp: 312n, clone: 56n, pivotRoot: 155n };
const CLONE_FS = 0x200n;
const SIGCHLD = 17n;

const MADV_DONTFORK = 10;
const MADV_DOFORK = 11;
const MADV_POPULATE_WRITE = 23;
const LOWEST = 0x10000n;

/**
 * What of the address space a fork has to take along: all but the kernel's own pages, at which madvise(2) stops. And what it must not:
 * memory shared with this process, such as the rings of its event loops.
 */
function ranges() {
  const taken = [];
  const left = [];
  let from = LOWEST;
  for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) ...(.) .*?(\[[a-z_]+\])?$/.exec(line);
    if (found === null) continue;
    const [start, end] = [BigInt(`0x${found[1]}`), BigInt(`0x${found[2]}`)];
    const name = found[4] ?? '';
    if (name === '[vsyscall]') break;
    if (found[3] === 's') left.push({ from: start, length: end - start });
    if (name.startsWith('[v')) {
      if (start > from) taken.push({ from, length: start - from });
      from = end;
    }
    if (name === '[stack]') taken.push({ from, length: end - from });
  }
  return { taken, left };
}

/** Offsets in Node's structures: of the platform in `V8Platform`, of the pointer to its task runner in `NodePlatform`. */
const OFFSET = { platform: 16, taskRunner: 0x78 };
/** What a shared pointer's own bookkeeping takes before the object. */
const SHARED = 16n;
/** In an instance. */
const BACKGROUND_THREADS = 1;
const MAX_THREADS = 1024;

/**
 * The object that runs V8's background tasks. Its threads stay behind at a fork, and tasks would wait for ever: in the child it is made
 * anew where it is. Throws unless everything that can be checked is as in the Node this was written for.
 */
function findTaskRunner() {
  const platform = ffi.getUint64(platformAt, OFFSET.platform);
  const runner = ffi.getUint64(platform, OFFSET.taskRunner);
  const owner = ffi.getUint64(platform, OFFSET.taskRunner + 8);
  const threads = libc._ZN4node12NodePlatform21NumberOfWorkerThreadsEv(platform);
  if (runner - owner !== SHARED || threads < 1 || threads > MAX_THREADS)
    throw new Error(`the structures of Node ${process.version} are not known`);
  return runner;
}

const taskRunner = findTaskRunner();
let { taken, left } = ranges();
const loop = ffi.getCurrentEventLoop();

/** Memory that an instance writes to from the time on when it becomes a function's. @type {{from: bigint, length: bigint}[]} */
let copies = [];

/** Looks at the address space again: in a forked process that is going to fork itself, once it has all that it will have. */
function lookAgain() {
  ({ taken, left } = ranges());
  copies = [];
}

/** @param {[from: number, length: number][]} found what `copyAhead` is to copy in processes that are forked from now on */
function setCopies(found) {
  copies = found.map(([from, length]) => ({ from: BigInt(from), length: BigInt(length) }));
}

/** Has this process get copies of what it is going to write to, while nobody waits for it. */
function copyAhead() {
  // Older kernels do not know how, and what is there no longer needs no copy: both are as good, only later.
  for (const { from, length } of copies) libc.madvise(from, length, MADV_POPULATE_WRITE);
  copies = [];
}

/**
 * Forks this process. V8 asks the kernel not to give its heap to children, so that is taken back for all memory right before:
 * between the two nothing may allocate. The child has no threads and no event loop: it must not return to one before `comeAlive`.
 * @param {boolean} [sharesRoot] root and working directory stay common to both: where one changes them, they change for the other
 * @returns {number} 0 in the child, -1 when there is no room for another process
 */
function forkBare(sharesRoot = false) {
  for (const { from, length } of taken) libc.madvise(from, length, MADV_DOFORK);
  for (const { from, length } of left) libc.madvise(from, length, MADV_DONTFORK);
  const pid = sharesRoot ? Number(libc.syscall(SYS.clone, CLONE_FS | SIGCHLD, 0n, 0n, 0n, 0n)) : libc.fork();
  if (pid === 0) {
    // Without Node's tidying up, which uses event loops that the parent has too.
    process.reallyExit = /** @type {typeof process.reallyExit} */ (code) => libc._exit(Number(code ?? 0));
    Object.defineProperty(process, 'pid', { value: libc.getpid(), enumerable: true, configurable: true });
  }
  return pid;
}

/** Gives a forked process what the fork has not brought along: its event loop's descriptors, and V8's background thread. */
function comeAlive() {
  libc.uv_loop_fork(loop);
  libc._ZN4node23WorkerThreadsTaskRunnerC1EiNS_21PlatformDebugLogLevelE(taskRunner, BACKGROUND_THREADS, 0);
}

/** Forks this process into one that goes on as it would. @returns {number} as `forkBare` */
function fork() {
  const pid = forkBare();
  if (pid === 0) comeAlive();
  return pid;
}

/** Sizes of blocks by which the gaps of the C library's heap are filled, bytes; above them lies what it maps one by one. */
const LARGEST_GAP = 96 * 1024;
const SMALLEST_GAP = 24;
/** The heap's last free block is at most this large after a trim, bytes. */
const LAST_BLOCK = 256 * 1024;
const MAX_GAPS = 200_000;
const M_MXFAST = 1;
/** The next size of block to try, bytes: in eighths, and below a KiB each that the heap tells apart. @param {number} size */
const smaller = (size) => (size > 1024 ? (size - (size >> 3)) & ~15 : size - 16);

/**
 * Takes all gaps in the C library's heap. What children allocate lies together at its end then, instead of here and there in pages
 * that they share. Nothing is written to the blocks, and none is ever given back.
 */
function fillGaps() {
  // Blocks are joined as they are freed, not all at once in whoever comes to need a large one.
  libc.mallopt(M_MXFAST, 0);
  libc.malloc_trim(0n);
  let tries = MAX_GAPS;
  const end = libc.sbrk(0n) - BigInt(LAST_BLOCK);
  for (let size = LARGEST_GAP; size >= SMALLEST_GAP; size = smaller(size)) {
    for (; tries > 0; tries--) {
      const block = libc.malloc(BigInt(size));
      if (block <= end) continue;
      libc.free(block);
      break;
    }
  }
}

const MNT_DETACH = 2;
const POSIX_SPAWN_SETSID = 0x80;
/** Above what any C library's structures need, bytes. */
const STRUCTURE = 1024;

/**
 * Starts a program in a session of its own, cheaper than by fork. Its standard input is the file, its output goes nowhere.
 * @param {string[]} argv the first an absolute path @param {string} input @returns {number} pid
 */
function spawn(argv, input) {
  const actions = Buffer.alloc(STRUCTURE);
  const attributes = Buffer.alloc(STRUCTURE);
  const pid = Buffer.alloc(4);
  libc.posix_spawn_file_actions_init(actions);
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID);
  libc.posix_spawn_file_actions_addopen(actions, 0, input, fs.constants.O_RDONLY, 0);
  for (const fd of [1, 2])
    libc.posix_spawn_file_actions_addopen(actions, fd, '/dev/null', fs.constants.O_WRONLY, 0);
  const { pointers, texts } = cStrings(argv);
  const failed = libc.posix_spawn(pid, argv[0], actions, attributes, pointers, Buffer.alloc(8));
  libc.posix_spawn_file_actions_destroy(actions);
  if (failed !== 0 || texts.length === 0) throw new Error(`${argv[0]}: error ${failed}`);
  return pid.readInt32LE();
}

const KCMP_FILE = 0n;

/** A descriptor that becomes readable when the process ends. @param {number} pid @returns {number} */
const pidfd = (pid) => must(Number(libc.syscall(SYS.pidfdOpen, BigInt(pid), 0n, 0n, 0n, 0n)), 'pidfd_open');

const EBADF = 9;

/** Whether a descriptor is the very same in two processes. @param {number} one @param {number} other @param {number} fd */
function isShared(one, other, fd) {
  const order = Number(libc.syscall(SYS.kcmp, BigInt(one), BigInt(other), KCMP_FILE, BigInt(fd), BigInt(fd)));
  if (order < 0 && errno() !== EBADF) must(order, 'kcmp');
  return order === 0;
}

/** @returns {[read: number, write: number]} */
function pipe() {
  const ends = Buffer.alloc(8);
  must(libc.pipe(ends), 'pipe');
  return [ends.readInt32LE(0), ends.readInt32LE(4)];
}

/** Makes the current directory the root of this mount namespace, and takes away what was there before. */
function pivotHere() {
  const dot = cString('.');
  const at = ffi.getRawPointer(dot);
  must(Number(libc.syscall(SYS.pivotRoot, at, at, 0n, 0n, 0n)), 'pivot_root');
  // The old root lies over the new one at the same place.
  must(libc.umount2('.', MNT_DETACH), 'umount2');
  process.chdir('/');
}

/** `struct pollfd` */
const POLLFD = 8;
const POLLIN = 1;

/**
 * Waits until something can be read. @param {number[]} fds @param {number} [ms] absent: for ever
 * @returns {number[]} those where it can, or that are at their end; none when the time is over
 */
function readable(fds, ms = -1) {
  const set = Buffer.alloc(fds.length * POLLFD);
  for (const [index, fd] of fds.entries()) {
    set.writeInt32LE(fd, index * POLLFD);
    set.writeInt16LE(POLLIN, index * POLLFD + 4);
  }
  // Interrupted by a signal: nothing yet.
  if (libc.poll(set, BigInt(fds.length), ms) <= 0) return [];
  return fds.filter((_, index) => set.readInt16LE(index * POLLFD + 6) !== 0);
}

module.exports = {
  libc,
  must,
  fork,
  forkBare,
  comeAlive,
  lookAgain,
  setCopies,
  copyAhead,
  fillGaps,
  spawn,
  pidfd,
  isShared,
  pipe,
  pivotHere,
  readable,
  MNT_DETACH,
};
