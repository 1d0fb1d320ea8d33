/** Sources that watch the API: what each follows, what it tells, and how far it is across restarts. */
import { isDeepStrictEqual } from 'node:util';
import { sleep, type Timer } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { compileFilters } from '../../../cloudevents/filter.ts';
import { encodeRecord } from '../../../cloudevents/record.ts';
import type { Json, UntypedObject } from '../../../kinds/object.ts';
import { backoffDelay } from '../../../kube/backoff.ts';
import { apiVersionOf } from '../../../kube/refs.ts';
import type { ControlContext, PartState } from '../context.ts';
import { eventOf, type Mode, ownedBy, type What } from './changes.ts';
import { Follow, type Followed, type Place } from './follow.ts';

/** What a source watches, resolved. */
export interface WatchConfig {
  uid: string;
  /** Objects made since then are told when it begins; milliseconds since the epoch. */
  since: number;
  mode: Mode;
  follows: Followed[];
  owner?: { apiVersion: string; kind: string };
  /** Knative's filters, over the events. */
  filters?: Json[];
}

/** What lasts of a source. */
interface Saved {
  places: Record<string, Place>;
}

const AGAIN = { baseMs: 200, maxMs: 30_000 };
/** How far it is gets written this much later than it has moved, milliseconds; the more is known, the later. */
const SAVE_MS = { least: 50, perObject: 0.1, most: 5_000 };

/** How long an end waits until that is written, milliseconds. */
const SAVE_AT_END_MS = 2_000;

const idOf = ({ resource, namespace, labelSelector, fieldSelector }: Followed): string =>
  [resource.group, resource.version, resource.plural, namespace, labelSelector, fieldSelector]
    .map((part) => encodeURIComponent(part ?? ''))
    .join(' ');
/** The same, whatever the namespace. */
const kindOf = (id: string): string => id.split(' ').with(3, '').join(' ');

type Context = Pick<ControlContext, 'client' | 'engine' | 'clock' | 'random' | 'log'>;

/** One source while it watches. */
class Watch {
  readonly config: WatchConfig;
  readonly #key: string;
  readonly #context: Context;
  readonly #changed: () => void;
  readonly #stopping = new AbortController();
  readonly #matches: ((event: ReturnType<typeof eventOf>) => boolean) | undefined;
  readonly #begun: Promise<void>;
  readonly #problems = new Map<string, string | undefined>();
  /** Follows that have not told how they go. */
  readonly #quiet = new Set<string>();
  #follows = new Map<string, Follow>();
  #state: PartState | undefined;
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(key: string, config: WatchConfig, context: Context, after: Promise<void>, changed: () => void) {
    this.#key = key;
    this.config = config;
    this.#context = context;
    this.#changed = changed;
    if (config.filters?.length) {
      const compiled = compileFilters({ filters: config.filters as never });
      this.#matches = (event) => compiled.matches(event);
    }
    this.#begun = after.then(() => this.#begin());
  }

  get state(): PartState | undefined {
    return this.#state;
  }

