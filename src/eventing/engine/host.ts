/**
 * The engine as the rest of the platform holds it: a thread that is started with the first need, told everything, and started again and told
 * everything anew when it dies. What was accepted before is on disk.
 */
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Json } from '../../kinds/object.ts';
import type { EngineControl, EngineOptions, EngineReports, Handed, LagReport, Questions } from '../model.ts';
import {
  type Call,
  Calls,
  type FromEngine,
  received,
  type Setter,
  sendable,
  type ThreadStart,
  type ToEngine,
} from './messages.ts';

/** Wait before a thread that died is replaced, by how often in a row it did, milliseconds. */
const RESTART_MS = [0, 250, 1000, 5000, 30_000];
/** A thread that lived this long begins the row anew, milliseconds. */
const STEADY_MS = 60_000;
/** How long a thread may take to stop beyond its grace, milliseconds. */
const STOP_LIMIT_MS = 5000;

export interface HostOptions {
  options: EngineOptions;
  reports: EngineReports;
  clock: Clock;
  log: Logger;
  /** URL of the module that exports `parts: EngineParts`; default: the real ones. */
  parts?: string;
}

const SETTERS: readonly Setter[] = ['setStream', 'setSubscription', 'setSource', 'setSink'];

export class EngineHost implements EngineControl {
  readonly #options: HostOptions;
  /** All that has been set, by method and key. */
  readonly #set: Record<Setter, Map<string, unknown>> = {
    setStream: new Map(),
    setSubscription: new Map(),
    setSource: new Map(),
    setSink: new Map(),
  };
  readonly #calls = new Calls();
  /** What waits, as told last. */
  readonly #lags = new Map<string, LagReport>();
  readonly #served = new Map<string, (input: Json) => Promise<Json>>();
  readonly #first = Promise.withResolvers<void>();
  #complete = false;
  #thread: Worker | undefined;
  #startedAt = 0;
  #deaths = 0;
  #restart: Timer | undefined;
  #stopping = false;
  #stopped = () => {};

  constructor(options: HostOptions) {
    this.#options = options;
    this.#first.promise.catch(() => {});
    this.#start();
  }

  /** Resolves when the engine can take events; rejects with why its first start failed (it is tried again nevertheless). */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  /** For diagnosis; undefined while none runs. */
  get thread(): Worker | undefined {
    return this.#thread;
  }

  #start(): void {
    const { options, parts, clock } = this.#options;
    const start: ThreadStart = { options, parts: parts ?? new URL('./real-parts.ts', import.meta.url).href };
    const thread = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: start,
      name: 'petrel-events',
      // Not those of the process: some are not for workers.
      execArgv: [],
      // One that needs more has a defect, and ends alone.
      resourceLimits: { maxYoungGenerationSizeMb: 24, maxOldGenerationSizeMb: 512 },
    });
    this.#thread = thread;
    this.#startedAt = clock.monotonic();
    for (const method of SETTERS)
      for (const [key, spec] of this.#set[method])
        this.#post({ type: 'set', method, key, spec: spec as never });
    if (this.#complete) this.#post({ type: 'complete' });
    thread.on('message', (message: FromEngine) => this.#receive(message));
    thread.on('error', (error) =>
      this.#options.log.error('the event engine failed', { error: textOf(error) }),
    );
    thread.on('exit', () => this.#exited(thread));
  }

  #post(message: ToEngine): void {
    this.#thread?.postMessage(message);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'ready':
        this.#first.resolve();
        break;
      case 'failed':
        this.#options.log.error('the event engine could not start', { error: message.error.message });
        this.#first.reject(received(message.error));
        break;
      case 'answer':
      case 'refused':
        this.#calls.settle(message);
        break;
      case 'call':
        void this.#answer(message.id, message.name, message.input);
        break;
      case 'report':
        if (message.method === 'lag') this.#lag(message.input[0] as LagReport);
        // what is told was an argument list of that method
        else (this.#options.reports[message.method] as (...input: unknown[]) => void)(...message.input);
        break;
      case 'log':
        this.#options.log[message.level](message.message, message.fields);
        break;
      case 'stopped':
        this.#stopped();
        break;
    }
  }

  #lag(report: LagReport): void {
    if (report.waiting > 0) this.#lags.set(report.key, report);
    else this.#lags.delete(report.key);
    this.#options.reports.lag(report);
  }

  async #answer(id: number, name: string, input: Json): Promise<void> {
    try {
      const handler = this.#served.get(name);
      if (handler === undefined) throw new PetrelError('NotReady', `nobody answers "${name}" yet`);
      this.#post({ type: 'answer', id, answer: await handler(input) });
    } catch (error) {
      this.#post({ type: 'refused', id, error: sendable(error) });
    }
  }

  #exited(thread: Worker): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    this.#calls.rejectAll(gone());
    // The next one tells of what waits, and not of what does not.
    for (const report of [...this.#lags.values()]) this.#lag({ ...report, waiting: 0 });
    this.#stopped();
    if (this.#stopping) return;
    const { clock, log } = this.#options;
    if (clock.monotonic() - this.#startedAt > STEADY_MS) this.#deaths = 0;
    const delay = RESTART_MS[Math.min(this.#deaths++, RESTART_MS.length - 1)]!;
    log.error('the event engine ended and is started again', { delay });
    this.#first.reject(gone());
    this.#restart = clock.after(delay, () => this.#start());
  }

  #setOne(
    method: Setter,
    key: string,
    spec: ToEngine extends infer M ? (M extends { spec: infer S } ? S : never) : never,
  ): void {
    if (spec === null) this.#set[method].delete(key);
    else this.#set[method].set(key, spec);
    this.#post({ type: 'set', method, key, spec });
  }

  setStream: EngineControl['setStream'] = (key, spec) => this.#setOne('setStream', key, spec);
  setSubscription: EngineControl['setSubscription'] = (key, spec) =>
    this.#setOne('setSubscription', key, spec);
  setSource: EngineControl['setSource'] = (key, spec) => this.#setOne('setSource', key, spec);
  setSink: EngineControl['setSink'] = (key, spec) => this.#setOne('setSink', key, spec);

  complete(): void {
    this.#complete = true;
    this.#post({ type: 'complete' });
  }

  #call(method: Call, ...input: unknown[]): Promise<unknown> {
    if (this.#thread === undefined) return Promise.reject(gone());
    return this.#calls.begin((id) => this.#post({ type: 'call', id, method, input }));
  }

  async applied(): Promise<void> {
    await this.#call('applied');
  }

  ask<K extends keyof Questions>(question: K, input: Questions[K]['input']): Promise<Questions[K]['answer']> {
    return this.#call('ask', question, input) as Promise<Questions[K]['answer']>;
  }

  bring(key: string, record: Uint8Array): Promise<Handed> {
    return this.#call('bring', key, record) as Promise<Handed>;
  }

  checkpoint(key: string): Promise<Json | undefined> {
    return this.#call('checkpoint', key) as Promise<Json | undefined>;
  }

  saveCheckpoint(key: string, value: Json): Promise<void> {
    return this.#call('saveCheckpoint', key, value) as Promise<void>;
  }

  serve(name: string, handler: (input: Json) => Promise<Json>): void {
    this.#served.set(name, handler);
  }

  /** See `Engine.stop`; a thread that takes longer is ended, as a crash would. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#restart?.cancel();
    const thread = this.#thread;
    if (thread === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopped = resolve;
    this.#post({ type: 'stop', graceMs });
    const late = this.#options.clock.after(graceMs + STOP_LIMIT_MS, () => {
      this.#options.log.error('the event engine did not stop in time');
      resolve();
    });
    await promise;
    late.cancel();
    await thread.terminate();
  }
}

function gone(): PetrelError {
  return new PetrelError('NotReady', 'the event engine is being started', { fix: 'Ask again in a moment.' });
}

function textOf(error: unknown): string {
  return String((error as Error)?.stack ?? error);
}
