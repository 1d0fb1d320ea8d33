/** A route with several revisions, each with instances that do as a test says; for what policies do with it. */
import { after } from 'node:test';
import type { Endpoint, RevisionEntry, RouteEntry, RoutePolicy } from '../contract.ts';
import type { GatewayLimits } from '../limits.ts';
import { type Harness, RawClient, type RawResponse, startHarness } from './harness.ts';
import { startMuxInstance, type TestStream } from './mux-instance.ts';

export const SHOP_HOST = 'shop.test';

type Handler = (stream: TestStream) => void;

export interface Shop extends Harness {
  /** Makes the revision `default/<name>` with one instance for each handler; ids are `<name>-0`, `<name>-1`, … */
  stock(name: string, handlers: Handler[], change?: Partial<RevisionEntry>): Promise<Endpoint[]>;
  /** Sets the route; percentages by revision name. */
  open(split: Record<string, number>, policy?: RoutePolicy, more?: Partial<RouteEntry>): void;
  /** One request on a connection of its own. */
  ask(request?: Ask): Promise<RawResponse>;
}

export interface Ask {
  method?: string;
  path?: string;
  /** Lines without their ends. */
  headers?: string[];
  body?: string;
  /** Instead of a connection of its own. */
  client?: RawClient;
}

/** The bytes of a request to the shop. */
export function shopRequest({ method = 'GET', path = '/', headers = [], body }: Ask = {}): string {
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${SHOP_HOST}`, ...headers];
  if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`;
}

/** Answers with its own name. */
export function names(name: string): Handler {
  return (s) => s.respond(200, {}, name);
}

export async function startShop(
  options: { workers?: number; limits?: Partial<GatewayLimits>; zone?: string; secret?: string } = {},
): Promise<Shop> {
  const harness = await startHarness(options);
  after(() => harness.gateway.close(0));
  return {
    ...harness,
    stock: async (name, handlers, change) => {
      const key = `default/${name}`;
      const made = await Promise.all(handlers.map((handler) => startMuxInstance(handler)));
      after(() => Promise.all(made.map((instance) => instance.close())));
      harness.gateway.setRevision(key, {
        key,
        containerConcurrency: 0,
        timeoutMs: 20_000,
        maxRequestBytes: 0,
        queueDepth: 1000,
        ...change,
      });
      const endpoints = made.map(
        ({ path }, i): Endpoint => ({ id: `${name}-${i}`, address: { kind: 'mux', path } }),
      );
      harness.gateway.setEndpoints(key, endpoints);
      return endpoints;
    },
    open: (split, policy, more) => {
      harness.gateway.setRoute('default', 'shop', {
        namespace: 'default',
        name: 'shop',
        hosts: [SHOP_HOST],
        targets: Object.entries(split).map(([name, percent]) => ({ revision: `default/${name}`, percent })),
        ...(policy === undefined ? {} : { policy }),
        ...more,
      });
    },
    ask: async (request = {}) => {
      const client = request.client ?? new RawClient(harness.port);
      const response = await client.send(shopRequest(request)).response(request.method === 'HEAD');
      if (request.client === undefined) client.destroy();
      return response;
    },
  };
}
