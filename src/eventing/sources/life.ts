/** One source from its start to its end: begun again while it fails, each event brought to safety by the kind of its module. */
import { join } from 'node:path';
import { sleep } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { type CloudEvent, withAttributes } from '../../cloudevents/event.ts';
import { backoffDelay } from '../../kube/backoff.ts';
import type { Accepted } from '../delivery/contract.ts';
import type { SourceSpec } from '../model.ts';
import { BROUGHT } from './brought.ts';
import type { Handed, RunningSource, SourceAnswer, SourceModule, SourceRequest } from './contract.ts';
import { type SourceState, StateReports } from './reports.ts';
import { checkpointName, type SourceSurroundings, streamBehind } from './run.ts';

/** Waits between attempts to begin, and to put an event on disk. */
const AGAIN = { baseMs: 500, maxMs: 60_000 };

type Refused = Extract<Accepted, { accepted: false }>;

/** Whether the same event may be taken another time. */
const passing = ({ status }: Refused): boolean => status >= 500 || status === 429 || status === 404;

export class SourceLife {
  spec: SourceSpec;
  readonly #around: SourceSurroundings;
  readonly #openStream: (spec: SourceSpec) => void;
  readonly #reports: StateReports;
  /** It is to stop. */
  readonly #stopping = new AbortController();
  /** It has had its time: nothing more is handed over. */
  readonly #over = new AbortController();
  readonly #began: Promise<void>;
  #running: RunningSource | undefined;
  #durable: SourceModule['durable'] | undefined;
  /** As told last. */
  #lag = 0;
  /** What the module told last. */
  #said: SourceState | undefined;

  /** Begins when `after` has ended. `openStream` makes the stream of its own that the spec needs. */
  constructor(
    spec: SourceSpec,
    around: SourceSurroundings,
    openStream: (spec: SourceSpec) => void,
    after: Promise<void>,
  ) {
    this.spec = spec;
    this.#around = around;
    this.#openStream = openStream;
    this.#reports = new StateReports(around.clock, (state) => {
      around.reports.source(spec.key, state);
      if (state.lag !== undefined) this.#tellLag(state.lag);
    });
    this.#began = after.then(() => this.#begin());
  }

  /** Only the way of its events has changed. */
  update(spec: SourceSpec): void {
    this.spec = spec;
    this.#tellDirect();
  }

  #tellDirect(): void {
    const { key, sink, terms } = this.spec;
    if (this.#durable === 'upstream') this.#around.setDirect(key, { target: sink, terms });
  }

  #tellLag(waiting: number): void {
    const { key, sink } = this.spec;
    this.#lag = waiting;
    this.#around.reports.lag({ key, ...(sink.route === undefined ? {} : { route: sink.route }), waiting });
  }

  /** Takes its requests, where it does. */
  get request(): ((request: SourceRequest) => Promise<SourceAnswer>) | undefined {
    const running = this.#running;
    return running?.request === undefined ? undefined : (request) => running.request!(request);
  }

  async #begin(): Promise<void> {
    if (this.spec.paused) {
      this.#reports.report({ ready: true, reason: 'Paused', message: 'the source is paused' });
      return;
    }
    const { clock, random, log } = this.#around;
    for (let failures = 1; !this.#stopping.signal.aborted; failures++) {
      try {
        if (await this.#start()) return;
      } catch (error) {
        const message = messageOf(error);
        log.warn('a source could not begin', { source: this.spec.key, error: message, failures });
        this.#reports.report({ ready: false, reason: 'StartFailed', message });
      }
      await sleep(clock, backoffDelay(failures, { ...AGAIN, random }), this.#stopping.signal);
    }
  }

  /** True when there is nothing more to try. */
  async #start(): Promise<boolean> {
    const { type, config, key } = this.spec;
    const load = Object.hasOwn(this.#around.modules, type) ? this.#around.modules[type] : undefined;
    if (load === undefined) {
      this.#reports.report({
        ready: false,
        reason: 'UnknownType',
        message: `there is no source of type "${type}"; there are: ${Object.keys(this.#around.modules)
          .filter((name) => name !== BROUGHT)
          .join(', ')}`,
      });
      return true;
    }
    const module = await load();
    this.#durable = module.durable;
    this.#tellDirect();
    const problems = module.check(config);
    if (problems.length > 0) {
      const message = problems.map(({ field, message: what }) => `${field}: ${what}`).join('; ');
      this.#reports.report({ ready: false, reason: 'InvalidConfiguration', message });
      return true;
    }
    if (this.#stopping.signal.aborted) return true;
    const { clock, random, uuid, log, state } = this.#around;
    const [, namespace = '', name = ''] = key.split('/');
    const saved = checkpointName(this.spec);
    this.#running = await module.start({
      key,
      namespace,
      name,
      config,
      dir: join(this.#around.dir, namespace, name),
      emit: (event) => this.#emit(module, event),
      checkpoint: () => state.checkpoint(saved),
      saveCheckpoint: (value) => state.saveCheckpoint(saved, value),
      report: (how) => {
        this.#said = how;
        this.#reports.report(how);
      },
      clock,
      random,
      uuid,
      log: log.with({ source: key }),
      signal: this.#stopping.signal,
    });
    return true;
  }

  async #emit(module: SourceModule, event: CloudEvent): Promise<Handed> {
    const { spec } = this;
    const { acceptor, courier } = this.#around;
    const own = Object.keys(spec.extensions).length === 0 ? event : withAttributes(event, spec.extensions);
    const signal = this.#over.signal;
    signal.throwIfAborted();
    const stream = streamBehind(spec, this.#around);
    if (stream !== undefined) {
      const accepted = await acceptor.accept(stream, own);
      if (accepted.accepted) return accepted.duplicate === true ? 'duplicate' : 'accepted';
    }
    if (module.durable === 'own') {
      const kept = await this.#keep(own);
      if (kept !== undefined) return kept;
    }
    return courier.deliver(spec.key, spec.sink, spec.terms, own, signal);
  }

  /** Puts an event into the source's own stream; undefined: it can never be put there. */
  async #keep(event: CloudEvent): Promise<Handed | undefined> {
    const { acceptor, clock, random } = this.#around;
    const signal = this.#over.signal;
    this.#openStream(this.spec);
    for (let failures = 1; ; failures++) {
      const accepted = await acceptor.accept(this.spec.key, event);
      if (accepted.accepted) {
        if (failures > 1 && this.#said !== undefined) this.#reports.report(this.#said);
        return 'accepted';
      }
      if (!passing(accepted)) return undefined;
      const { message } = accepted;
      this.#reports.report({
        ready: false,
        reason: 'NotKept',
        message: `an event cannot be kept: ${message}`,
      });
      await sleep(clock, backoffDelay(failures, { ...AGAIN, random }), signal);
      signal.throwIfAborted();
    }
  }

  /** Lets what was handed over come to its end for up to `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    const { clock, log } = this.#around;
    this.#stopping.abort();
    const late = clock.after(graceMs, () => this.#over.abort());
    try {
      await this.#began;
      await this.#running?.stop(graceMs);
    } catch (error) {
      log.warn('a source did not stop in order', { source: this.spec.key, error: messageOf(error) });
    } finally {
      late.cancel();
      this.#over.abort();
      this.#reports.close();
      if (this.#lag > 0) this.#tellLag(0);
    }
  }
}
