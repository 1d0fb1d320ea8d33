/** Eventing as the platform begins it: the engine's thread, the controllers that tell it what is to be, and the gateway's way there. */
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { reachableHost } from '../base/reachable.ts';
import type { Gateway } from '../gateway/contract.ts';
import type { KubeClient } from '../kube/client.ts';
import { EVENTS_HOSTS, EVENTS_PREFIX } from './addresses.ts';
import { startControllers } from './control/index.ts';
import { EngineHost } from './engine/host.ts';
import type { EngineReports, LagReport, Questions } from './model.ts';

export { lagByRoute } from './lag.ts';

export interface EventingOptions {
  client: KubeClient;
  gateway: Gateway;
  /** What lasts goes to `events` in it. */
  dir: string;
  /** For sockets. */
  runDir: string;
  clock: Clock;
  random(): number;
  log: Logger;
  /** What waits for a subscription or a source. */
  lag(report: LagReport): void;
}

export interface Eventing {
  /** See `EngineControl.ask`. */
  ask<K extends keyof Questions>(question: K, input: Questions[K]['input']): Promise<Questions[K]['answer']>;
  /** Producers hear 503 from now on; sources stop, deliveries under way end for up to that time. */
  stop(graceMs: number): Promise<void>;
}

/** Name of the socket on which the gateway hands events over. */
const SOCKET = 'events.sock';

/** Resolves when the objects that exist are known to the engine, and events are taken. */
export async function startEventing(options: EventingOptions): Promise<Eventing> {
  const { client, gateway, dir, runDir, clock, random, lag } = options;
  const log = options.log.with({ component: 'eventing' });
  const address = { host: reachableHost(gateway.address.host), port: gateway.address.port };
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const base = `http://${host}:${address.port}${EVENTS_PREFIX.slice(0, -1)}`;
  const socket = join(runDir, SOCKET);

  // The controllers need the engine to begin, and hear of it once they have.
  const early: ((to: EngineReports) => void)[] = [];
  let listener: EngineReports | undefined;
  const forward =
    <M extends keyof EngineReports>(method: M) =>
    (...input: Parameters<EngineReports[M]>) => {
      const tell = (to: EngineReports) => (to[method] as (...all: typeof input) => void)(...input);
      if (listener === undefined) early.push(tell);
      else tell(listener);
    };
  const engine = new EngineHost({
    options: { dir: join(dir, 'events'), socket, base, gateway: address },
    reports: {
      source: forward('source'),
      subscription: forward('subscription'),
      seenType: forward('seenType'),
      lag(report) {
        lag(report);
        forward('lag')(report);
      },
    },
    clock,
    log,
  });
  try {
    // What is Ready takes events: the way there comes first. An engine that does not start says so in the log, and is tried again.
    await engine.ready.catch(() => {});
    gateway.setServer?.('events', {
      address: { kind: 'mux', path: socket },
      prefixes: [EVENTS_PREFIX],
      hosts: EVENTS_HOSTS,
    });
    const controllers = await startControllers({ client, engine, base, log, clock, random });
    listener = controllers.reports;
    for (const tell of early.splice(0)) tell(controllers.reports);
    return {
      ask: (question, input) => engine.ask(question, input),
      async stop(graceMs) {
        await controllers.stop();
        await engine.stop(graceMs);
      },
    };
  } catch (error) {
    await engine.stop(0);
    throw error;
  }
}
