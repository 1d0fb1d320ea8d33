/** The writer thread as the store sees it: one batch at a time, acknowledged when it is on disk. */
import { Worker } from 'node:worker_threads';
import { type ErrorCode, messageOf, PetrelError } from '../../base/errors.ts';
import type { Batch } from './database.ts';

export interface BatchSink {
  /** Resolves when the batch is durable; rejects with `PetrelError` when nothing of it is. One at a time. */
  write(batch: Batch): Promise<void>;
  /** Folds the write-ahead log into the file and closes it. */
  close(): Promise<void>;
}

interface Failure {
  code: ErrorCode;
  message: string;
  why: string;
  fix: string;
}

/** Starts its thread with the first write: a start that only reads does not pay for it. */
export function createWriter(path: string): BatchSink {
  let worker: Worker | undefined;
  let waiting: PromiseWithResolvers<void> | undefined;
  let dead: PetrelError | undefined;

  const fail = (why: string): void => {
    dead = new PetrelError('Internal', 'the storage writer has stopped', {
      why,
      fix: 'Restart the platform (petrel down, petrel up); what was acknowledged is safe.',
    });
    waiting?.reject(dead);
    waiting = undefined;
  };

  const start = (): Worker => {
    const started = new Worker(new URL('./writer-thread.ts', import.meta.url), {
      workerData: { path },
      name: 'petrel-store',
      // Not those of the process: some are not for workers.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    started.on('message', (failure: Failure | null) => {
      const done = waiting;
      waiting = undefined;
      started.unref();
      if (failure === null) done?.resolve();
      else
        done?.reject(new PetrelError(failure.code, failure.message, { why: failure.why, fix: failure.fix }));
    });
    started.on('error', (error) => fail(messageOf(error)));
    started.on('exit', () => fail('The thread has ended.'));
    return started;
  };

  const send = (message: Batch | 'close'): Promise<void> => {
    if (dead !== undefined) return Promise.reject(dead);
    worker ??= start();
    waiting = Promise.withResolvers();
    worker.ref();
    worker.postMessage(message);
    return waiting.promise;
  };

  return {
    write: send,
    async close() {
      if (worker === undefined || dead !== undefined) return;
      await send('close');
      dead = new PetrelError('Internal', 'the storage is closed');
      worker = undefined;
    },
  };
}
