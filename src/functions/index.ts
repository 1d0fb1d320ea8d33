/**
 * Functions: source code plus a Runtime, served by instances from warm pools. Works through the Kubernetes API and this machine's
 * run directory alone.
 */

import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { type Digest, FUNCTION_LABELS, type PetrelFunction } from '../kinds/function.ts';
import type { Revision } from '../kinds/serving.ts';
import type { KubeClient } from '../kube/client.ts';
import { createEventRecorder } from '../kube/events.ts';
import type { Informer } from '../kube/informer.ts';
import { REVISIONS } from '../kube/refs.ts';
import type { Builds } from './builds/builds.ts';
import { createBringer } from './controllers/bring.ts';
import { createFunctionController, poolIndex } from './controllers/functions.ts';
import { createRuntimeController } from './controllers/runtimes.ts';
import type { PackageStore } from './packages/store.ts';
import { createConfigCache } from './pool/config.ts';
import { createFunctionZygotes, unforkableText } from './pool/function-zygotes.ts';
import { createSocketWatcher } from './pool/link.ts';
import { createLoader, type StateAccess } from './pool/load.ts';
import { createMembers, type Member } from './pool/members.ts';
import { defaultMemory } from './pool/memory.ts';
import { reportMemoryKill } from './pool/memory-kills.ts';
import { codeOf, functionOf } from './pool/pods.ts';
import { createPools } from './pool/pools.ts';
import { createPorts } from './pool/ports.ts';
import { createShares } from './pool/shared.ts';
import { createSource, type FunctionSource } from './pool/source.ts';
import { createAliasController } from './versions/aliases.ts';

/** Packages nobody refers to are looked for this long after something was deleted, ms. */
const COLLECT_AFTER_MS = 10 * 60_000;
/** Younger packages may be about to be referred to, ms. */
const COLLECT_OLDER_MS = 60 * 60_000;

export interface FunctionsOptions {
  client: KubeClient;
  packages: PackageStore;
  /** Sockets of instances are at `<runDir>/pods/<pod uid>/i.sock`. */
  runDir: string;
  runtimesDir: string;
  /** Folders of runtimes that the machine's owner adds; need not be there. */
  ownRuntimesDir?: string;
  /** Path of the Node binary that runtimes are run with. */
  node: string;
  /** Code caches: one directory per package and language version. */
  cacheDir: string;
  /** Where code that is debugged is put, in sight of instances; absent: it is debugged where it is. */
  debugDir?: string;
  /** Where images of this machine are. Default: `images` beside the code caches. */
  imagesDir?: string;
  log: Logger;
  clock?: Clock;
  random?: () => number;
  /** Namespace whose pools are kept even when it has no function. Default `default`. */
  namespace?: string;
  /** Base URL by which instances on this machine reach the gateway. */
  gatewayUrl?: string;
  /** Whether a function's own errors reach its clients with text and stack. Default true. */
  development?: boolean;
  /** The platform's environment, of which builds get what concerns them. Default that of the process. */
  env?: NodeJS.ProcessEnv;
  /** Where programs of runtimes are looked for. Default `PATH`. */
  searchPath?: string;
  /** Whether instances of this machine can be forked from zygotes. Default true: where not, it shows when one is tried. */
  forks?: boolean;
  /** Processors to plan starts for. Default those of the machine. */
  cores?: number;
  /** Memory that an instance may use whose function has no limit, as `512Mi`, or `none`. Default 1 GiB. */
  memory?: string | undefined;
  /** State of functions that have it. */
  state?: StateAccess;
}

export interface Functions {
  /** Resolves when the Runtimes are known and instances of an earlier life are sorted out; pools fill in the background. */
  start(): Promise<void>;
  /** Ends the control connections, whereupon instances that are not stopped by their node end by themselves. */
  stop(): Promise<void>;
  readonly source: FunctionSource;
  /** The Functions as they are now; follows the API from `start` on. */
  readonly objects: Informer<PetrelFunction>;
  /** The function that a Route leads to: of its name, of an alias, or of a tag (`<tag>-<function>`). */
  behind(namespace: string | undefined, route: string): PetrelFunction | undefined;
}

