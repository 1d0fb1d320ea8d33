/** Starts and stops sources as their specs say, and brings what they hand over to safety. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { localAddress } from '../addresses.ts';
import type { Acceptor, Courier } from '../delivery/contract.ts';
import type { EngineState } from '../log/state/contract.ts';
import type {
  AddressKey,
  DeliveryTerms,
  EngineReports,
  SourceSpec,
  StreamSpec,
  SubscriptionSpec,
  Target,
} from '../model.ts';
import type { SourceAnswer, SourceModule, SourceRequest } from './contract.ts';
import { SourceLife } from './life.ts';

/** What sources need of the engine. */
export interface SourceSurroundings {
  /** By type; loaded when the first source of that type begins. */
  modules: Record<string, () => Promise<SourceModule>>;
  state: Pick<EngineState, 'checkpoint' | 'saveCheckpoint'>;
  acceptor: Acceptor;
  courier: Courier;
  /** Each source's own directory lies in here, by namespace and name. */
  dir: string;
  /** `EngineOptions.base`. */
  base: string;
  /** Whether that address is a stream now. */
  isStream(key: AddressKey): boolean;
  /** Whether a stream of that key lies on disk from an earlier life. */
  onDisk(key: AddressKey): boolean;
  setStream(key: AddressKey, spec: StreamSpec | null): void;
  setSubscription(key: string, spec: SubscriptionSpec | null): void;
  /** Where a source delivers to by itself, for dead letters of it that are delivered again. */
  setDirect(key: string, to: { target: Target; terms: DeliveryTerms } | null): void;
  reports: Pick<EngineReports, 'source' | 'lag'>;
  clock: Clock;
  random(): number;
  uuid(): string;
  log: Logger;
}

const DAY_MS = 24 * 3_600_000;
const GIB = 1024 ** 3;
/** How long a source that changes may take to leave, milliseconds. */
const CHANGE_GRACE_MS = 10_000;
/** Deliveries from a source's own stream that are under way at once. */
const CONCURRENCY = 10;

/** Under which name a source's checkpoint stands: one of the same name later begins anew. */
export const checkpointName = ({ key, uid }: SourceSpec): string => `${key}@${uid}`;

/** All sources of the engine. */
export class Sources {
  readonly #around: SourceSurroundings;
  readonly #specs = new Map<string, SourceSpec>();
  readonly #lives = new Map<string, SourceLife>();
  /** Ends that are under way, by key: a source begins when the one before it is gone. */
  readonly #ending = new Map<string, Promise<void>>();
  /** Sources with a stream of their own. */
  readonly #streams = new Set<string>();
  #begun = false;

  constructor(around: SourceSurroundings) {
    this.#around = around;
  }

  get specs(): ReadonlyMap<string, SourceSpec> {
    return this.#specs;
  }

  set(key: string, spec: SourceSpec | null): void {
    const old = this.#specs.get(key);
    if (spec === null) {
      this.#specs.delete(key);
      this.#end(key, CHANGE_GRACE_MS);
      this.#around.setDirect(key, null);
      this.#dropStream(key);
      return;
    }
    this.#specs.set(key, spec);
    if (old !== undefined && old.uid !== spec.uid) this.#dropStream(key);
    if (this.#streams.has(key) || this.#around.onDisk(key)) this.#openStream(spec);
    if (!this.#begun) return;
    const life = this.#lives.get(key);
    if (life !== undefined && old !== undefined && sameWork(old, spec)) life.update(spec);
    else this.#replace(key);
  }

  /** Everything that exists has been set: sources begin. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    for (const key of this.#specs.keys()) this.#replace(key);
  }

  #replace(key: string): void {
    this.#end(key, CHANGE_GRACE_MS);
    const after = this.#ending.get(key) ?? Promise.resolve();
    const spec = this.#specs.get(key);
    if (spec === undefined) return;
    const life = new SourceLife(spec, this.#around, (one) => this.#openStream(one), after);
    this.#lives.set(key, life);
  }

  #end(key: string, graceMs: number): void {
    const life = this.#lives.get(key);
    if (life === undefined) return;
    this.#lives.delete(key);
    const ended = life.stop(graceMs).finally(() => {
      if (this.#ending.get(key) === ended) this.#ending.delete(key);
    });
    this.#ending.set(key, ended);
  }

  /** The stream that keeps what cannot be asked for again, and the one subscription that brings it to the sink. */
  #openStream(spec: SourceSpec): void {
    const { key, uid, sink, terms, paused } = spec;
    this.#streams.add(key);
    this.#around.setStream(key, {
      key,
      uid,
      maxAgeMs: 7 * DAY_MS,
      maxBytes: GIB,
      hardMaxBytes: 4 * GIB,
      dedupMs: 0,
      maxEventBytes: 16 * 1024 * 1024,
      ttl: false,
      reportTypes: false,
    });
    this.#around.setSubscription(key, {
      key,
      uid,
      stream: key,
      subscriber: sink,
      terms,
      concurrency: CONCURRENCY,
      paused,
      start: 'earliest',
    });
  }

  #dropStream(key: string): void {
    if (!this.#streams.delete(key) && !this.#around.onDisk(key)) return;
    this.#around.setSubscription(key, null);
    this.#around.setStream(key, null);
  }

  /** Takes requests to `source/<ns>/<name>`; undefined: no such source runs, or it takes none. */
  requests(namespace: string, name: string): ((request: SourceRequest) => Promise<SourceAnswer>) | undefined {
    const end = `/${namespace}/${name}`;
    for (const [key, life] of this.#lives) {
      const take = key.endsWith(end) ? life.request : undefined;
      if (take !== undefined) return take;
    }
    return undefined;
  }

  async stop(graceMs: number): Promise<void> {
    this.#begun = false;
    for (const key of [...this.#lives.keys()]) this.#end(key, graceMs);
    await Promise.all(this.#ending.values());
  }
}

/** Whether a change concerns only where events go and what is added to them. */
function sameWork(a: SourceSpec, b: SourceSpec): boolean {
  return (
    a.uid === b.uid && a.type === b.type && a.paused === b.paused && isDeepStrictEqual(a.config, b.config)
  );
}

/** The stream of ours that a sink is, or undefined. */
export function streamBehind(
  spec: SourceSpec,
  around: Pick<SourceSurroundings, 'base' | 'isStream'>,
): AddressKey | undefined {
  const key = localAddress(spec.sink.url, around.base);
  return key !== undefined && around.isStream(key) ? key : undefined;
}
