/** Asynchronous invocation as a service of the platform: two sockets with the first function, everything else with the first request. */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { listenUnix, type UnixServer } from '../../base/unix-server.ts';
import type { PathRoute } from '../../gateway/contract.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { answering } from '../answering.ts';
import type { SocketRoute } from '../packages/server.ts';
import {
  ACCEPT_SOCKET,
  EVENT_FIELD,
  type FunctionService,
  loopback,
  type ServiceContext,
} from '../services/contract.ts';
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
  const { gateway, clock, random, log } = context;
  const path = join(context.dir, 'invocations.db');
  const secret = randomBytes(32);
  /** Functions that ask who calls: what was let in once is delivered past that question. */
  const guarded = new Set<string>();
  /** Of a function the Routes that deliveries have to it by names nobody can guess. */
  const ways = new Map<string, Map<string, string>>();
  let listening: Promise<UnixServer[]> | undefined;
  let opening: Promise<Engine> | undefined;
  let draining = false;
  let stopped = false;

  const nameFor = (target: string) =>
    `${createHmac('sha256', secret).update(target).digest('hex').slice(0, 40)}.${DELIVERY_DOMAIN}`;
  const pathRoute = (target: string, name: string, past: boolean, event?: string): PathRoute => ({
    hosts: [name],
    path: { type: 'prefix', value: `/fn/${target}` },
    methods: [],
    rewrite: 'strip',
    to: [{ route: target, percent: 100 }],
    ...(past ? { access: {} } : {}),
    ...(event === undefined ? {} : { headers: { [EVENT_FIELD]: event } }),
    order: 0,
  });
  const behind = (target: string) => {
    const { namespace, name } = splitKey(target);
    return context.behind(namespace, name);
  };
  const address = (target: string, event?: string): FunctionAddress => {
    const plain = { ...loopback(gateway), prefix: `/fn/${target}` };
    const fn = behind(target);
    const past = fn !== undefined && guarded.has(keyOf(fn));
    if (fn === undefined || !(past || event !== undefined)) return plain;
    const id = event === undefined ? target : `${target}?${event}`;
    const known = ways.get(keyOf(fn)) ?? new Map<string, string>();
    ways.set(keyOf(fn), known);
    let name = known.get(id);
    if (name === undefined) {
      name = nameFor(id);
      gateway.setPathRoute?.(`invocations/${id}`, pathRoute(target, name, past, event));
      known.set(id, name);
    }
    return { ...plain, name };
  };
  const spec = (target: string) => behind(target)?.spec;

  const engine = (): Promise<Engine> => {
    opening ??= Promise.all([import('./engine.ts'), import('../../base/outside.ts')])
      .then(async ([{ openEngine }, { createOutsidePolicy }]) => {
        const outside = createOutsidePolicy(() => gateway.address.port, context.callbackHosts);
        const opened = openEngine({
          path,
          clock,
          random,
          log,
          spec,
          address,
          secret: context.secret,
          outside,
        });
        if (draining) await opened.drain(0);
        return opened;
      })
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
        answering(async (request, response) => (await engine()).accept(request, response), log),
      ),
      listenUnix(
        status,
        answering(async (request, response) => (await engine()).status(request, response), log),
      ),
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

  /** Notes whether a function has rules of access; without them nothing leads past any. */
  const guard = (fn: PetrelFunction, gone = false) => {
    const { access } = fn.spec;
    const key = keyOf(fn);
    const asks = !gone && (access?.auth !== undefined || access?.rateLimit !== undefined);
    if (!gone && asks === guarded.has(key)) return;
    for (const id of ways.get(key)?.keys() ?? []) gateway.setPathRoute?.(`invocations/${id}`, null);
    ways.delete(key);
    if (asks) guarded.add(key);
    else guarded.delete(key);
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

  const open = () => {
    listening ??= listen();
    listening.catch((error) => {
      listening = undefined;
      log.error('asynchronous requests cannot be accepted', { error: messageOf(error) });
    });
  };

  return {
    routes,
    seen(fn) {
      if (stopped) return;
      open();
      guard(fn);
    },
    gone: (fn) => guard(fn, true),
    async start() {
      if (context.withoutFunctions) open();
      if (existsSync(path)) await engine();
    },
    async drain(graceMs) {
      draining = true;
      await (await opening?.catch(() => undefined))?.drain(graceMs);
    },
    async stop() {
      stopped = true;
      const servers = await listening?.catch(() => []);
      await Promise.all((servers ?? []).map((server) => server.close()));
      await (await opening?.catch(() => undefined))?.close();
    },
  };
}
