/** A source whose server keeps the messages until they are resolved: it holds on to the connection, and lets what is under way end when it is stopped. */
import { sleep } from '../../base/clock.ts';
import type { RunningSource, SourceContext } from '../sources/contract.ts';
import { Health } from './health.ts';
import { Intake } from './intake.ts';
import { persist } from './persist.ts';

/** One connection, from its making to its loss. */
export interface Connection {
  /** What was taken over it and not resolved. */
  intake: Intake;
  /** Aborts when the source is to stop: then `settled`, then close the connection and return. */
  signal: AbortSignal;
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

/** What a client may take to take its leave of a server, beyond the grace, milliseconds. */
const LEAVE_MS = 5000;

/** Runs `session` for each connection; it rejects when the connection is lost, and returns when `signal` has aborted. */
export function upstream(
  context: SourceContext<unknown>,
  options: UpstreamOptions,
  session: (connection: Connection) => Promise<void>,
): RunningSource {
  const stopping = new AbortController();
  const signal = AbortSignal.any([context.signal, stopping.signal]);
  const health = new Health(context);
  let grace = 0;
  const { clock, random, log } = context;
  const running = persist(
    { clock, random, log, signal, report: health.state, what: options.what, reasonOf: options.reasonOf },
    async (up) => {
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
        up,
        settled: () => connection.intake.hold(grace),
      };
      try {
        await session(connection);
      } finally {
        connection.intake.close();
      }
    },
  );
  return {
    async stop(graceMs) {
      grace = graceMs;
      stopping.abort();
      // A client that waits for an answer of a server that died meanwhile must not hold up what comes after this source.
      const ended = new AbortController();
      const late = sleep(clock, graceMs + LEAVE_MS, ended.signal).then(() => {
        if (!ended.signal.aborted)
          log.warn('a source does not end its connection; it is left', { what: options.what });
      });
      await Promise.race([running, late]);
      ended.abort();
    },
  };
}

/** Resolves when `signal` aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
