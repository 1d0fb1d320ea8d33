/** Starts and stops sinks as their specs say, and hands events to them. */
import { isDeepStrictEqual } from 'node:util';
import { type Clock, sleep } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { Json } from '../../kinds/object.ts';
import { backoffDelay } from '../../kube/backoff.ts';
import type { Accepted, Sender } from '../delivery/contract.ts';
import type { AddressKey, EngineReports, SinkSpec } from '../model.ts';
import type { SourceAnswer, SourceRequest } from '../sources/contract.ts';
import { StateReports } from '../sources/reports.ts';
import { type RunningSink, type SinkModule, SinkRefusal } from './contract.ts';

export interface SinkSurroundings {
  /** By type; loaded when the first sink of that type begins. */
  modules: Record<string, () => Promise<SinkModule>>;
  /** `source` tells of sinks as well, under their keys. */
  reports: Pick<EngineReports, 'source'>;
  callMain(name: string, input: Json): Promise<Json>;
  sender: Pick<Sender, 'send'>;
  clock: Clock;
  random(): number;
  log: Logger;
}

const AGAIN = { baseMs: 500, maxMs: 60_000 };
/** How long a sink that changes may take to leave, milliseconds. */
const CHANGE_GRACE_MS = 10_000;
/** How long an event waits for a sink whose first attempt to begin has not ended, milliseconds. */
const BEGIN_WAIT_MS = 5_000;

const refused = (status: number, reason: string, message: string): Accepted => ({
  accepted: false,
  status,
  reason,
  message,
});

/** One sink from its start to its end. */
class SinkLife {
  readonly spec: SinkSpec;
  readonly #around: SinkSurroundings;
  readonly #reports: StateReports;
  readonly #stopping = new AbortController();
  /** Undefined: it cannot begin, and why is in `problem`. */
  readonly #began: Promise<RunningSink | undefined>;
  readonly #firstTry = Promise.withResolvers<void>();
  #running: RunningSink | undefined;
  /** Undefined: its first attempt to begin has not ended. */
  #problem: string | undefined;

  constructor(spec: SinkSpec, around: SinkSurroundings, after: Promise<void>) {
    this.spec = spec;
    this.#around = around;
    this.#reports = new StateReports(around.clock, (state) => around.reports.source(spec.key, state));
    this.#began = after.then(() => this.#begin());
    void this.#began.finally(() => this.#firstTry.resolve());
  }

  async #begin(): Promise<RunningSink | undefined> {
    const { modules, clock, random, log } = this.#around;
    const { type, config, key } = this.spec;
    const load = Object.hasOwn(modules, type) ? modules[type] : undefined;
    if (load === undefined)
      return this.#impossible(
        'UnknownType',
        `there is no sink of type "${type}"; there are: ${Object.keys(modules).join(', ')}`,
      );
    for (let failures = 1; !this.#stopping.signal.aborted; failures++) {
      try {
        const module = await load();
        const problems = module.check(config).map(({ field, message }) => `${field}: ${message}`);
        if (problems.length > 0) return this.#impossible('InvalidConfiguration', problems.join('; '));
        this.#running = await module.start({
          key,
          config,
          report: (state) => this.#reports.report(state),
          callMain: this.#around.callMain,
          sender: this.#around.sender,
          clock,
          log: log.with({ sink: key }),
        });
        return this.#running;
      } catch (error) {
        this.#problem = messageOf(error);
        log.warn('a sink could not begin', { sink: key, error: this.#problem, failures });
        this.#reports.report({ ready: false, reason: 'StartFailed', message: this.#problem });
        this.#firstTry.resolve();
      }
      await sleep(clock, backoffDelay(failures, { ...AGAIN, random }), this.#stopping.signal);
    }
    return undefined;
  }

  #impossible(reason: string, message: string): undefined {
    this.#problem = message;
    this.#reports.report({ ready: false, reason, message });
    return undefined;
  }

  /** Who brings an event waits for a sink that is about to begin, and not for one that cannot. */
  async accept(event: CloudEvent): Promise<Accepted> {
    if (this.#running === undefined && this.#problem === undefined) await this.#firstAttempt();
    const running = this.#running;
    if (running === undefined)
      return refused(503, 'sink_not_ready', this.#problem ?? 'the sink has not begun');
    try {
      const reply = await running.send(event);
      if (typeof reply !== 'object') return { accepted: true };
      return 'location' in reply ? { accepted: true, location: reply.location } : { accepted: true, reply };
    } catch (error) {
      const status = error instanceof SinkRefusal ? error.status : 502;
      return refused(status, 'sink_failed', messageOf(error));
    }
  }

  async #firstAttempt(): Promise<void> {
    const waited = new AbortController();
    const { signal } = waited;
    await Promise.race([this.#firstTry.promise, sleep(this.#around.clock, BEGIN_WAIT_MS, signal)]);
    waited.abort();
  }

  /** Takes requests below its address, where it does. */
  get request(): ((request: SourceRequest) => Promise<SourceAnswer>) | undefined {
    const running = this.#running;
    return running?.request === undefined ? undefined : (request) => running.request!(request);
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#problem = 'the sink is being stopped';
    try {
      const running = await this.#began;
      this.#running = undefined;
      await running?.stop(graceMs);
    } catch (error) {
      const message = messageOf(error);
      this.#around.log.warn('a sink did not stop in order', { sink: this.spec.key, error: message });
    } finally {
      this.#reports.close();
    }
  }
}

/** All sinks of the engine. */
export class Sinks {
  readonly #around: SinkSurroundings;
  readonly #lives = new Map<AddressKey, SinkLife>();
  readonly #ending = new Map<AddressKey, Promise<void>>();

  constructor(around: SinkSurroundings) {
    this.#around = around;
  }

  set(key: AddressKey, spec: SinkSpec | null): void {
    const old = this.#lives.get(key);
    if (old !== undefined && spec !== null && isDeepStrictEqual(old.spec, spec)) return;
    if (old !== undefined) this.#end(key, old, CHANGE_GRACE_MS);
    if (spec === null) return;
    const after = this.#ending.get(key) ?? Promise.resolve();
    this.#lives.set(key, new SinkLife(spec, this.#around, after));
  }

  #end(key: AddressKey, life: SinkLife, graceMs: number): void {
    this.#lives.delete(key);
    const ended = life.stop(graceMs).finally(() => {
      if (this.#ending.get(key) === ended) this.#ending.delete(key);
    });
    this.#ending.set(key, ended);
  }

  has(key: AddressKey): boolean {
    return this.#lives.has(key);
  }

  /** Takes events for that address; undefined: there is no such sink. */
  local(key: AddressKey): ((event: CloudEvent) => Promise<Accepted>) | undefined {
    const life = this.#lives.get(key);
    return life === undefined ? undefined : (event) => life.accept(event);
  }

  /** Takes requests below that address; undefined: there is no such sink, or it takes none. */
  requests(key: AddressKey): ((request: SourceRequest) => Promise<SourceAnswer>) | undefined {
    return this.#lives.get(key)?.request;
  }

  async stop(graceMs: number): Promise<void> {
    for (const [key, life] of [...this.#lives]) this.#end(key, life, graceMs);
    await Promise.all(this.#ending.values());
  }
}
