/** Asynchronous invocation as a service of the platform: two sockets with the first function, everything else with the first request. */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { splitKey } from '../../kube/indexed-store.ts';
import type { SocketRoute } from '../packages/server.ts';
import { ACCEPT_SOCKET, type FunctionService, loopback, type ServiceContext } from '../services/contract.ts';
import { listenUnix, type UnixServer } from '../unix-server.ts';
import type { AdminAction } from './admin.ts';
import type { FunctionAddress } from './deliver.ts';
import type { Engine } from './engine.ts';

/** Answers `/.petrel/invocations/…`. */
const STATUS_SOCKET = 'invocation-status.sock';
/** Suffix of host names that only deliveries use. */
const DELIVERY_DOMAIN = 'deliveries.petrel.internal';

const ADMIN: [method: string, path: string, action: AdminAction][] = [
  ['GET', '/invocations', 'list'],
  ['GET', '/invocations/get', 'get'],
  ['POST', '/invocations/cancel', 'cancel'],
  ['POST', '/dlq/redrive', 'redrive'],
  ['POST', '/dlq/purge', 'purge'],
];

export function createInvocationService(context: ServiceContext): FunctionService {
  const { functions, gateway, clock, random, log } = context;
  const path = join(context.dir, 'invocations.db');
  const secret = randomBytes(32);
  /** Functions that ask who calls: what was let in once is delivered past that question, by a name nobody can guess. */
  const guarded = new Set<string>();
  let listening: Promise<UnixServer[]> | undefined;
  let opening: Promise<Engine> | undefined;
  let stopped = false;

  const nameFor = (target: string) =>
    `${createHmac('sha256', secret).update(target).digest('hex').slice(0, 40)}.${DELIVERY_DOMAIN}`;
  const address = (target: string): FunctionAddress => ({
    ...loopback(gateway),
    prefix: `/fn/${target}`,
    ...(guarded.has(target) ? { name: nameFor(target) } : {}),
  });
  const spec = (target: string) => {
    const { namespace, name } = splitKey(target);
    return functions.get(namespace, name)?.spec;
  };

  const engine = (): Promise<Engine> => {
    opening ??= import('./engine.ts')
      .then(({ openEngine }) => openEngine({ path, clock, random, log, spec, address }))
      .catch((error) => {
        opening = undefined; // a full disk has room again one day
        throw error;
      });
    return opening;
  };

  const listen = async (): Promise<UnixServer[]> => {
    const status = join(context.runDir, STATUS_SOCKET);
    const servers = await Promise.all([
      listenUnix(
        join(context.runDir, ACCEPT_SOCKET),
        async (request, response) => (await engine()).accept(request, response),
        log,
      ),
      listenUnix(status, async (request, response) => (await engine()).status(request, response), log),
    ]);
    gateway.setPathRoute?.('platform/invocations', {
      hosts: [],
      path: { type: 'prefix', value: '/.petrel/invocations' },
      methods: [],
      rewrite: 'keep',
      to: { kind: 'http1-unix', path: status },
      order: 0,
    });
    return servers;
  };

  /** A way to the function past its access rules; there while it has any. */
  const guard = (
    { metadata: { namespace = 'default', name }, spec: { access } }: PetrelFunction,
    gone = false,
  ) => {
    const target = `${namespace}/${name}`;
    const needed =
      !gone && access !== undefined && (access.auth !== undefined || access.rateLimit !== undefined);
    if (!needed && !guarded.delete(target)) return;
    if (needed && gateway.setPathRoute) guarded.add(target);
    gateway.setPathRoute?.(
      `invocations/${target}`,
      needed
        ? {
            hosts: [nameFor(target)],
            path: { type: 'prefix', value: `/fn/${target}` },
            methods: [],
            rewrite: 'strip',
            to: [{ route: target, percent: 100 }],
            access: {},
            order: 0,
          }
        : null,
    );
  };

  const routes: SocketRoute[] = ADMIN.map(([method, at, action]) => ({
    method,
    path: at,
    async handle(request, response) {
      const there = opening !== undefined || existsSync(path);
      const { administer } = await import('./admin.ts');
      await administer(action, there ? await engine() : undefined, request, response);
    },
  }));

  return {
    routes,
    seen(fn) {
      if (stopped) return;
      listening ??= listen();
      listening.catch((error) => {
        listening = undefined;
        log.error('asynchronous requests cannot be accepted', { error: messageOf(error) });
      });
      guard(fn);
    },
    gone: (fn) => guard(fn, true),
    async start() {
      if (existsSync(path)) await engine();
    },
    async stop(graceMs) {
      stopped = true;
      const servers = await listening?.catch(() => []);
      const opened = await opening?.catch(() => undefined);
      await opened?.stop(graceMs);
      await Promise.all((servers ?? []).map((server) => server.close()));
    },
  };
}
