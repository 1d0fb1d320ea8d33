/** The harness of a level-triggered controller: keys in, one `reconcile` per key at a time, retries on failure. */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { KubeError } from './client.ts';
import { createQueue, type QueueOptions } from './queue.ts';

export interface ControllerOptions extends QueueOptions {
  name: string;
  /**
   * Brings the world in line with the object behind `key`, whatever happened before. Throwing means: again, with back-off.
   * A number is milliseconds after which to look again although nothing has changed.
   */
  reconcile(key: string, signal: AbortSignal): Promise<number | undefined>;
  log: Logger;
  /** Keys worked on at once. Default 4. */
  concurrency?: number;
}

export interface Controller {
  enqueue(key: string): void;
  enqueueAfter(key: string, ms: number): void;
  /** Begins to work; what was enqueued before waits for it. */
  start(): void;
  /** Takes nothing more up and resolves when the work under way has ended. */
  stop(): Promise<void>;
}

/** Failures that the next look at a fresh cache repairs by itself: not worth an operator's attention. */
const isRace = (error: unknown) => error instanceof KubeError && (error.code === 409 || error.code === 404);

export function createController(options: ControllerOptions): Controller {
  const log = options.log.with({ controller: options.name });
  const queue = createQueue(options);
  const limit = options.concurrency ?? 4;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  let started = false;

  const work = async (key: string) => {
    try {
      const again = await options.reconcile(key, stopping.signal);
      queue.forget(key);
      if (typeof again === 'number') queue.addAfter(key, again);
    } catch (error) {
      if (!stopping.signal.aborted) {
        const retryMs = Math.round(queue.addRateLimited(key));
        const message = messageOf(error);
        if (isRace(error)) log.debug('reconcile met a concurrent change', { key, error: message, retryMs });
        else log.warn('reconcile failed', { key, error: message, retryMs });
      }
    } finally {
      queue.done(key);
    }
  };

  const pump = () => {
    while (started && !stopping.signal.aborted && running.size < limit) {
      const key = queue.take();
      if (key === undefined) return;
      const task = work(key).finally(() => {
        running.delete(task);
        pump();
      });
      running.add(task);
    }
  };
  queue.onAvailable = pump;

  return {
    enqueue: (key) => queue.add(key),
    enqueueAfter: (key, ms) => queue.addAfter(key, ms),
    start() {
      started = true;
      pump();
    },
    async stop() {
      stopping.abort();
      queue.close();
      await Promise.all(running);
    },
  };
}
