/**
 * Requests for a function that is still being made: they wait here, as they would at Fission's router, and go on to the gateway when the
 * function stands. Only until it has stood once; from then on the gateway itself waits for instances.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../base/clock.ts';
import { request as httpRequest } from '../../base/http.ts';
import { reachableHost } from '../../base/reachable.ts';
import type { EndpointAddress, Gateway, PathRoute } from '../../gateway/contract.ts';
import type { Problem } from './model.ts';

/** Names whose routes a request waits for; set by the route, never taken from a client. */
export const HOLD_HEADER = 'x-fission-hold';
/** As long as Fission waits for an instance by default, ms. */
const LONGEST_MS = 120_000;
/** Requests that may wait at once. */
const MAX_WAITING = 1000;

export interface Hold {
  /** The routes with this server in the place of functions that are not there yet. */
  routes(owner: string, routes: Record<string, PathRoute>): Record<string, PathRoute>;
  /** The owner's routes lead to functions now, or never will for that reason. */
  release(owner: string, problem?: Problem): void;
  /** Passes a request on to the gateway: to another path, with fields in the place of its own. */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    path?: string,
    own?: Record<string, string>,
  ): Promise<void>;
  /** Answers a held request. Resolves to why it cannot. */
  answer(owner: string, request: IncomingMessage, response: ServerResponse): Promise<Problem | undefined>;
}

export function createHold(gateway: Pick<Gateway, 'address'>, server: EndpointAddress, clock: Clock): Hold {
  const waiting = new Map<string, Set<(problem: Problem | undefined) => void>>();
  /** Owners whose requests come here. */
  const held = new Set<string>();
  let count = 0;

  const released = (owner: string, response: ServerResponse): Promise<Problem | undefined> => {
    if (!held.has(owner)) return Promise.resolve(undefined);
    if (count >= MAX_WAITING)
      return Promise.resolve({
        reason: 'capacity_exceeded',
        message: 'Too many requests wait for functions.',
      });
    const { promise, resolve } = Promise.withResolvers<Problem | undefined>();
    const waiters = waiting.get(owner) ?? new Set();
    waiting.set(owner, waiters.add(resolve));
    count++;
    const late = () =>
      resolve({ reason: 'specialization_failed', message: 'The function was not ready in time.' });
    const timer = clock.after(LONGEST_MS, late);
    response.once('close', late);
    return promise.finally(() => {
      count--;
      timer.cancel();
      response.off('close', late);
      waiters.delete(resolve);
    });
  };

  const forward: Hold['forward'] = (request, response, path = request.url, own = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const {
      [HOLD_HEADER]: _hold,
      connection: _connection,
      'transfer-encoding': _encoding,
      ...headers
    } = request.headers;
    const { host, port } = gateway.address;
    const outgoing = httpRequest(
      {
        host: reachableHost(host),
        port,
        agent: false,
        method: request.method,
        path,
        headers: { ...headers, ...own },
      },
      (answer) => {
        const { connection: _c, 'transfer-encoding': _t, 'keep-alive': _k, ...own } = answer.headers;
        response.writeHead(answer.statusCode ?? 502, own);
        pipeline(answer, response).then(resolve, reject);
      },
    );
    outgoing.on('error', reject);
    response.on('close', () => outgoing.destroy());
    pipeline(request, outgoing).catch(reject);
    return promise;
  };

  return {
    forward,
    routes(owner, routes) {
      held.add(owner);
      const headers = { [HOLD_HEADER]: owner };
      return Object.fromEntries(
        Object.entries(routes).map(([id, { hosts, path, methods, order }]): [string, PathRoute] => [
          id,
          { hosts, path, methods, order, rewrite: 'keep', to: server, headers },
        ]),
      );
    },
    release(owner, problem) {
      if (problem === undefined) held.delete(owner);
      for (const resolve of waiting.get(owner) ?? []) resolve(problem);
      waiting.delete(owner);
    },
    async answer(owner, request, response) {
      const problem = await released(owner, response);
      if (problem === undefined) await forward(request, response);
      return problem;
    },
  };
}
