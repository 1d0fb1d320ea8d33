/** A sink on a server that may be away: it holds on to one connection, and events wait a moment for it. */
import { sleep } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { RunningSink, SinkContext } from '../sinks/contract.ts';
import { leave, within } from './leave.ts';
import { persist, saying } from './persist.ts';
import { aborted } from './upstream.ts';

/** One connection. */
export interface SinkConnection {
  /** Resolves when the server has confirmed the event. */
  send(event: CloudEvent): Promise<void>;
  /** Rejects when the connection is lost. */
  lost: Promise<never>;
  close(): void | Promise<void>;
}

export interface DownstreamOptions {
  /** For people, without secrets. */
  what: string;
  reasonOf?(error: unknown): string | undefined;
}

/** How long an event waits for a connection before it is refused, and its sender tries again later. */
const WAIT_MS = 5000;

/** `connect` is given a signal: when it aborts, what is open is ended without a word. */
export function downstream(
  context: SinkContext<unknown>,
  options: DownstreamOptions,
  connect: (cut: AbortSignal) => Promise<SinkConnection>,
): RunningSink {
  const { clock, log, report } = context;
  const stopping = new AbortController();
  const { signal } = stopping;
  let now = Promise.withResolvers<SinkConnection>();
  let problem = 'not yet connected';
  /** What is under way: how to refuse it. A race for each event against the loss of the connection would be remembered as long as that lives. */
  const under = new Map<Promise<void>, (error: unknown) => void>();
  const refuse = (error: unknown) => {
    for (const reject of under.values()) reject(error);
  };
  let cut = new AbortController();
  let connected = false;
  const running = persist({ clock, log, signal, report, random: Math.random, ...options }, async (up) => {
    const mine = new AbortController();
    cut = mine;
    let connection: SinkConnection | undefined;
    try {
      connection = await connect(mine.signal);
      connection.lost.catch(refuse);
      connected = true;
      now.resolve(connection);
      up();
      await Promise.race([aborted(signal), connection.lost]);
    } catch (error) {
      problem = saying(error);
      throw error;
    } finally {
      if (connection !== undefined) now = Promise.withResolvers();
      connected = false;
      try {
        await connection?.close();
      } finally {
        mine.abort();
        // Not every client tells those who wait for an answer that there will be none.
        if (connection !== undefined) refuse(new Error('the connection was closed'));
      }
    }
  });
  const send = async (event: CloudEvent): Promise<void> => {
    const over = new AbortController();
    const late = sleep(clock, WAIT_MS, over.signal).then(() => undefined);
    const connection = await Promise.race([now.promise, late]);
    over.abort();
    if (connection === undefined)
      throw new PetrelError('NotReady', `${options.what} is not connected`, {
        why: problem,
        fix: 'The event is tried again; see to the server and to what the sink is configured with.',
      });
    await connection.send(event);
  };
  return {
    async send(event) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      under.set(promise, reject);
      send(event).then(resolve, reject);
      try {
        await promise;
      } finally {
        under.delete(promise);
      }
    },
    async stop(graceMs) {
      await within(clock, Promise.allSettled(under.keys()), graceMs);
      stopping.abort();
      // Who does not answer within the grace, or was not reached at all, is not taken leave of.
      if (!connected || under.size > 0) cut.abort();
      await leave({ clock, log, what: options.what }, running, 0, () => cut.abort());
    },
  };
}

/** For connections that cannot be lost: each request makes its own. */
export const never: Promise<never> = new Promise(() => {});
