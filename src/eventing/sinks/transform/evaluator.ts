/** A thread that evaluates expressions, ended and begun anew when one takes too long or too much memory. Shared by all transforms. */
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';

/** `input` is JSON; absent: only whether the expression can be read. */
export interface Task {
  expression: string;
  input?: string;
}

/** `output` is JSON. */
export type TaskResult = { ok: true; output: string } | { ok: false; message: string };

interface Waiting {
  task: Task;
  settle(result: TaskResult): void;
}

/** What one evaluation may take. */
const TIME_MS = 1_000;
const MEMORY_MB = 64;
/** Bringing the library the first time. */
const FIRST_MS = 5 * 60_000;
/** Evaluations that wait. */
const MAX_WAITING = 1_000;

export class Evaluator {
  readonly #clock: Clock;
  readonly #timeMs: number;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  /** The library is there. */
  #ready = false;
  #now: Waiting | undefined;
  #late: Timer | undefined;

  constructor(clock: Clock, timeMs = TIME_MS) {
    this.#clock = clock;
    this.#timeMs = timeMs;
  }

  /** Never rejects. */
  evaluate(task: Task): Promise<TaskResult> {
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.resolve({ ok: false, message: 'too many events wait to be transformed' });
    return new Promise((settle) => {
      this.#waiting.push({ task, settle });
      this.#next();
    });
  }

  #next(): void {
    if (this.#now !== undefined) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#now = next;
    if (this.#worker === undefined) {
      this.#worker = this.#begin();
      this.#late = this.#clock.after(FIRST_MS, () => this.#fail('JSONata could not be brought in time'));
    } else if (this.#ready) this.#give(this.#worker, next);
  }

  #give(worker: Worker, { task }: Waiting): void {
    this.#late?.cancel();
    this.#late = this.#clock.after(this.#timeMs, () =>
      this.#fail(`the expression takes longer than ${this.#timeMs} ms`),
    );
    worker.postMessage(task);
  }

  #begin(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    });
    worker.on('message', (result: TaskResult | 'ready') => {
      if (worker !== this.#worker) return;
      if (result !== 'ready') return this.#settle(result);
      this.#ready = true;
      if (this.#now !== undefined) this.#give(worker, this.#now);
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (worker !== this.#worker) return;
      const memory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      this.#fail(memory ? `the expression takes more than ${MEMORY_MB} MiB` : messageOf(error));
    });
    return worker;
  }

  /** The one under way has failed, and its thread with it. */
  #fail(message: string): void {
    this.stop();
    this.#settle({ ok: false, message });
  }

  #settle(result: TaskResult): void {
    this.#late?.cancel();
    const now = this.#now;
    this.#now = undefined;
    now?.settle(result);
    this.#next();
  }

  /** Ends the thread; the next evaluation begins another. */
  stop(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.#ready = false;
  }
}
