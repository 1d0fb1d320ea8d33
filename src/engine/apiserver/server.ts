/**
 * The API server: one HTTP-shaped exchange in, one out. Knows nothing of sockets; the HTTPS listener and the transport
 * within the process are thin fronts on `handle`.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Store } from '../store/contract.ts';
import type { ApiContext, User } from './context.ts';
import { ApiError, internal, noSuchPath } from './errors.ts';
import { failure } from './reply.ts';
import { handleResource } from './resource-handler.ts';
import { parseAddress, resolveTarget } from './target.ts';
import { WatchHub } from './watch.ts';

export interface ApiServerOptions {
  store: Store;
  registry: Registry;
  log: Logger;
  clock?: Clock;
  /** Numbers in [0, 1); names and watch time-outs use it. */
  random?: () => number;
  /** Fresh object uids. */
  uid?: () => string;
}

export interface ApiServer {
  /** Answers every request; never rejects. */
  handle(request: KubeRequest, user: User): Promise<KubeResponse>;
  /** Ends all watches. The store is the caller's to close. */
  close(): void;
}

export function createApiServer(options: ApiServerOptions): ApiServer {
  const context: ApiContext = {
    store: options.store,
    registry: options.registry,
    log: options.log,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    uid: options.uid ?? randomUUID,
  };
  const watches = new WatchHub(context);

  const route = async (request: KubeRequest, user: User): Promise<KubeResponse> => {
    const address = parseAddress(request.path);
    const [root] = address.segments;
    if (root === 'api' || root === 'apis') {
      const target = resolveTarget(context.registry, address.segments);
      if (target !== undefined)
        return handleResource({ context, watches, request, user, target, query: address.query });
    }
    throw noSuchPath();
  };

  return {
    async handle(request, user) {
      try {
        return await route(request, user);
      } catch (error) {
        if (error instanceof ApiError) return failure(error);
        context.log.error('request failed', {
          method: request.method,
          path: request.path.split('?')[0],
          error: (error as Error).stack ?? String(error),
        });
        return failure(internal((error as Error).message));
      }
    },
    close: () => watches.close(),
  };
}
