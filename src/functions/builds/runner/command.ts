/** The build command itself: a process group whose output is passed on, remembered at its end, and that can be made to stop. */
import { spawn } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { constants } from 'node:os';

/** What is remembered of the output, bytes: tools say what is wrong at once or at the very end, and explain themselves in between. */
const HEAD_BYTES = 1000;
const TAIL_BYTES = 3000;
/** Between SIGTERM and SIGKILL, ms; a little less than the Pod has. */
const GRACE_MS = 4000;
const DISK_EVERY_MS = 1000;
/** What has left the process group may hold the output open this long after the command has ended, ms. */
const LINGER_MS = 1000;

export interface CommandOptions {
  command: string[];
  cwd: string;
  env: Record<string, string>;
  /** The file system it writes to, and how much it may. */
  disk: { path: string; maxBytes: number };
  timeoutMs: number;
}

export interface CommandEnd {
  /** As a shell reports it; 127 when there is no such program. */
  exitCode: number;
  /** What it wrote, both streams; of much only the beginning and the end. */
  words: string;
  /** Why it was made to end: somebody wanted it to, it wrote more than it may, its time was over. */
  ended?: 'stopped' | 'disk' | 'timeout';
}

/** Runs the command; resolves when it has ended and its output is passed on. */
export async function runCommand(options: CommandOptions): Promise<CommandEnd> {
  const { command, cwd, env, disk } = options;
  const [file = '', ...args] = command;
  const child = spawn(file, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const excerpt = createExcerpt();
  let ended: CommandEnd['ended'];
  const signal = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {}
  };
  const end = (why: CommandEnd['ended']) => {
    if (ended !== undefined) return;
    ended = why;
    signal(why === 'disk' ? 'SIGKILL' : 'SIGTERM');
    setTimeout(() => signal('SIGKILL'), GRACE_MS).unref();
  };
  const stop = () => end('stopped');
  process.once('SIGTERM', stop);
  const deadline = setTimeout(() => end('timeout'), options.timeoutMs);
  for (const [stream, out] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    stream.on('data', (chunk: Buffer) => {
      excerpt.add(chunk);
      // Whoever reads slowly slows the build down, and nothing piles up here.
      if (!out.write(chunk)) {
        stream.pause();
        out.once('drain', () => stream.resume());
      }
    });
  }
  const exit = new Promise<number>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const said = error.code === 'ENOENT' ? `${file}: not found` : `${file}: ${error.message}`;
      process.stderr.write(`${said}\n`);
      excerpt.add(Buffer.from(said));
      resolve(127);
    });
    child.once('exit', (code, name) => {
      // What it left running would hold the output open, and go on writing into the result.
      signal('SIGKILL');
      const linger = setTimeout(() => {
        for (const stream of [child.stdout, child.stderr]) stream.destroy();
      }, LINGER_MS);
      child.once('close', () => {
        clearTimeout(linger);
        resolve(code ?? 128 + (constants.signals[name ?? 'SIGKILL'] ?? 9));
      });
    });
  });
  const before = await freeBytes(disk.path);
  const watch = setInterval(async () => {
    if (before - (await freeBytes(disk.path)) > disk.maxBytes) end('disk');
  }, DISK_EVERY_MS);
  try {
    const exitCode = await exit;
    return { exitCode, words: excerpt.text(), ...(ended ? { ended } : {}) };
  } finally {
    clearInterval(watch);
    clearTimeout(deadline);
    process.removeListener('SIGTERM', stop);
  }
}

/** The beginning and the end of a text, whole lines where there are any. */
export function createExcerpt() {
  let head = Buffer.alloc(0);
  let tail = Buffer.alloc(0);
  let total = 0;
  return {
    add(chunk: Buffer): void {
      total += chunk.length;
      if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES - head.length)]);
      tail = Buffer.concat([tail, chunk]).subarray(-(HEAD_BYTES + TAIL_BYTES));
    },
    text(): string {
      if (total <= tail.length) return tail.toString('utf8');
      const begin = head.toString('utf8');
      const end = tail.subarray(-TAIL_BYTES).toString('utf8');
      const cut = begin.lastIndexOf('\n');
      const from = end.indexOf('\n');
      return `${cut > 0 ? begin.slice(0, cut) : begin}\n[…]\n${from >= 0 && from < end.length - 1 ? end.slice(from + 1) : end}`;
    },
  };
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
