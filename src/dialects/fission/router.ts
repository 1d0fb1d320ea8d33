/** Keeps the gateway's path routes in line with functions, versions, aliases and HTTPTriggers, and tells triggers and aliases so. */
import { PetrelError } from '../../base/errors.ts';
import type { PathRoute } from '../../gateway/contract.ts';
import type { Condition, KubeObject } from '../../kinds/object.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { type AliasFacts, aliasStatus } from './aliases.ts';
import type { Auth } from './auth.ts';
import { keyOfRef, refersTo } from './caches.ts';
import { found, withFindings } from './conditions.ts';
import { type Context, type Part, writeStatus } from './context.ts';
import type { Hold } from './hold.ts';
import { withIgnored } from './ignored.ts';
import {
  FISSION,
  type FunctionAlias,
  type FunctionVersion,
  type HttpTrigger,
  isProblem,
  type Problem,
} from './model.ts';
import { translatedName } from './parts.ts';
import {
  aliasTargets,
  type Directory,
  functionRoutes,
  queueRoute,
  resolvedVersion,
  triggerRoute,
} from './routes.ts';

/** What references are resolved against. */
export function createDirectory({ caches }: Pick<Context, 'caches'>): Directory {
  return {
    functionOf: (namespace, name) => caches.functions.get(namespace, name),
    versionOf: (namespace, name) => caches.versions.get(namespace, name),
    aliasOf: (namespace, name) => caches.aliases.get(namespace, name),
    versionByDigest: (namespace, functionName, digest) =>
      caches.versions
        .list(namespace)
        .filter(({ spec }) => spec.functionName === functionName && spec.packageDigest === digest)
        .sort((a, b) => b.spec.sequence - a.spec.sequence)[0]?.metadata.name,
  };
}

/** Whether what stands for a function says that it is ready. */
function says(target: (KubeObject & { status?: { conditions?: Condition[] } }) | undefined): boolean {
  return (
    target?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
  );
}

