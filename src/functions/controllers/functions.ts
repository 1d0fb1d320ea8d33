/** The controller of Functions: each owns a Knative Service of its name and shows that Service's state as its own. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import {
  type CodeFunction,
  type Digest,
  hasCode,
  type PetrelFunction,
  type Runtime,
} from '../../kinds/function.ts';
import type { Revision, Service } from '../../kinds/serving.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { type Controller, createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { createInformer, type Informer } from '../../kube/informer.ts';
import { FUNCTIONS, KSERVICES, REVISIONS } from '../../kube/refs.ts';
import type { BuildState, Builds } from '../builds/builds.ts';
import { withBuild } from '../builds/status.ts';
import { neverBuilt, wantsBuild } from '../builds/when.ts';
import { isDigest, type PackageStore } from '../packages/store.ts';
import { resourcesOf } from '../pool/memory.ts';
import {
  alignedService,
  buildingStatus,
  mirroredStatus,
  owns,
  type Problem,
  problemStatus,
  readyOf,
  serviceOf,
} from './service.ts';
import { withMemoryKill } from './within-memory.ts';

/** A package that is missing is looked for again after this time; nothing tells of an upload, ms. */
const PACKAGE_AGAIN_MS = 15_000;

export interface FunctionControllerOptions {
  client: KubeClient;
  packages: PackageStore;
  clock: Clock;
  log: Logger;
  /** Why nothing of this runtime can run; undefined when it can. */
  runtimeProblem(name: string): Problem | undefined;
  runtime(name: string): Runtime | undefined;
  /** Brings what a runtime needs: resolves when that is over; undefined when there is nothing to bring. */
  bring(runtime: Runtime): Promise<void> | undefined;
  /** Memory limit of functions that have none, see `defaultMemory`. */
  memory: string | undefined;
  /** What builds; loaded with the first Function whose source has to be. */
  builds(): Promise<Builds>;
}

/** Value of the informer's index `pool`: the functions that one pool of warm instances is for. */
export function poolIndex(runtime: string, namespace: string): string {
  return `${runtime}/${namespace}`;
}

export interface FunctionController {
  readonly functions: Informer<PetrelFunction>;
  /** Looks at every Function of a runtime again. */
  runtimeChanged(runtime: string): void;
  /** Looks at one Function again. */
  changed(namespace: string, name: string): void;
  /** An instance of it was ended for memory: its conditions are to say so. */
  memoryKill(fn: PetrelFunction, message: string): void;
  start(): void;
  stop(): Promise<void>;
}