export function createFunctions(options: FunctionsOptions): Functions {
  const { client, packages } = options;
  const log = options.log.with({ component: 'functions' });
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const memory = defaultMemory(options.memory);
  const sockets = createSocketWatcher(options.runDir, clock);
  const ports = createPorts(random);
  const config = createConfigCache({ client, clock, log });
  const events = createEventRecorder({ client, component: 'functions', log, now: () => clock.now() });
  const members = createMembers({
    client,
    sockets,
    ports,
    clock,
    log,
    onMemoryKill: (pod) =>
      reportMemoryKill(pod, {
        find: (namespace, name) => controller.functions.get(namespace, name),
        events,
        memory,
        tell: controller.memoryKill,
      }),
  });
  const pools = createPools({
    members,
    clock,
    log,
    random,
    namespace: options.namespace ?? 'default',
    onWarm: (name) => runtimes.warmChanged(name),
    ...(options.cores === undefined ? {} : { cores: options.cores }),
  });
  const shares = createShares({ members, pools, log });
  const loader = createLoader({
    packages,
    config,
    ports,
    cacheDir: options.cacheDir,
    debugDir: options.debugDir,
    development: options.development ?? true,
    gatewayUrl: options.gatewayUrl,
    state: options.state,
    socket: (member: Member) => shares.socket(member),
  });
  const aliases = createAliasController({ client, clock, log });
  const zygotes = createFunctionZygotes({
    pools,
    members,
    loader,
    clock,
    log,
    random,
    cores: options.cores ?? availableParallelism(),
    memory: totalmem(),
    limit: memory,
    possible: options.forks ?? true,
    onUnforkable(revision, problem) {
      const fn = controller.functions.get(revision.metadata.namespace, functionOf(revision));
      if (fn) events.record(fn, 'Normal', 'NotForked', unforkableText(problem));
    },
  });
  const source = createSource({ client, pools, members, shares, zygotes, loader, clock, log, memory });

  const runtimes = createRuntimeController({
    client,
    runtimesDir: options.runtimesDir,
    ownRuntimesDir: options.ownRuntimesDir ?? join(dirname(options.cacheDir), 'runtimes'),
    node: options.node,
    searchPath: options.searchPath ?? process.env.PATH ?? '',
    clock,
    log,
    onRuntime(runtime, unavailable) {
      const { name } = runtime.metadata;
      pools.setRuntime(runtime, unavailable);
      for (const fn of controller.functions.byIndex('runtime', name)) count(fn);
      controller.runtimeChanged(name);
    },
    onRemoved(name) {
      pools.removeRuntime(name);
      controller.runtimeChanged(name);
    },
    warm: (name) => pools.warm(name),
  });
  const bringer = createBringer({ runtimesDir: options.runtimesDir, node: options.node, clock, log });
  const controller = createFunctionController({
    client,
    packages,
    clock,
    log,
    memory,
    runtimeProblem: (name) => runtimes.problem(name) ?? bringer.problem(name),
    runtime: (name) => runtimes.get(name),
    bring: (runtime) => bringer.bring(runtime),
    builds: () => (builds ??= openBuilds()),
  });
  let builds: Promise<Builds> | undefined;
  const openBuilds = async (): Promise<Builds> => {
    const { createBuilds } = await import('./builds/builds.ts');
    return createBuilds({
      client,
      packages,
      clock,
      log,
      node: options.node,
      runtimesDir: options.runtimesDir,
      cacheDir: options.cacheDir,
      imagesDir: options.imagesDir ?? join(dirname(options.cacheDir), 'images'),
      env: options.env ?? process.env,
      parallel: options.cores ?? availableParallelism(),
      changed: controller.changed,
    });
  };

  const count = ({ spec, metadata }: PetrelFunction) => {
    if (spec.image !== undefined) return;
    const namespace = metadata.namespace ?? 'default';
    const found = controller.functions.byIndex('pool', poolIndex(spec.runtime, namespace));
    pools.setFunctions(spec.runtime, namespace, found.length);
  };
  let collecting = false;
  const collectLater = () => {
    if (collecting) return;
    collecting = true;
    clock.after(COLLECT_AFTER_MS, () => {
      collecting = false;
      collect().catch((error) =>
        log.warn('unused packages could not be collected', { error: (error as Error).message }),
      );
    });
  };
  const collect = async (): Promise<void> => {
    const referenced = new Set<Digest>(
      controller.functions
        .list()
        .flatMap(({ spec, status }) => [spec.package?.digest ?? [], status?.build?.digest ?? []].flat()),
    );
    for (const revision of (await client.list<Revision>(REVISIONS)).items) {
      const code = codeOf(revision);
      if (code) referenced.add(code.digest);
    }
    const freed = await packages.collect(referenced, COLLECT_OLDER_MS);
    if (freed > 0) log.info('collected unused packages', { bytes: freed });
  };

  controller.functions.addHandler({
    add(fn) {
      count(fn);
      void config.prepare(fn.spec);
      if (fn.spec.image === undefined && runtimes.problem(fn.spec.runtime)) runtimes.recheck(fn.spec.runtime);
    },
    update(fn, old) {
      count(fn);
      if (fn.spec.runtime !== old.spec.runtime) count(old);
      void config.prepare(fn.spec);
      if (fn.spec.package?.digest !== old.spec.package?.digest) collectLater();
    },
    delete(fn) {
      count(fn);
      collectLater();
    },
  });

  return {
    source,
    objects: controller.functions,
    behind(namespace, route) {
      const { functions } = controller;
      const alias = aliases.functionOf(namespace, route);
      let found = functions.get(namespace, route) ?? (alias && functions.get(namespace, alias)) ?? undefined;
      for (let at = route.indexOf('-'); at >= 0 && !found; at = route.indexOf('-', at + 1))
        found = functions.get(namespace, route.slice(at + 1));
      return found || undefined;
    },
    async start() {
      controller.start();
      aliases.start();
      members.start();
      await runtimes.start();
      await members.takeOver(async (member, pod) => {
        if (source.survivor(member, pod)) return true;
        const { labels } = pod.metadata;
        if (member.channel?.hello.state !== 'generic' || labels?.[FUNCTION_LABELS.pool] !== 'generic')
          return false;
        const share = pools.runtime(member.runtime)?.spec.share;
        if (share !== undefined && (await source.sharedSurvivor(member))) return true;
        pools.adopt(member);
        return true;
      });
      source.survivorsKnown();
      pools.start();
    },
    async stop() {
      pools.stop();
      zygotes.stop();
      config.stop();
      await Promise.all([controller.stop(), aliases.stop(), runtimes.stop(), members.stop()]);
      await (await builds)?.stop();
      await events.flush();
      sockets.close();
    },
  };
}
