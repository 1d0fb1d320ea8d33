/** What streams elsewhere have in common, whoever keeps them: who listens, what is in memory, what may go, and what is told when it fails. */
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { checkFields, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import type { StreamSpec } from '../../model.ts';
import type { Entry } from '../contract.ts';
import type { RemoteStream, RemoteSurroundings } from './index.ts';
import { atMostEvery } from './sparing.ts';
import { Tail } from './tail.ts';

/** What may go is looked at this often at most, ms. */
const RETAIN_MS = 10_000;

/** How a stream's store is reached. Throws `InvalidArgument`. */
export function settingsOf<const F extends Fields>({ key, backend }: StreamSpec, fields: F): Read<F> {
  const config = backend?.config ?? {};
  const [problem] = checkFields(config, fields);
  if (problem)
    throw new PetrelError('InvalidArgument', `the store of ${key}: ${problem.field}: ${problem.message}`);
  return readFields(config, fields);
}

/** A stream whose new entries, by whomever, its store tells of in order: `heard`. */
export abstract class FollowedStream<Around extends RemoteSurroundings> implements RemoteStream {
  spec: StreamSpec;
  start: number;
  end: number;
  /** In the store, about. */
  bytes = 0;
  /** What the store is called in messages. */
  abstract readonly place: string;
  protected readonly around: Around;
  /** Aborted when the stream is let go. */
  protected readonly closing = new AbortController();
  readonly #tail = new Tail();
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>();
  #needed = 0;
  readonly #askRetain: () => void;

  /** `first`: the offset of a stream's first entry. */
  constructor(spec: StreamSpec, around: Around, first: number) {
    this.spec = spec;
    this.around = around;
    this.start = first;
    this.end = first;
    this.#askRetain = atMostEvery(RETAIN_MS, around.clock, this.closing.signal, async () => {
      if (this.#needed <= this.start) return;
      await this.retain().catch((error: unknown) => this.warn('old events could not be taken away', error));
    });
  }

  abstract append(
    record: Buffer,
    at: number,
    dedupKey?: string,
  ): Promise<{ offset: number; duplicate: boolean }>;
  abstract update(spec: StreamSpec): void;
  abstract seek(at: number): Promise<number>;
  abstract close(drop: boolean): Promise<void>;

  /** Takes away what nobody needs and is too old or too much; asked only when there is something that nobody needs. */
  protected abstract retain(): Promise<void>;
  /** From the store, what is not in memory any more. */
  protected abstract readCold(from: number, maxBytes: number): Promise<Entry[]>;

  read(from: number, maxBytes: number): Entry[] | Promise<Entry[]> {
    if (from >= this.end) return [];
    return this.#tail.read(from, maxBytes) ?? this.readCold(Math.max(from, this.start), maxBytes);
  }

  onAppend(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  need(offset: number): void {
    this.#needed = offset;
    this.#askRetain();
  }

  /** The offset that the stream may begin at: `young` is the first that is not too old, `each` the bytes of one event. */
  protected firstKept(young: number, each: number): number {
    const over = this.bytes - this.spec.maxBytes;
    const until = over > 0 ? Math.max(young, this.start + Math.ceil(over / each)) : young;
    return Math.min(until, this.#needed, this.end);
  }

  /** Tells of new entries, and keeps them at hand. */
  protected heard(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#tail.push(entries);
    for (const listener of this.#listeners) {
      try {
        listener(entries);
      } catch (error) {
        this.warn('a reader of an event log has failed', error);
      }
    }
  }

  /** The store has less than it had: what it has now. */
  protected hasLost(now: { start?: number; end: number }): void {
    this.around.log.error('a store of events has lost some that it had acknowledged', {
      stream: this.spec.key,
      store: this.place,
      expected: this.end,
      ...now,
    });
  }

  protected warn(what: string, error: unknown): void {
    this.around.log.warn(what, {
      stream: this.spec.key,
      store: this.place,
      error: messageOf(error),
    });
  }
}
