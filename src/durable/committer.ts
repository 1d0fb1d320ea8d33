/**
 * A durable file as the event loop sees it: commands go to a thread, which carries out all that came while it was busy as one
 * transaction. A command is answered when it is on disk.
 */
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, messageOf, PetrelError } from '../base/errors.ts';
import { openDatabase } from '../base/sqlite.ts';
import type { DurableFile } from './commands.ts';
import { ensureSchema } from './file.ts';

/** Bounds on one group: what a crash in the middle of it would make clients repeat, and how long the thread is busy. */
const GROUP = { commands: 1000, bytes: 32 * 1024 * 1024 };

/** How long a patient command waits for others to be committed with, ms. */
const PATIENCE_MS = 2;

export interface CommandTerms {
  /** About how large it is. */
  bytes?: number;
  /** Nobody waits for it: it goes with the next one that somebody waits for, and alone only after a moment. */
  patient?: boolean;
  /**
   * It may be lost when the machine loses power before the next command that is not so (the end of the process loses nothing): it is
   * answered when it can be read, without waiting for the disk.
   */
  unsynced?: boolean;
}

export interface Committer<Command, Result> {
  /** Resolves with the command's result when it is on disk (or can be read, if `unsynced`). Rejects with `PetrelError` (`DiskFull`, `Internal` …) when nothing of it is. */
  run(command: Command, terms?: CommandTerms): Promise<Result>;
  /** A connection for reading what is committed; on the caller's thread. Closed with the committer. */
  readonly reader: DatabaseSync;
  /** Commits what is queued, folds the log into the file and closes it. */
  close(): Promise<void>;
}

export interface CommitterOptions<Command, Result> {
  path: string;
  file: DurableFile<Command, Result>;
  /** URL of the module that exports `file` as `durable`. */
  module: string;
}

interface Queued {
  command: unknown;
  bytes: number;
  unsynced: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: results of all commands pass through here
  done: PromiseWithResolvers<any>;
}

type Answer =
  | { results: unknown[] }
  | { failure: { code: ErrorCode; message: string; why: string; fix: string } };

/** Opens the file, making it when it is not there, and starts its thread. Throws `PetrelError` when it cannot be used. */
export function createCommitter<Command, Result>(
  options: CommitterOptions<Command, Result>,
): Committer<Command, Result> {
  const { path, file, module } = options;
  const first = openDatabase(path);
  try {
    ensureSchema(first, path, file);
  } finally {
    first.close();
  }
  const reader = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  const queue: Queued[] = [];
  let working: Queued[] | undefined;
  let closing: PromiseWithResolvers<void> | undefined;
  let scheduled = false;
  /** A command is queued that somebody waits for. */
  let urgent = false;
  let patience: NodeJS.Timeout | undefined;
  let closed = false;
  let dead: PetrelError | undefined;

  const fail = (why: string) => {
    dead = new PetrelError('Internal', `the writer of ${path} has stopped`, {
      why,
      fix: 'Restart the platform (petrel down, petrel up); what was acknowledged is safe.',
    });
    for (const { done } of [...(working ?? []), ...queue.splice(0)]) done.reject(dead);
    working = undefined;
    closing?.resolve();
  };

  const worker = new Worker(new URL('./commit-thread.ts', import.meta.url), {
    workerData: { path, module },
    name: 'petrel-commit',
    // Not those of the process: some are not for workers.
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
  worker.unref();

  const take = (): Queued[] => {
    let bytes = 0;
    let count = 0;
    while (count < queue.length && count < GROUP.commands && (count === 0 || bytes < GROUP.bytes)) {
      bytes += queue[count]?.bytes ?? 0;
      count++;
    }
    return queue.splice(0, count);
  };

  /** Soon, when somebody waits, or the committer closes; else when there has been time for company. */
  const schedule = () => {
    if (scheduled || working !== undefined) return;
    if (!urgent && closing === undefined) {
      patience ??= setTimeout(flush, PATIENCE_MS);
      return;
    }
    scheduled = true;
    // Later in this turn: what arrives together is committed together.
    setImmediate(flush);
  };

  const flush = () => {
    scheduled = false;
    clearTimeout(patience);
    patience = undefined;
    if (working !== undefined || dead !== undefined) return;
    if (queue.length === 0) {
      if (closing === undefined || closed) return;
      closed = true;
      worker.postMessage('close');
      return;
    }
    working = take();
    urgent &&= queue.length > 0;
    worker.ref();
    const bytes = working.reduce((sum, one) => sum + one.bytes, 0);
    const sync = working.some(({ unsynced }) => !unsynced);
    worker.postMessage({ commands: working.map(({ command }) => command), bytes, sync });
  };

  worker.on('message', (answer: Answer) => {
    const group = working ?? [];
    working = undefined;
    if ('failure' in answer) {
      const { code, message, why, fix } = answer.failure;
      const error = new PetrelError(code, message, { why, fix });
      for (const { done } of group) done.reject(error);
    } else {
      for (const [i, { done }] of group.entries()) done.resolve(answer.results[i]);
    }
    if (queue.length > 0 || closing !== undefined) schedule();
    else worker.unref();
  });
  worker.on('error', (error) => fail(messageOf(error)));
  worker.on('exit', () => fail('The thread has ended.'));

  return {
    reader,
    run(command, { bytes = 256, patient = false, unsynced = false } = {}) {
      if (dead !== undefined) return Promise.reject(dead);
      if (closing !== undefined)
        return Promise.reject(new PetrelError('NotReady', 'the platform is stopping', { fix: 'Try again.' }));
      const done = Promise.withResolvers<Result>();
      queue.push({ command, bytes, unsynced, done });
      urgent ||= !patient;
      schedule();
      return done.promise;
    },
    async close() {
      if (closing === undefined) {
        closing = Promise.withResolvers();
        worker.ref();
        schedule();
      }
      await closing.promise;
      if (reader.isOpen) reader.close();
    },
  };
}
