/** What functions get from the platform besides instances. Nothing of it is loaded before a function needs it. */
import { messageOf } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { SocketRoute } from '../packages/server.ts';
import type { FunctionService, ServiceContext } from './contract.ts';

/** Name → whether a function needs it, and where it is. */
const SERVICES: Record<
  string,
  { for(fn: PetrelFunction): boolean; load(context: ServiceContext): Promise<FunctionService> }
> = {
  invocations: {
    for: () => true,
    load: async (context) => (await import('../invocations/service.ts')).createInvocationService(context),
  },
  state: {
    for: ({ spec }) => spec.state !== undefined,
    load: async (context) => (await import('../state/service.ts')).createStateService(context),
  },
  tools: {
    for: ({ spec }) => spec.tool !== undefined,
    load: async (context) => (await import('../tools/service.ts')).createToolService(context),
  },
};

/** Rows of the platform's own socket, known before their service is loaded. */
const ROUTES: [method: string, path: string, service: string][] = [
  ['GET', '/invocations', 'invocations'],
  ['GET', '/invocations/get', 'invocations'],
  ['POST', '/invocations/cancel', 'invocations'],
  ['POST', '/dlq/redrive', 'invocations'],
  ['POST', '/dlq/purge', 'invocations'],
  ['GET', '/state/access', 'state'],
];

export interface Services {
  readonly routes: SocketRoute[];
  /** What an instance of a function with state of that keyspace gets as variables, once `ready`. */
  stateEnv(namespace: string, name: string, keyspace: string): Record<string, string>;
  /** Resolves when `stateEnv` can be asked; undefined when it can already. */
  stateReady(): Promise<unknown> | undefined;
  /** Begins to follow the functions. What an earlier life left is taken up in the background. */
  start(): void;
  /** See `FunctionService.drain`. */
  drain(graceMs: number): Promise<void>;
  /** See `FunctionService.stop`. */
  stop(): Promise<void>;
}

export function createServices(context: ServiceContext): Services {
  const { log } = context;
  const loaded = new Map<string, Promise<FunctionService>>();
  const running = new Map<string, FunctionService>();
  let stopping = false;

  const need = (name: string): Promise<FunctionService> => {
    let service = loaded.get(name);
    if (service === undefined) {
      service = (async () => {
        const made = await SERVICES[name]!.load(context);
        await made.start();
        running.set(name, made);
        return made;
      })();
      loaded.set(name, service);
      service.catch((error) => {
        loaded.delete(name);
        log.error('a service for functions could not start', { service: name, error: messageOf(error) });
      });
    }
    return service;
  };
  const tell = (fn: PetrelFunction, how: 'seen' | 'gone') => {
    for (const [name, row] of Object.entries(SERVICES)) {
      const needed = how === 'seen' && row.for(fn);
      if (stopping || (!needed && !loaded.has(name))) continue;
      need(name).then(
        (service) => service[how](fn),
        () => {}, // logged where it failed
      );
    }
  };

  return {
    routes: ROUTES.map(([method, path, name]) => ({
      method,
      path,
      async handle(request, response) {
        const service = await need(name);
        const route = service.routes.find((one) => one.method === method && one.path === path);
        await route?.handle(request, response);
      },
    })),
    stateEnv: (...args) => running.get('state')?.env?.(...args) ?? {},
    stateReady: () => (running.has('state') ? undefined : need('state')),
    start() {
      if (context.withoutFunctions) need('invocations').catch(() => {}); // logged where it failed
      context.functions.addHandler({
        add: (fn) => tell(fn, 'seen'),
        update: (fn) => tell(fn, 'seen'),
        delete: (fn) => tell(fn, 'gone'),
      });
    },
    async drain(graceMs) {
      await Promise.all([...running.values()].map((service) => service.drain?.(graceMs)));
    },
    async stop() {
      stopping = true;
      const all = await Promise.allSettled(loaded.values());
      await Promise.all(all.map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
    },
  };
}
