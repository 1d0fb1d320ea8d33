/** A source whose server keeps the messages until they are resolved: it holds on to the connection, and lets what is under way end when it is stopped. */
import type { RunningSource, SourceContext } from '../sources/contract.ts';
import { Health } from './health.ts';
import { Intake } from './intake.ts';
import { leave } from './leave.ts';
import { persist } from './persist.ts';

/** One connection, from its making to its loss. */
export interface Connection {
  /** What was taken over it and not resolved. */
  intake: Intake;
  /** Aborts when the source is to stop: then `settled`, then close the connection and return. */
  signal: AbortSignal;
  /** Aborts when its time is over: what is still open is ended without a word, and nothing is opened any more. */
  cut: AbortSignal;
  /** It works. */
  up(message?: string): void;
  /** Resolves when what is under way has ended, or the time for it is over. */
  settled(): Promise<void>;
  /** To be set where the server can be asked how much waits there, what was taken included. */
  beyond?: () => Promise<number>;
}

export interface UpstreamOptions {
  /** For people, without secrets. */
  what: string;
  reasonOf?(error: unknown): string | undefined;
  /** Deliveries at once. */
  concurrency: number;
  /** Tells of no lag: who hands over to a stream of its own has none. */
  quiet?: boolean;
}

/** Runs `session` for each connection; it rejects when the connection is lost, and returns when `signal` has aborted. */
export function upstream(
  context: SourceContext<unknown>,
  options: UpstreamOptions,
  session: (connection: Connection) => Promise<void>,
): RunningSource {
  const stopping = new AbortController();
  // Not the context's, which aborts a moment before the grace is known.
  const { signal } = stopping;
  const health = new Health(context);
  let grace = 0;
  let now: { cut: AbortController; up: boolean } | undefined;
  const { clock, random, log } = context;
  const running = persist(
    { clock, random, log, signal, report: health.state, what: options.what, reasonOf: options.reasonOf },
    async (up) => {
      const mine = { cut: new AbortController(), up: false };
      now = mine;
      const connection: Connection = {
        intake: new Intake({
          clock,
          concurrency: options.concurrency,
          ...(options.quiet
            ? {}
            : {
                lag: health.lag,
                beyond: async () => (await connection.beyond?.()) ?? connection.intake.outstanding,
              }),
        }),
        signal,
        cut: mine.cut.signal,
        up(message) {
          mine.up = true;
          up(message);
        },
        settled: () => connection.intake.hold(grace),
      };
      try {
        await session(connection);
      } finally {
        connection.intake.close();
        mine.cut.abort();
      }
    },
  );
  return {
    async stop(graceMs) {
      grace = graceMs;
      stopping.abort();
      const cut = () => now?.cut.abort();
      // Of a server that was not reached there is no leave to take.
      if (now?.up !== true) cut();
      await leave({ clock, log, what: options.what }, running, graceMs, cut);
    },
  };
}

/** Resolves when `signal` aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