export function createFunctionController(options: FunctionControllerOptions): FunctionController {
  const { client, packages, clock, log } = options;
  const functions = createInformer<PetrelFunction>({
    client,
    resource: FUNCTIONS,
    log,
    clock,
    indexes: {
      runtime: (fn) => [fn.spec.runtime],
      pool: (fn) => [poolIndex(fn.spec.runtime, fn.metadata.namespace ?? 'default')],
    },
  });
  const services = createInformer<Service>({ client, resource: KSERVICES, log, clock });

  /** By key, what is to be said of ends for memory. */
  const memoryKills = new Map<string, string>();

  const problemOf = async (fn: CodeFunction): Promise<Problem | undefined> => {
    const { digest } = fn.spec.package;
    if (!isDigest(digest)) {
      return {
        reason: 'InvalidPackage',
        message: `"${digest}" is not a package digest: use sha256: and 64 hexadecimal digits.`,
      };
    }
    const runtime = options.runtimeProblem(fn.spec.runtime);
    if (runtime !== undefined) return runtime;
    if ((await packages.stat(digest)) !== undefined) return undefined;
    const message = `Package ${digest} is not in the package store. Deploy the function again: petrel deploy <file or directory>.`;
    return { reason: 'PackageMissing', message };
  };

  /** The Service, made or brought in line; undefined when somebody else's stands there. */
  const ensureService = async (
    fn: PetrelFunction,
    digest: Digest | undefined,
  ): Promise<Service | undefined> => {
    const found = services.get(fn.metadata.namespace, fn.metadata.name);
    if (found === undefined) {
      try {
        return await client.create<Service>(KSERVICES, serviceOf(fn, digest));
      } catch (error) {
        if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
        const there = await client.get<Service>(KSERVICES, fn.metadata.namespace, fn.metadata.name);
        return owns(fn, there) ? there : undefined;
      }
    }
    if (!owns(fn, found)) return undefined;
    const aligned = alignedService(fn, digest, found);
    return aligned === undefined ? found : client.update<Service>(KSERVICES, aligned);
  };

  /** The Function with its build a step further; `digest` once there is something to load. */
  const built = async (
    fn: CodeFunction,
    runtime: Runtime,
  ): Promise<{ fn: PetrelFunction; digest?: Digest }> => {
    const source = fn.spec.package.digest;
    const known = (state: BuildState) => {
      const { digest } = state.status;
      return { fn: withBuild(fn, state, clock.now()), ...(digest ? { digest } : {}) };
    };
    const unbuilt = async () => {
      if (fn.spec.build?.image !== undefined)
        return known(await (await options.builds()).imageOf(fn, runtime));
      return { fn: withBuild(fn, undefined, clock.now()), digest: source };
    };
    if (neverBuilt(fn.spec, runtime.spec.build)) return unbuilt();
    const wanted = await wantsBuild(fn.spec, runtime.spec.build, () => packages.directory(source));
    if (!wanted) {
      if (fn.status?.build) await (await options.builds()).abandon(fn);
      return unbuilt();
    }
    return known(await (await options.builds()).ensure(fn, runtime));
  };

  const latestRevision = async (service: Service): Promise<Revision | undefined> => {
    const name = service.status?.latestCreatedRevisionName;
    if (name === undefined || readyOf(service)?.status !== 'False') return undefined;
    return client.get<Revision>(REVISIONS, service.metadata.namespace, name).catch(() => undefined);
  };

  const writeStatus = async (fn: PetrelFunction, status: PetrelFunction['status']): Promise<void> => {
    const key = keyOf(fn);
    const told = memoryKills.get(key);
    if (JSON.stringify(status) !== JSON.stringify(fn.status))
      await client.updateStatus<PetrelFunction>(FUNCTIONS, { ...fn, status: status as never });
    if (memoryKills.get(key) === told) memoryKills.delete(key);
  };

  /** An image's instances get their limits with their Pods; those of code when they are taken from the pool. */
  const limited = (fn: PetrelFunction): PetrelFunction => {
    const resources = resourcesOf(fn.spec, options.memory);
    return resources === undefined ? fn : { ...fn, spec: { ...fn.spec, resources } };
  };

  /** The Service of a Function that has all it needs, and its state as the Function's. */
  const serve = async (
    found: PetrelFunction,
    fn: PetrelFunction,
    digest: Digest | undefined,
  ): Promise<undefined> => {
    const { name, namespace } = found.metadata;
    const service = await ensureService(digest === undefined ? limited(fn) : fn, digest);
    if (service === undefined) {
      const message = `There is a Service "${name}" in namespace "${namespace}" that this Function does not own. Delete it (kubectl delete ksvc ${name} -n ${namespace}) or give the function another name.`;
      await writeStatus(found, problemStatus(fn, { reason: 'NotOwned', message }, clock.now()));
      return undefined;
    }
    await writeStatus(found, mirroredStatus(fn, service, await latestRevision(service), clock.now()));
  };

  const controller: Controller = createController({
    name: 'functions',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const found = functions.get(namespace, name);
      if (found === undefined || found.metadata.deletionTimestamp !== undefined) {
        memoryKills.delete(key);
        return undefined;
      }
      const now = withMemoryKill(found, memoryKills.get(key), clock.now());
      if (!hasCode(now)) {
        if (found.status?.build) await (await options.builds()).abandon(found);
        return serve(found, withBuild(now, undefined, clock.now()), undefined);
      }
      const asked = options.runtime(found.spec.runtime);
      const brought = asked && options.bring(asked);
      if (brought !== undefined) {
        // The others need not wait for it.
        brought.then(() => controller.enqueue(key));
        return undefined;
      }
      const problem = await problemOf(now);
      if (problem !== undefined) {
        await writeStatus(found, problemStatus(now, problem, clock.now()));
        return problem.reason === 'PackageMissing' ? PACKAGE_AGAIN_MS : undefined;
      }
      const runtime = options.runtime(found.spec.runtime);
      // Not known yet, and so is not whether there is something to build; `runtimeChanged` comes.
      if (runtime === undefined) return undefined;
      const { fn, digest } = await built(now, runtime);
      if (digest === undefined) {
        await writeStatus(found, buildingStatus(fn, clock.now()));
        return undefined;
      }
      // Unpacked now, so that no request waits for it.
      packages.directory(digest).catch((error) => {
        log.warn('a package could not be unpacked', { function: key, error: (error as Error).message });
      });
      return serve(found, fn, digest);
    },
  });

  const enqueue = (object: PetrelFunction | Service) => controller.enqueue(keyOf(object));
  functions.addHandler({ add: enqueue, update: enqueue });
  services.addHandler({ add: enqueue, update: enqueue, delete: enqueue });

  return {
    functions,
    runtimeChanged(runtime) {
      for (const fn of functions.byIndex('runtime', runtime)) enqueue(fn);
    },
    changed: (namespace, name) => controller.enqueue(`${namespace}/${name}`),
    memoryKill(fn, message) {
      memoryKills.set(keyOf(fn), message);
      enqueue(fn);
    },
    start() {
      functions.start();
      services.start();
      void Promise.all([functions.synced, services.synced]).then(() => controller.start());
    },
    async stop() {
      functions.stop();
      services.stop();
      await controller.stop();
    },
  };
}
