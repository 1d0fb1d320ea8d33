/** A sink on a server that may be away: it holds on to one connection, and events wait a moment for it. */
import { sleep } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { RunningSink, SinkContext } from '../sinks/contract.ts';
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

export function downstream(
  context: SinkContext<unknown>,
  options: DownstreamOptions,
  connect: () => Promise<SinkConnection>,
): RunningSink {
  const { clock, log, report } = context;
  const stopping = new AbortController();
  const { signal } = stopping;
  let now = Promise.withResolvers<SinkConnection>();
  let problem = 'not yet connected';
  const under = new Set<Promise<void>>();
  const running = persist({ clock, log, signal, report, random: Math.random, ...options }, async (up) => {
    let connection: SinkConnection | undefined;
    try {
      connection = await connect();
      connection.lost.catch(() => {});
      now.resolve(connection);
      up();
      await Promise.race([aborted(signal), connection.lost]);
      await Promise.allSettled(under);
    } catch (error) {
      problem = saying(error);
      throw error;
    } finally {
      if (connection !== undefined) now = Promise.withResolvers();
      await connection?.close();
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
    await Promise.race([connection.send(event), connection.lost]);
  };
  return {
    async send(event) {
      const mine = send(event);
      under.add(mine);
      try {
        await mine;
      } finally {
        under.delete(mine);
      }
    },
    async stop(graceMs) {
      await Promise.race([Promise.allSettled(under), sleep(clock, graceMs)]);
      stopping.abort();
      await running;
    },
  };
}

/** For connections that cannot be lost: each request makes its own. */
export const never: Promise<never> = new Promise(() => {});
