/** What keeps state: one interface, several drivers. A space is everything of one keyspace of one namespace. */

/** When a write may happen: only on this version (`*`: on any), only where nothing is. Source: RFC 9110, 13.1. */
export interface Condition {
  match?: string;
  absent?: boolean;
}

export interface Entry {
  key: string;
  value: Uint8Array;
  /** Media type, as the writer gave it. */
  type: string;
  /** Differs for every write, also after a deletion; without quotes. */
  version: string;
  /** Milliseconds since the epoch; absent: never. */
  expires?: number;
}

export interface Write {
  value: Uint8Array;
  type: string;
  expires?: number;
  condition: Condition;
  /** Most keys of the space. */
  maxKeys: number;
}

/** Why a write did not happen: its condition does not hold, the space is full, what is there is no whole number. */
export type Refused = { refused: 'condition' | 'full' | 'not_a_number' };
export type Written = { version: string; created: boolean };

export interface ListQuery {
  prefix: string;
  /** Only keys after this one, in the order of their bytes. */
  after?: string;
  limit: number;
}

/** Keyed state. Every method rejects with `PetrelError` when the driver cannot do its work (`DiskFull`, `NotReady` …). */
export interface KeyedState {
  get(space: string, key: string): Promise<Entry | undefined>;
  put(space: string, key: string, write: Write): Promise<Written | Refused>;
  /** Undefined: there was nothing. */
  delete(space: string, key: string, condition: Condition): Promise<true | undefined | Refused>;
  /** Adds to a whole number, which is 0 where nothing is; `expires` is for a key that is new. */
  increment(
    space: string,
    key: string,
    by: bigint,
    terms: { expires?: number; maxKeys: number },
  ): Promise<(Written & { value: bigint }) | Refused>;
  /** In the order of the keys' bytes. */
  list(space: string, query: ListQuery): Promise<Entry[]>;
  close(): Promise<void>;
}

/** A blob without its bytes. */
export interface BlobInfo {
  key: string;
  bytes: number;
  type: string;
  version: string;
  expires?: number;
  /** Milliseconds since the epoch. */
  modified: number;
}

export interface BlobWrite extends Omit<Write, 'value'> {
  /** Read to its end, in pieces. */
  body: AsyncIterable<Uint8Array>;
  maxBytes: number;
}

/** Large values, streamed. A reader sees one version from its beginning to its end, whatever is written meanwhile. */
export interface BlobState {
  stat(space: string, key: string): Promise<BlobInfo | undefined>;
  /** Undefined: it is not there in that version any more. Both ends are counted, from 0. */
  read(
    info: BlobInfo,
    space: string,
    from: number,
    to: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Rejects with `Refusal` `body_too_large` when the body is longer than `maxBytes`. */
  put(space: string, key: string, write: BlobWrite): Promise<(Written & { bytes: number }) | Refused>;
  delete(space: string, key: string, condition: Condition): Promise<true | undefined | Refused>;
  list(space: string, query: ListQuery): Promise<BlobInfo[]>;
  close(): Promise<void>;
}
