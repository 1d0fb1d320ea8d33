/**
 * Fission's dialect: its objects are translated to Petrel's, and what becomes of them is told back. Started with the first of its
 * objects; until then nothing of it is loaded.
 */
import { join } from 'node:path';
import type { Family } from '../../base/openmetrics.ts';
import type { EndpointAddress } from '../../gateway/contract.ts';
import { registryLogin } from '../../kube/registry-login.ts';
import { createArchives, uploadId } from './archives.ts';
import { createAuth } from './auth.ts';
import { createCaches } from './caches.ts';
import { createCanaries } from './canaries.ts';
import type { Context, FissionOptions, Part } from './context.ts';
import { createEnvironments, createFunctions } from './functions.ts';
import { createHold } from './hold.ts';
import { createInvoker } from './invoke.ts';
import { createMetrics } from './metrics.ts';
import type { Package } from './model.ts';
import { createPackages, type Packages } from './packages.ts';
import { createPresence } from './presence.ts';
import { createQueues } from './queues.ts';
import { createDirectory, createRouter } from './router.ts';
import { ownRoutes } from './routes.ts';
import { startServer } from './server.ts';
import { createStorage } from './storage.ts';
import { createTimers } from './timers.ts';
import { createVersions } from './versions.ts';
import { createWatches } from './watches.ts';

export type { FissionOptions } from './context.ts';

/** Uploads that no Package refers to are looked for this long after something came or went, and are then older than that, ms. */
const PRUNE_MS = 60 * 60_000;

export interface Fission {
  /** What has been counted, under Fission's names. */
  counts(): Promise<Family[]>;
  stop(): Promise<void>;
}

/** Resolves when what exists is known and its routes are told. */
export async function startFission(options: FissionOptions): Promise<Fission> {
  const { gateway, clock } = options;
  const log = options.log.with({ dialect: 'fission' });
  const caches = createCaches({ client: options.client, log, clock });
  const context: Context = { ...options, log, caches };
  const storage = createStorage(join(options.dir, 'archives'));
  const archives = createArchives({
    packages: options.packages,
    packFile: options.packFile,
    isArchive: options.isArchive,
    upload: (id) => storage.get(id),
    fetch: options.fetch ?? fetch,
    login: (namespace, secrets, host) => registryLogin(options.client, namespace, secrets, host, process.env),
  });

  let pruning: { cancel(): void } | undefined;
  const prune = async () => {
    pruning = undefined;
    const urls = caches.packages
      .list()
      .flatMap(({ spec }) => [spec.source?.url, spec.deployment?.url].filter((url) => url !== undefined));
    const referenced = new Set(urls.flatMap((url) => uploadId(url)?.split('/').at(-1) ?? []));
    await storage.prune(referenced, PRUNE_MS, clock.now());
  };
  const pruneLater = () => {
    pruning ??= clock.after(PRUNE_MS, () => {
      prune().catch((error) => log.warn('unused archives could not be removed', { error: String(error) }));
    });
  };

  const address: EndpointAddress = { kind: 'http1-unix', path: options.socket };
  const auth = createAuth(context);
  const hold = createHold(gateway, address, clock);
  const server = await startServer({
    hold,
    login: (given) => auth.login(given),
    internalPath: options.internalPath,
    headers: () => auth.headers(),
    socket: options.socket,
    storage,
    packages: options.packages,
    secret: options.storagePath,
    version: options.version,
    clock,
    log,
    onArchive: pruneLater,
  });
  const own = ownRoutes(address, options);
  for (const [id, route] of Object.entries(own)) gateway.setPathRoute?.(id, route);

  const packages: Packages = createPackages(context, archives, (key) => functions.packageChanged(key));
  const functions = createFunctions(context, () => packages);
  const directory = createDirectory(context);
  const invoker = createInvoker(context, auth.headers);
  const metrics = createMetrics(context, storage);
  const parts: Part[] = [
    createPresence(context),
    createEnvironments(context),
    packages,
    functions,
    createVersions(context),
    createRouter(context, directory, hold, auth),
    createTimers(context, invoker),
    createWatches(context, invoker),
    createQueues(context),
    createCanaries(context),
    metrics,
  ];
  caches.packages.addHandler({ delete: (pkg: Package) => pkg.spec.deployment?.url && pruneLater() });

  for (const cache of Object.values(caches)) cache.start();
  await Promise.all([auth.start(), ...Object.values(caches).map((cache) => cache.synced)]);
  await Promise.all(parts.map((part) => part.start()));
  return {
    counts: () => metrics.families(),
    async stop() {
      pruning?.cancel();
      invoker.stop();
      for (const part of parts.toReversed()) await part.stop();
      await auth.stop();
      for (const cache of Object.values(caches)) cache.stop();
      for (const id of Object.keys(own)) gateway.setPathRoute?.(id, null);
      await server.close();
    },
  };
}