  async #begin(): Promise<void> {
    const { signal } = this.#stopping;
    const saved = (await this.#until(() => this.#context.engine.checkpoint(this.#key))) as Saved | undefined;
    if (signal.aborted) return;
    const places = saved?.places ?? {};
    const before = new Set(Object.keys(places).map(kindOf));
    const { clock, client, random } = this.#context;
    const { follows, since, owner } = this.config;
    if (follows.length === 0) this.#tellState();
    for (const what of follows) {
      const id = idOf(what);
      this.#quiet.add(id);
      this.#follows.set(
        id,
        new Follow({
          client,
          clock,
          random,
          what,
          place: places[id],
          // What was added to a source later begins now; one in another namespace is what the source always meant.
          since: saved === undefined || before.has(kindOf(id)) ? since : clock.now(),
          wanted: (object) => ownedBy(object, owner),
          tell: (change, object) => this.#tell(change, object),
          state: (problem) => {
            this.#problems.set(
              id,
              problem && `${what.resource.kind} of ${apiVersionOf(what.resource)}: ${problem}`,
            );
            this.#quiet.delete(id);
            this.#tellState();
          },
          signal,
        }),
      );
    }
    this.#saveSoon();
  }

  #tellState(): void {
    if (this.#quiet.size > 0) return;
    const problems = [...this.#problems.values()].filter((problem) => problem !== undefined);
    const state: PartState =
      problems.length === 0
        ? { ready: true, reason: 'Watching', message: '' }
        : { ready: false, reason: 'WatchFailed', message: problems[0] ?? '' };
    if (isDeepStrictEqual(state, this.#state)) return;
    this.#state = state;
    this.#changed();
  }

  /** Tries until it goes, or this ends. */
  async #until<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    const { clock, random, log } = this.#context;
    const { signal } = this.#stopping;
    const aborted = new Promise<undefined>((resolve) => {
      if (signal.aborted) resolve(undefined);
      else signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await Promise.race([attempt(), aborted]);
      } catch (error) {
        log.debug('the event engine does not take what a source watches', {
          source: this.#key,
          error: messageOf(error),
        });
        await sleep(clock, backoffDelay(failures, { ...AGAIN, random }), signal);
      }
    }
    return undefined;
  }

  async #tell(what: What, object: UntypedObject): Promise<void> {
    const { clock, engine, log } = this.#context;
    const { mode, uid } = this.config;
    try {
      const event = eventOf(what, object, mode, uid, clock.now());
      if (this.#matches?.(event) === false) return;
      const record = encodeRecord(event);
      await this.#until(() => engine.bring(this.#key, record));
    } catch (error) {
      log.warn('a change cannot be told as an event', {
        source: this.#key,
        object: object.metadata.name,
        error: messageOf(error),
      });
    }
    this.#saveSoon();
  }

  #saveSoon(): void {
    if (this.#timer !== undefined || this.#stopping.signal.aborted) return;
    let known = 0;
    for (const { size } of this.#follows.values()) known += size;
    const ms = Math.min(SAVE_MS.most, SAVE_MS.least + known * SAVE_MS.perObject);
    this.#timer = this.#context.clock.after(ms, () => {
      this.#timer = undefined;
      this.#save();
    });
  }

  #save(): void {
    const places: Record<string, Place> = {};
    for (const [id, { place }] of this.#follows) if (place !== undefined) places[id] = place;
    const { engine, log } = this.#context;
    this.#saving = this.#saving
      .then(() => engine.saveCheckpoint(this.#key, { places } as unknown as Json))
      .catch((error) =>
        log.debug('how far a source is could not be written', { source: this.#key, error: messageOf(error) }),
      );
  }

  /** `keep`: how far it is gets written. */
  async stop(keep: boolean): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#begun.catch(() => {});
    await Promise.all([...this.#follows.values()].map(({ ended }) => ended));
    if (keep && this.#follows.size > 0) this.#save();
    // A source that rests does not take it any more: then what was written before holds, and a few events come again.
    await Promise.race([this.#saving, sleep(this.#context.clock, SAVE_AT_END_MS)]);
  }
}

/** All sources that watch. */
export class Watches {
  readonly #context: Context;
  readonly #watches = new Map<string, Watch>();
  readonly #ending = new Map<string, Promise<void>>();
  readonly #changed: (key: string) => void;

  constructor(context: Context, changed: (key: string) => void) {
    this.#context = context;
    this.#changed = changed;
  }

  /** Whole and idempotent; null ends it. `forget`: how far it was does not matter any more. */
  set(key: string, config: WatchConfig | null, forget = false): void {
    const old = this.#watches.get(key);
    if (old !== undefined && config !== null && isDeepStrictEqual(old.config, config)) return;
    if (old !== undefined) {
      this.#watches.delete(key);
      const ended = old.stop(!forget).finally(() => {
        if (this.#ending.get(key) === ended) this.#ending.delete(key);
      });
      this.#ending.set(key, ended);
    }
    if (config === null) return;
    const after = this.#ending.get(key) ?? Promise.resolve();
    this.#watches.set(key, new Watch(key, config, this.#context, after, () => this.#changed(key)));
  }

  /** Undefined before it is known. */
  stateOf(key: string): PartState | undefined {
    return this.#watches.get(key)?.state;
  }

  async stop(): Promise<void> {
    for (const key of [...this.#watches.keys()]) this.set(key, null);
    await Promise.all(this.#ending.values());
  }
}
