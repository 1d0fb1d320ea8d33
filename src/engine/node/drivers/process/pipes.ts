/**
 * Pipes for the output of containers. What Node offers for a child's output is a socket, and a socket cannot be opened
 * through /dev/stdout or /dev/stderr, which shell scripts and servers do. Named pipes can; they are made ahead of need.
 */
import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { finished } from './spawn.ts';

export interface OutputPipe {
  /** Where it can be opened, on the host. */
  path: string;
  /** For the child; to be closed here once it has been started. */
  write: number;
  /** Ends when every writer has gone. */
  read: Socket;
}

/** A pipe that is held open from here: whoever reads it hears of the end of the platform, or of `release`. */
export interface Lifeline {
  path: string;
  /** Writes a line to who reads it; false when nobody has read for so long that it is full. */
  send(line: string): boolean;
  /** Lets those who read it go. Idempotent. */
  release(): void;
  /** Nobody reads it any more: it can serve again. */
  free(): void;
}

export interface PipePool {
  /**
   * Two pipes, or undefined when none is ready: then Node's own have to do. `once`: they serve nobody after, because somebody may
   * still have them open.
   */
  take(once?: boolean): [OutputPipe, OutputPipe] | undefined;
  /** A pipe held open from here; undefined when none is ready. */
  hold(): Lifeline | undefined;
  /** Makes pipes ready; resolves when there are some. */
  fill(): Promise<void>;
}

const BATCH = 64;
const LOW = 48;

export function createPipePool(dir: string, mkfifo: string): PipePool {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const ready: string[] = [];
  let made = 0;
  let filling: Promise<void> | undefined;

  const fill = () => {
    filling ??= (async () => {
      const paths = Array.from({ length: BATCH }, () => join(dir, String(made++)));
      // The directory is private; in the sandbox another user has to be able to open the pipe again.
      const { exitCode } = await finished({ argv: [mkfifo, '--mode=666', ...paths], env: {} });
      if (exitCode === 0) ready.push(...paths);
    })().finally(() => {
      filling = undefined;
    });
    return filling;
  };

  const open = (path: string, once: boolean): OutputPipe => {
    // Reading first and without waiting: the writing end could not be opened otherwise.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const write = openSync(path, constants.O_WRONLY);
    const read = new Socket({ fd, readable: true, writable: false });
    // Empty and without writers again, it serves the next container.
    read.on('close', () => (once ? rmSync(path, { force: true }) : ready.push(path)));
    return { path, write, read };
  };

  return {
    fill,
    take(once = false) {
      if (ready.length < LOW) void fill();
      if (ready.length < 2) return undefined;
      return [open(ready.pop()!, once), open(ready.pop()!, once)];
    },
    hold() {
      const path = ready.pop();
      if (path === undefined) return undefined;
      // Both ends at once: neither waits for the other, and no reader sees an end before this one is closed.
      const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      let held = true;
      const release = () => {
        if (held) closeSync(fd);
        held = false;
      };
      return {
        path,
        release,
        send(line) {
          try {
            return held && writeSync(fd, `${line}\n`) > 0;
          } catch {
            return false;
          }
        },
        free() {
          release();
          ready.push(path);
        },
      };
    },
  };
}

/** Closes the ends that belong to the child. */
export function releaseWriters(pipes: OutputPipe[]): void {
  for (const { write } of pipes) closeSync(write);
}
