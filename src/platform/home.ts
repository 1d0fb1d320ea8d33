/** Where everything of one platform lives, and what it leaves there for commands to find it. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PetrelError } from '../base/errors.ts';

/** The paths of one home. Nothing here touches the disk. */
export interface HomePaths {
  dir: string;
  /** `PlatformRecord` of the platform that runs, or ran last. */
  record: string;
  kubeconfig: string;
  pki: string;
  database: string;
  packages: string;
  /** Code that is debugged; in `packages`, which instances see. */
  debug: string;
  cache: string;
  logs: string;
  /** The platform's own log; bounded, see `log.ts`. */
  platformLog: string;
  /** Sockets. Outside `dir` when `dir` is too long for the address of a unix socket. */
  runDir: string;
  /** Answers `/status`, `/shutdown` and the package store. Exists while a platform runs. */
  socket: string;
}

/** What a running platform tells commands about itself; the content of `platform.json` and the answer of `/status`. */
export interface PlatformRecord {
  pid: number;
  /** Which parts run in that process. */
  role: PlatformRole;
  /** `host:port`, or null when this process has no gateway. */
  gateway: string | null;
  /** `host:port` of the API that it serves or uses, over HTTPS. */
  api: string;
  home: string;
  /** The kubeconfig with which commands reach the API. */
  kubeconfig: string;
  version: string;
  /** RFC 3339. */
  startedAt: string;
}

/** `all`: everything in one process. `apiserver`: the API alone. `controllers`: everything else, against an API elsewhere. */
export type PlatformRole = 'all' | 'apiserver' | 'controllers';

/** Longest address of a unix socket on Linux, bytes, without the closing zero (`sun_path`, unix(7)). */
const SOCKET_ADDRESS_LIMIT = 107;
/** The longest path that is made under `runDir`: a Pod's socket. */
const LONGEST_SOCKET = '/pods/00000000-0000-0000-0000-000000000000/i.sock';

/** Less free space than this, bytes, and a platform does not start: SQLite could not finish a checkpoint. */
const LEAST_FREE_SPACE = 32 * 1024 * 1024;

/** The paths of a home: `flag`, else `PETREL_HOME`, else `~/.petrel`. */
export function homePaths(flag: string | undefined, env: NodeJS.ProcessEnv): HomePaths {
  const dir = resolve(flag ?? (env.PETREL_HOME || join(env.HOME || homedir(), '.petrel')));
  const logs = join(dir, 'logs');
  const runDir = runDirOf(dir);
  return {
    dir,
    record: join(dir, 'platform.json'),
    kubeconfig: join(dir, 'kubeconfig'),
    pki: join(dir, 'pki'),
    database: join(dir, 'state.db'),
    packages: join(dir, 'packages'),
    debug: join(dir, 'packages', 'debug'),
    cache: join(dir, 'cache'),
    logs,
    platformLog: join(logs, 'platform.log'),
    runDir,
    socket: join(runDir, 'platform.sock'),
  };
}

function runDirOf(dir: string): string {
  const inside = join(dir, 'run');
  if (Buffer.byteLength(inside + LONGEST_SOCKET) <= SOCKET_ADDRESS_LIMIT) return inside;
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 8);
  return join(tmpdir(), `petrel-${process.getuid?.() ?? 0}-${hash}`);
}

/**
 * Makes the folders, readable by this user only. Throws `HomeNotWritable` or `DiskFull`; what it made before stays, since
 * the next start makes the same.
 */
export function prepareHome(home: HomePaths): void {
  try {
    for (const [folder, mode] of [
      [home.dir, 0o700],
      [home.runDir, 0o700],
      [home.logs, 0o700],
      [home.pki, 0o700],
      // Instances of a platform that runs as root are another user; in their sandbox the home itself is not in the way.
      [home.packages, 0o755],
      [home.cache, 0o755],
    ] as const) {
      makeFolder(folder, mode);
      chmodSync(folder, mode); // whatever the umask; in a shared /tmp this fails when the folder is somebody else's
    }
    // Free for this user; root's reserve is not counted, since the platform may run as anybody.
    const { bavail, bsize } = statfsSync(home.dir);
    if (bavail * bsize < LEAST_FREE_SPACE)
      throw diskFull(home.dir, `${Math.floor((bavail * bsize) / 1048576)} MiB are free`);
  } catch (error) {
    throw fileError(error, home.dir);
  }
}

/**
 * Makes a folder and those above it. Node's own way (`recursive`) never ends where a parent is there and takes no folders (`/proc`), and
 * says ENOENT where the file system is read-only.
 */
function makeFolder(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(folder).isDirectory()) return;
    const parent = dirname(folder);
    if (code !== 'ENOENT' || existsSync(parent)) throw error;
    makeFolder(parent, mode);
    makeFolder(folder, mode);
  }
}

/** Why nothing can be kept in a home, by what the file system says. */
const UNUSABLE: Record<string, string> = {
  EACCES: 'no permission to write',
  EPERM: 'no permission to write',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'not a directory',
  EEXIST: 'not a directory',
  ENOENT: 'no folder can be made there',
};

/** Turns a failure of the file system under a home into an error that says what to do. */
export function fileError(error: unknown, dir: string): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(dir, 'the disk is full');
  const why = UNUSABLE[code ?? ''];
  if (why !== undefined) {
    return new PetrelError('HomeNotWritable', `the home directory ${dir} cannot be used`, {
      why: `${path ?? dir}: ${why}`,
      fix: 'choose another one with --home <dir> or PETREL_HOME, or give this user the right to write there',
      cause: error,
    });
  }
  return error;
}

function diskFull(dir: string, why: string): PetrelError {
  return new PetrelError('DiskFull', `no space left for the home directory ${dir}`, {
    why,
    fix: 'free some space, or choose a home on another disk with --home <dir>',
  });
}

/** Leaves the record for commands. Atomic: a reader sees the old one or the new one. */
export function writeRecord(home: HomePaths, record: PlatformRecord): void {
  const temporary = `${home.record}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, home.record);
}

/** The record left by the platform that runs or ran last, or undefined. Whether it runs, only its socket tells. */
export function readRecord(home: HomePaths): PlatformRecord | undefined {
  try {
    return JSON.parse(readFileSync(home.record, 'utf8')) as PlatformRecord;
  } catch {
    return undefined;
  }
}

/** Takes the record away; for a platform that ends in order. */
export function removeRecord(home: HomePaths): void {
  rmSync(home.record, { force: true });
}
