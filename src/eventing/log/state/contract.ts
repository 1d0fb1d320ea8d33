/** What the engine remembers besides events: positions, retries that wait, dead letters, checkpoints of sources. On SQLite, committed in groups. */

/** How far a subscription is. Everything below `low` is resolved, and what `above` lists (ascending, inclusive pairs) too. */
export interface Position {
  /** The uid of the subscription: one of the same name later begins anew. */
  uid: string;
  subscription: string;
  stream: string;
  low: number;
  above: number[];
  /** Where it began: what is below never concerned it. */
  since: number;
}

/** A delivery that waits for its next attempt outside of the log. */
export interface Parked {
  id: number;
  subscription: string;
  stream: string;
  offset: number;
  /** When the event was accepted. */
  at: number;
  attempts: number;
  /** Next attempt, ms since the epoch. */
  due: number;
  /** What it goes to: its subscriber, or already the dead letter sink. */
  phase: 'subscriber' | 'deadLetter';
  /** Of the last attempt, for the `knativeerror*` attributes. */
  lastStatus?: number;
  lastBody?: Buffer;
  lastError?: string;
  record: Buffer;
}

export interface DeadRow {
  id: number;
  subscription: string;
  stream: string;
  offset: number;
  at: number;
  diedAt: number;
  attempts: number;
  status?: number;
  reason: string;
  record: Buffer;
}

/** A delivery that was given up. */
export interface Death {
  row: Omit<DeadRow, 'id'>;
  /** It was parked: the row that goes. */
  parked?: number;
}

export interface EngineState {
  /** All of them, once at the start. */
  positions(): Position[];
  /** Nobody waits for it; written within about a second, and by `flush`. */
  savePosition(position: Position): void;
  dropPosition(uid: string): void;
  /** Durable when resolved, with the ids given. Position, parking and death of one step go in one commit. */
  park(rows: readonly Omit<Parked, 'id'>[], position?: Position): Promise<number[]>;
  /** After another failed attempt. */
  repark(
    id: number,
    change: Pick<Parked, 'attempts' | 'due' | 'phase' | 'lastStatus' | 'lastBody' | 'lastError'>,
  ): Promise<void>;
  unpark(ids: readonly number[]): Promise<void>;
  /** Of one subscription, due until then, earliest first; a bounded number, with their bytes. One that is paused or busy hides no other. */
  due(subscription: string, until: number, limit: number): Parked[];
  nextDue(subscription: string): number | undefined;
  parkedCount(subscription: string): number;
  /** Durable when resolved, with the ids given; what was parked is taken away in the same commit. */
  bury(deaths: readonly Death[], position?: Position): Promise<number[]>;
  /** In the order of their ids; `newest`: the other way round. */
  dead(query: {
    subscription?: string;
    namespace?: string;
    after?: number;
    newest?: boolean;
    limit: number;
    ids?: number[];
  }): DeadRow[];
  exhume(ids: readonly number[]): Promise<number>;
  /** Of a source; JSON. */
  checkpoint(key: string): unknown;
  /** Durable when resolved. */
  saveCheckpoint(key: string, value: unknown): Promise<void>;
  dropCheckpoint(key: string): void;
  /** Forgets what belongs to none of these. */
  sweep(alive: { subscriptions: ReadonlySet<string>; sources: ReadonlySet<string> }): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}
