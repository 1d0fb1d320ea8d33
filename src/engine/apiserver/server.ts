/**
 * The API server: one HTTP-shaped exchange in, one out. Knows nothing of sockets; the HTTPS listener and the transport
 * within the process are thin fronts on `handle`.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { DEFINITIONS } from '../../kinds/custom-resource-definitions.ts';
import { createRegistry, type Registry } from '../../kinds/registry.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Store } from '../store/contract.ts';
import { mayEverything, refusal } from './authentication.ts';
import { decodeBody } from './body.ts';
import type { ApiContext, User } from './context.ts';
import { asObject } from './decode.ts';
import { createDiscovery } from './discovery.ts';
import { ApiError, internal, methodNotAllowed, noSuchPath } from './errors.ts';
import { followEventingConfig, followServingConfig } from './live-config.ts';
import { answerOpenApi } from './openapi.ts';
import { createQuotas } from './quotas.ts';
import { failure, json, plain } from './reply.ts';
import { handleResource } from './resource-handler.ts';
import { findReview, type Review } from './reviews.ts';
import { type Address, parseAddress, resolveTarget } from './target.ts';
import { versionInfo } from './version.ts';
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
  /** Petrel's own version, for `/version`. */
  version?: string;
}

type Beside = (
  address: Address,
  request: KubeRequest,
) => KubeResponse | undefined | Promise<KubeResponse | undefined>;

export interface ApiServer {
  /** Answers every request; never rejects. */
  handle(request: KubeRequest, user: User): Promise<KubeResponse>;
  /** Ends all watches. The store is the caller's to close. */
  close(): void;
}

export function createApiServer(options: ApiServerOptions): ApiServer {
  const servingConfig = followServingConfig(options.store);
  const eventingConfig = followEventingConfig(options.store);
  const quotas = createQuotas(options.store, options.log);
  const context: ApiContext = {
    store: options.store,
    registry: options.registry,
    log: options.log,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    uid: options.uid ?? randomUUID,
    quotas,
    config: servingConfig.current,
    eventing: eventingConfig.current,
  };
  const watches = new WatchHub(context);
  const definitions = createRegistry(DEFINITIONS);
  const startedAt = context.clock.now();
  const discovery = createDiscovery(context.registry);
  const health = (): KubeResponse => plain(200, 'ok');
  /** Paths besides resources, by their first segment. */
  const beside: Record<string, Beside> = {
    healthz: health,
    livez: health,
    readyz: health,
    version: () => json(200, versionInfo(options.version ?? '0')),
    api: ({ segments }, request) => discovery.answer(segments, request),
    apis: ({ segments }, request) => discovery.answer(segments, request),
    openapi: (address, request) => answerOpenApi(context.registry, address, request),
  };

  const route = async (request: KubeRequest, user: User): Promise<KubeResponse> => {
    const address = parseAddress(request.path);
    const { segments, query } = address;
    const [root = '', group = '', version = '', plural = '', ...more] = segments;
    if (root === 'api' || root === 'apis') {
      const target = resolveTarget(context.registry, segments);
      if (target !== undefined) {
        if (!mayEverything(user)) throw refusal(user, request, target);
        return handleResource({ context, watches, request, user, target, query });
      }
      const shown = resolveTarget(definitions, segments);
      if (shown !== undefined) {
        if (!mayEverything(user)) throw refusal(user, request, shown);
        const { answerDefinitions } = await import('./definitions.ts');
        return answerDefinitions({ context, watches, request, user, target: shown, query }, startedAt);
      }
      const review = root === 'apis' && more.length === 0 ? findReview(group, version, plural) : undefined;
      if (review !== undefined) return answerReview(review, request, user);
    }
    const answer = await (Object.hasOwn(beside, root) ? beside[root]?.(address, request) : undefined);
    if (answer === undefined) throw noSuchPath();
    if (request.method !== 'GET') throw methodNotAllowed();
    return answer;
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
    close() {
      servingConfig.close();
      eventingConfig.close();
      quotas.close();
      watches.close();
    },
  };
}

async function answerReview(review: Review, request: KubeRequest, user: User): Promise<KubeResponse> {
  if (request.method !== 'POST') throw methodNotAllowed();
  const object = asObject((await decodeBody(request)).value);
  return json(201, {
    ...object,
    kind: review.kind,
    apiVersion: `${review.group}/${review.version}`,
    status: review.answer(object, user),
  });
}
