/**
 * What Services say of themselves to the gateway beside their revisions: who may call, and what makes requests stay with an
 * instance. It stands in annotations, which change nothing about revisions, and holds for every Route that leads there.
 */
import { createRequire } from 'node:module';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { RequestKey } from '../../gateway/contract.ts';
import { SERVICE_ANNOTATIONS } from '../../kinds/function.ts';
import type { Service } from '../../kinds/serving.ts';
import { readAnnotated } from '../../kinds/strategies/function-access.ts';
import type { KubeClient } from '../../kube/client.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import type { Informer } from '../../kube/informer.ts';
import type { AccessKeys } from './live.ts';
import type { ResolvedAccess } from './resolve.ts';

export interface LiveAccessOptions {
  client: KubeClient;
  services: Informer<Service>;
  clock: Clock;
  log: Logger;
  fetch?: typeof fetch;
  /** What holds for the Route behind the key has changed. */
  onChange(routeKey: string): void;
  /** Somebody is kept out whom the owner of the Service wants in. */
  onProblem(serviceKey: string, problem: string): void;
}

export interface LiveAccess {
  /** What holds for a Route that leads to these Services; `onChange` tells of changes from now on. */
  of(routeKey: string, services: ReadonlySet<string>): ResolvedAccess;
  /** What requests of the Service stay with one instance by; undefined when any will do. */
  sticky(serviceKey: string): RequestKey | undefined;
  forget(routeKey: string): void;
  /** A token for this Route names a key that it does not have. */
  keyMissing(routeKey: string): void;
  /** Reads what Services ask for now. Gives up after a short time: until it is read, nobody is let in. */
  prepare(): Promise<void>;
  stop(): void;
}

/** A start waits so long for Secrets and key sets, milliseconds. */
const PREPARE_MS = 2000;
const require = createRequire(import.meta.url);

export function createLiveAccess(options: LiveAccessOptions): LiveAccess {
  const { services, clock, onChange } = options;
  /** Undefined until the first Service says who may call. */
  let keys: AccessKeys | undefined;
  /** Route key → Services that it was last told to lead to. */
  const routes = new Map<string, ReadonlySet<string>>();

  const told = (serviceKey: string) => {
    for (const [routeKey, led] of routes) if (led.has(serviceKey)) onChange(routeKey);
  };
  const annotation = (serviceKey: string, name: keyof typeof SERVICE_ANNOTATIONS): string | undefined => {
    const service = services.get(splitKey(serviceKey).namespace, splitKey(serviceKey).name);
    return service?.metadata.annotations?.[SERVICE_ANNOTATIONS[name]];
  };
  const resolve = (serviceKey: string): ResolvedAccess | undefined => {
    const text = annotation(serviceKey, 'access');
    if (!keys && text === undefined) return undefined;
    if (!keys) {
      const { createAccessKeys } = require('./live.ts') as typeof import('./live.ts');
      keys = createAccessKeys({ ...options, onChange: told });
    }
    return keys.resolve(serviceKey, text);
  };

  const onService = (service: Service, before?: Service) => {
    const said = ({ metadata: { annotations = {} } }: Service) =>
      Object.values(SERVICE_ANNOTATIONS).map((name) => annotations[name]);
    if (before && String(said(service)) === String(said(before))) return;
    // what nobody asks for any more is not followed any more, whether a Route leads there or not
    if (keys) resolve(keyOf(service));
    told(keyOf(service));
  };
  services.addHandler({ update: onService, delete: (service) => onService(service) });

  return {
    of(routeKey, led) {
      routes.set(routeKey, led);
      let result: ResolvedAccess = {};
      for (const key of led) {
        const found = resolve(key);
        if (!found) continue;
        // of several Services, each part is that of the first that has it
        const access = { ...found.access, ...result.access };
        result = { ...found, ...result, ...(Object.keys(access).length > 0 && { access }) };
      }
      return result;
    },
    sticky(serviceKey) {
      const text = annotation(serviceKey, 'sticky');
      const said = text === undefined ? undefined : readAnnotated<RequestKey>('sticky', text).value;
      return said?.header === undefined ? said : { header: said.header.toLowerCase() };
    },
    forget: (routeKey) => void routes.delete(routeKey),
    keyMissing(routeKey) {
      for (const key of routes.get(routeKey) ?? []) keys?.missing(key);
    },
    async prepare() {
      for (const service of services.list()) resolve(keyOf(service));
      if (!keys) return;
      const late = Promise.withResolvers<void>();
      const timer = clock.after(PREPARE_MS, () => late.resolve());
      await Promise.race([keys.settled(), late.promise]);
      timer.cancel();
    },
    stop: () => keys?.stop(),
  };
}
