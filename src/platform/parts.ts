/** The running parts of a process, in the order in which they were started. */
import type { Logger } from '../base/log.ts';

export interface Part {
  name: string;
  /** Ends it; `graceMs` is how long requests in flight may take. */
  stop(graceMs: number): Promise<void> | void;
}

/** How long a part may take to stop beyond the grace period, milliseconds. */
const STOP_LIMIT_MS = 10_000;

/** Stops what was started, last first, whatever fails on the way. */
export class Parts {
  readonly #parts: Part[] = [];
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(name: string, stop: Part['stop']): void {
    this.#parts.push({ name, stop });
  }

  async stop(graceMs: number): Promise<void> {
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) {
      const { promise: late, resolve } = Promise.withResolvers<'late'>();
      const timer = setTimeout(() => resolve('late'), graceMs + STOP_LIMIT_MS);
      try {
        const end = await Promise.race([part.stop(graceMs), late]);
        if (end === 'late') this.#log.error('a part did not stop in time', { part: part.name });
      } catch (error) {
        this.#log.error('a part did not stop in order', { part: part.name, error: String(error) });
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
