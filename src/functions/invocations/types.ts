/** What an accepted request is, on disk and as clients see it. */

/** Where an invocation stands. `failed`: the answer says that trying again is of no use; `dead`: given up after trying. */
export const STATES = ['queued', 'succeeded', 'failed', 'dead', 'cancelled'] as const;
export type StoredState = (typeof STATES)[number];
/** As clients see it: `running` is known in memory only, since after a crash it is `queued` again. */
export type InvocationState = StoredState | 'running';

/** A header as it came: name and value. */
export type HeaderLine = [name: string, value: string];

/** The request that was accepted. */
export interface StoredRequest {
  method: string;
  /** Path and query as an instance sees them. */
  path: string;
  headers: HeaderLine[];
  body: Uint8Array;
}

/** One attempt that has ended. Times are milliseconds since the epoch. */
export interface Attempt {
  at: number;
  ms: number;
  /** Absent when there was no answer. */
  status?: number;
  error?: string;
}

/** What the last attempt answered. */
export interface StoredResult {
  status: number;
  headers: HeaderLine[];
  body: Uint8Array;
  /** The body was longer than what is kept. */
  truncated: boolean;
}

/** An invocation without its bodies. */
export interface InvocationRow {
  seq: number;
  id: string;
  /** `<namespace>/<name>` of the Route it is for, or of the function whose outcome is told to `url`. */
  target: string;
  /** Told to this address instead of the function. */
  url: string | null;
  state: StoredState;
  /** When the next attempt may begin; milliseconds since the epoch, as all times here. */
  due: number;
  acceptedAt: number;
  finishedAt: number | null;
  /** Invocations that led to this one through destinations. */
  depth: number;
  attempts: Attempt[];
  /** Attempts that have ended; more than `attempts` holds when there were many. */
  failures: number;
  /** Why it came to its end, when that is no success. */
  reason: string | null;
}

/** A new invocation. */
export interface NewInvocation {
  id: string;
  target: string;
  url: string | null;
  acceptedAt: number;
  due: number;
  depth: number;
  request: StoredRequest;
  /** While a request with the same key is remembered, it is this one again: decided before it comes here. */
  dedup?: { key: string; until: number };
}

export type InvocationCommand =
  /** All of them or, when the disk is full, none. `upTo`: records of the journal up to that number are in the file then. */
  | { do: 'accept'; invocations: NewInvocation[]; upTo?: number }
  /** Makes sure that all commands before it are on disk. */
  | { do: 'sync'; upTo: number }
  /** An attempt failed and another follows. Without `attempt`, only the time moves. */
  | { do: 'retry'; id: string; due: number; attempt?: Attempt }
  /** It is over. `keepRequest`: it may be redriven. Invocations that follow from it are accepted in the same commit. */
  | {
      do: 'finish';
      id: string;
      state: Exclude<StoredState, 'queued'>;
      at: number;
      expires: number;
      reason: string | null;
      attempt?: Attempt;
      result?: StoredResult;
      follow: NewInvocation[];
    }
  /** Back to the queue with all its attempts to come. */
  | { do: 'redrive'; id: string; at: number }
  /** A dead letter is thrown away. */
  | { do: 'purge'; id: string }
  /** Removes what has expired, a bounded number at a time. */
  | { do: 'collect'; now: number };

/** What a command came to. */
export interface InvocationResult {
  /** Absent of `accept` and `collect`, and when nothing was in the state that the command is for. */
  id?: string;
  /** `collect`: rows removed. */
  removed?: number;
}
