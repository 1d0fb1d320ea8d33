/** The controller of FunctionAliases: each owns a Knative Route of its name, so that weights, URLs and scaling exist once. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { FunctionAlias } from '../../kinds/function.ts';
import type { Route } from '../../kinds/serving.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { createInformer } from '../../kube/informer.ts';
import { FUNCTION_ALIASES, ROUTES } from '../../kube/refs.ts';
import { aliasStatus, alignedRoute, routeOf, withReady } from './alias-route.ts';

export interface AliasControllerOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
}

export interface AliasController {
  /** Name of the function that an alias stands for. */
  functionOf(namespace: string | undefined, alias: string): string | undefined;
  start(): void;
  stop(): Promise<void>;
}

export function createAliasController({ client, clock, log }: AliasControllerOptions): AliasController {
  const aliases = createInformer<FunctionAlias>({ client, resource: FUNCTION_ALIASES, log, clock });
  const routes = createInformer<Route>({ client, resource: ROUTES, log, clock });
  const owns = (alias: FunctionAlias, route: Route) =>
    (route.metadata.ownerReferences ?? []).some((one) => one.controller && one.uid === alias.metadata.uid);

  /** The Route, made or brought in line; undefined when somebody else's stands there. */
  const ensureRoute = async (alias: FunctionAlias): Promise<Route | undefined> => {
    const { namespace, name } = alias.metadata;
    let found = routes.get(namespace, name);
    if (found === undefined) {
      try {
        return await client.create<Route>(ROUTES, routeOf(alias));
      } catch (error) {
        if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
        found = await client.get<Route>(ROUTES, namespace, name);
      }
    }
    if (!owns(alias, found)) return undefined;
    const aligned = alignedRoute(alias, found);
    return aligned === undefined ? found : client.update<Route>(ROUTES, aligned);
  };

  const controller = createController({
    name: 'function-aliases',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const alias = aliases.get(namespace, name);
      if (alias === undefined || alias.metadata.deletionTimestamp !== undefined) return undefined;
      const route = await ensureRoute(alias);
      const message = `There is a Route "${name}" in namespace "${namespace}" that this alias does not own. Delete it (kubectl delete routes.serving.knative.dev ${name} -n ${namespace}) or give the alias another name.`;
      const status =
        route === undefined
          ? withReady(alias, { type: 'Ready', status: 'False', reason: 'NotOwned', message }, clock.now())
          : aliasStatus(alias, route, clock.now());
      if (JSON.stringify(status) !== JSON.stringify(alias.status))
        await client.updateStatus<FunctionAlias>(FUNCTION_ALIASES, { ...alias, status } as FunctionAlias);
      return undefined;
    },
  });

  const enqueue = (object: FunctionAlias) => controller.enqueue(keyOf(object));
  aliases.addHandler({ add: enqueue, update: enqueue });
  /** A change of a Route concerns the alias of its name alone. */
  const routeChanged = (route: Route) => {
    if (aliases.get(route.metadata.namespace, route.metadata.name)) controller.enqueue(keyOf(route));
  };
  routes.addHandler({ add: routeChanged, update: routeChanged, delete: routeChanged });

  return {
    functionOf: (namespace, alias) => aliases.get(namespace, alias)?.spec.function,
    start() {
      aliases.start();
      routes.start();
      void Promise.all([aliases.synced, routes.synced]).then(() => controller.start());
    },
    async stop() {
      aliases.stop();
      routes.stop();
      await controller.stop();
    },
  };
}