export function createRouter(context: Context, directory: Directory, hold: Hold, auth: Auth): Part {
  const { caches, client, clock, gateway, log } = context;
  /** Object → its routes as they were told, by id. */
  const told = new Map<string, Map<string, string>>();

  /** The same as they were given, without what is asked of everybody. */
  const given = new Map<string, Record<string, PathRoute>>();

  /** Returns why the gateway does not take one of the routes. */
  const tell = (owner: string, routes: Record<string, PathRoute>): Problem | undefined => {
    let problem: Problem | undefined;
    const before = told.get(owner) ?? new Map<string, string>();
    const after = new Map<string, string>();
    given.set(owner, routes);
    // A queue's path has a secret of its own.
    const asked = owner.startsWith('MessageQueueTrigger/') ? undefined : auth.access();
    for (const [id, one] of Object.entries(routes)) {
      const route = asked === undefined ? one : { ...one, access: { ...one.access, auth: asked } };
      const text = JSON.stringify(route);
      after.set(id, text);
      if (before.get(id) === text) continue;
      try {
        gateway.setPathRoute?.(id, route);
      } catch (error) {
        if (!(error instanceof PetrelError) || error.code !== 'InvalidArgument') throw error;
        after.delete(id);
        problem = { reason: 'InvalidRoute', message: [error.message, error.why].filter(Boolean).join(' ') };
      }
    }
    for (const id of before.keys()) if (!after.has(id)) gateway.setPathRoute?.(id, null);
    if (after.size > 0) told.set(owner, after);
    else {
      told.delete(owner);
      given.delete(owner);
    }
    return problem;
  };

  auth.onChange(() => {
    for (const [owner, routes] of [...given]) tell(owner, routes);
  });

  const isReady = (route: string): boolean => {
    const { namespace, name } = splitKey(route);
    return says(caches.targets.get(namespace, name) ?? caches.services.get(namespace, name));
  };

  /** Owners whose requests wait, since what they are to go to has never answered. */
  const holding = new Set<string>();

  /** Requests stay where they go until what they are to go to can answer; where they have never gone anywhere, they wait. */
  const tellReady = (owner: string, routes: Record<string, PathRoute>): Problem | undefined => {
    const ready = Object.values(routes).every(
      ({ to }) => !Array.isArray(to) || to.every(({ route }) => isReady(route)),
    );
    if (ready) {
      const problem = tell(owner, routes);
      if (holding.delete(owner)) hold.release(owner);
      return problem;
    }
    if (told.has(owner) && !holding.has(owner)) return undefined;
    holding.add(owner);
    return tell(owner, hold.routes(owner, routes));
  };

  const ofTrigger = async (owner: string, trigger: HttpTrigger): Promise<void> => {
    const route = triggerRoute(trigger, directory);
    const refused = tellReady(
      owner,
      isProblem(route) ? {} : { [`fission/trigger/${keyOf(trigger)}`]: route },
    );
    const problem: Problem | undefined = isProblem(route) ? route : refused;
    const findings = withIgnored(trigger, [found('RouteAdmitted', problem), found('Ready', problem)]);
    const { generation } = trigger.metadata;
    await writeStatus(client, FISSION.httpTriggers, trigger, {
      observedGeneration: generation ?? 1,
      conditions: withFindings(trigger.status?.conditions, findings, generation, clock.now()),
    });
  };

  const ofAlias = async (owner: string, alias: FunctionAlias): Promise<void> => {
    const { namespace = 'default', name } = alias.metadata;
    const targets = aliasTargets(alias, directory);
    const problem: Problem | undefined = 'reason' in targets ? targets : undefined;
    const fn = directory.functionOf(namespace, alias.spec.functionName);
    const address = `${alias.spec.functionName}:${name}`;
    tellReady(owner, 'reason' in targets ? {} : functionRoutes(namespace, address, targets, alias, fn));
    const facts: AliasFacts = {
      resolved: resolvedVersion(alias, directory),
      problem,
      version: (of) => caches.versions.get(namespace, of),
      environmentOf({ spec: { snapshot } }) {
        const key = keyOfRef(snapshot.environment, namespace);
        const at = key === undefined ? undefined : splitKey(key);
        return at && caches.environments.get(at.namespace, at.name);
      },
    };
    await writeStatus(client, FISSION.aliases, alias, aliasStatus(alias, facts, clock.now()));
  };

  const reconcile: Record<string, (owner: string, namespace: string, name: string) => Promise<void>> = {
    async Function(owner, namespace, name) {
      const fn = caches.functions.get(namespace, name);
      tellReady(owner, fn ? functionRoutes(namespace, name, toOne(namespace, name), fn, fn) : {});
    },
    async FunctionVersion(owner, namespace, name) {
      const version = caches.versions.get(namespace, name);
      if (!version) return void tellReady(owner, {});
      const { functionName } = version.spec;
      const fn = directory.functionOf(namespace, functionName);
      tellReady(
        owner,
        functionRoutes(namespace, `${functionName}:${name}`, toOne(namespace, name), version, fn),
      );
    },
    async FunctionAlias(owner, namespace, name) {
      const alias = caches.aliases.get(namespace, name);
      if (alias) await ofAlias(owner, alias);
      else tellReady(owner, {});
    },
    async HTTPTrigger(owner, namespace, name) {
      const trigger = caches.httpTriggers.get(namespace, name);
      if (trigger) await ofTrigger(owner, trigger);
      else tellReady(owner, {});
    },
    async MessageQueueTrigger(owner, namespace, name) {
      const trigger = caches.queueTriggers.get(namespace, name);
      const route = trigger && queueRoute(trigger, directory, context.storagePath);
      tellReady(owner, route && !isProblem(route) ? { [`fission/queue/${keyOf(trigger)}`]: route } : {});
    },
  };

  const controller = createController({
    name: 'fission-routes',
    log,
    clock,
    async reconcile(key) {
      const [kind = '', ...rest] = key.split('/');
      const { namespace = 'default', name } = splitKey(rest.join('/'));
      await reconcile[kind]?.(key, namespace, name);
      return undefined;
    },
  });

  const enqueue = (kind: string) => (object: KubeObject) => controller.enqueue(`${kind}/${keyOf(object)}`);
  /** Triggers and aliases that refer to an object, and triggers that refer to such an alias. */
  const referrers = (kind: string, namespace: string | undefined, name: string) => {
    const index = refersTo(kind, namespace, name);
    for (const trigger of caches.httpTriggers.byIndex('refers', index)) enqueue('HTTPTrigger')(trigger);
    for (const trigger of caches.queueTriggers.byIndex('refers', index))
      enqueue('MessageQueueTrigger')(trigger);
    for (const alias of caches.aliases.byIndex('refers', index)) {
      enqueue('FunctionAlias')(alias);
      referrers('FunctionAlias', namespace, alias.metadata.name);
    }
  };
  const follow = (kind: string, cache: Context['caches'][keyof Context['caches']], referred: boolean) => {
    const own = enqueue(kind);
    const changed = (object: KubeObject) => {
      const { namespace, name } = object.metadata;
      own(object);
      if (referred) referrers(kind, namespace, name);
      // An alias may mean a version by its digest.
      if (kind === 'FunctionVersion')
        referrers('Function', namespace, (object as FunctionVersion).spec.functionName);
    };
    const specChanged = (object: KubeObject, old: KubeObject) => {
      if (object.metadata.generation !== old.metadata.generation) changed(object);
    };
    cache.addHandler({ add: changed, update: specChanged, delete: changed } as never);
  };
  const readyNow = (target: KubeObject, old?: KubeObject) => {
    if (!says(target) || says(old)) return;
    const owner = target.metadata.ownerReferences?.find(({ apiVersion }) => apiVersion === 'fission.io/v1');
    if (!owner) return;
    const { namespace } = target.metadata;
    controller.enqueue(`${owner.kind}/${namespace}/${owner.name}`);
    referrers(owner.kind, namespace, owner.name);
    const version = owner.kind === 'FunctionVersion' ? caches.versions.get(namespace, owner.name) : undefined;
    if (version) referrers('Function', namespace, version.spec.functionName);
  };
  for (const cache of [caches.targets, caches.services])
    cache.addHandler({ add: readyNow, update: readyNow } as never);
  /** Who waits for a function that cannot be made hears why. */
  caches.functions.addHandler({
    update(fn) {
      if (holding.size === 0) return;
      const { namespace, name, generation } = fn.metadata;
      const failed = fn.status?.conditions?.find(
        (c) => c.type === 'Ready' && c.status === 'False' && c.observedGeneration === generation,
      );
      if (!failed) return;
      const problem = { reason: 'specialization_failed', message: failed.message || failed.reason || '' };
      const triggers = caches.httpTriggers.byIndex('refers', refersTo('Function', namespace, name));
      for (const owner of [`Function/${keyOf(fn)}`, ...triggers.map((one) => `HTTPTrigger/${keyOf(one)}`)])
        if (holding.has(owner)) hold.release(owner, problem);
    },
  });
  caches.environments.addHandler({
    update(environment, { metadata: { generation } }) {
      if (environment.metadata.generation === generation) return;
      for (const alias of caches.aliases.list()) enqueue('FunctionAlias')(alias);
    },
  });
  follow('Function', caches.functions, true);
  follow('FunctionVersion', caches.versions, true);
  follow('FunctionAlias', caches.aliases, true);
  follow('HTTPTrigger', caches.httpTriggers, false);
  follow('MessageQueueTrigger', caches.queueTriggers, false);

  return {
    async start() {
      // What exists is in the gateway's table before the platform says that it is ready.
      const known: Record<string, KubeObject[]> = {
        Function: caches.functions.list(),
        FunctionVersion: caches.versions.list(),
        FunctionAlias: caches.aliases.list(),
        HTTPTrigger: caches.httpTriggers.list(),
        MessageQueueTrigger: caches.queueTriggers.list(),
      };
      const first = Object.entries(known).flatMap(([kind, objects]) =>
        objects.map(({ metadata: { namespace = 'default', name } }) =>
          reconcile[kind]?.(`${kind}/${namespace}/${name}`, namespace, name),
        ),
      );
      // The controller does again what failed.
      await Promise.allSettled(first);
      controller.start();
    },
    async stop() {
      await controller.stop();
      for (const owner of [...told.keys()]) tell(owner, {});
    },
  };
}

const toOne = (namespace: string, name: string) => {
  const targets = [{ route: `${namespace}/${translatedName(name)}`, percent: 100 }];
  return targets;
};
