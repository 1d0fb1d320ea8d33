/** Everything but the API server: what makes objects come true on this machine. Works through the API alone. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { VERSION } from '../base/version.ts';
import { canFork, createNodeAgent } from '../engine/node/index.ts';
import { createScheduler } from '../engine/scheduler/index.ts';
import { createFunctions } from '../functions/index.ts';
import type { SocketRoute } from '../functions/packages/server.ts';
import type { PackageStore } from '../functions/packages/store.ts';
import { ACCEPT_SOCKET, loopback } from '../functions/services/contract.ts';
import { createServices } from '../functions/services/index.ts';
import type { Gateway, GatewayEvents, RevisionStats } from '../gateway/contract.ts';
import { startGateway } from '../gateway/gateway.ts';
import type { KubeClient } from '../kube/client.ts';
import { createPushedMetrics, type PushedMetrics, routeOf } from '../serving/autoscaler/metrics.ts';
import { createServing } from '../serving/serving.ts';
import { type Address, formatAddress } from './address.ts';
import { callbackHosts } from './callback-hosts.ts';
import type { HomePaths } from './home.ts';
import type { Parts } from './parts.ts';
import { sessionSecret } from './session-secret.ts';

/** Where this machine stands, for balancing that keeps to its own zone. */
const ZONE = process.env.PETREL_ZONE;
const RUNTIMES_DIR = fileURLToPath(new URL('../../runtimes', import.meta.url));

export interface ControllersOptions {
  home: HomePaths;
  packages: PackageStore;
  log: Logger;
  /** A client for one part; `name` is who it is. */
  client(name: string): KubeClient;
}

/**
 * Starts the gateway before there is anything to serve: binding its address and starting its threads takes as long as opening the
 * store, and can happen at the same time. Events go to whoever `listen` names later.
 */
export async function openGateway(
  { host, port }: Address,
  home: HomePaths,
  log: Logger,
  parts: Parts,
): Promise<EarlyGateway> {
  let listener: GatewayEvents = { demand() {}, stats() {}, endpointDown() {} };
  const followers = new Set<(stats: readonly RevisionStats[]) => void>();
  const events: GatewayEvents = {
    demand: (...args) => listener.demand(...args),
    stats(stats, intervalMs) {
      listener.stats(stats, intervalMs);
      for (const follower of followers) follower(stats);
    },
    endpointDown: (...args) => listener.endpointDown(...args),
    keyMissing: (...args) => listener.keyMissing?.(...args),
  };
  const gateway = await startGateway({ host, port, events, log, zone: ZONE, secret: sessionSecret(home) });
  parts.add('gateway listener', () => gateway.close(0));
  return {
    gateway,
    listen(to) {
      listener = to;
    },
    follow(follower) {
      followers.add(follower);
      return () => followers.delete(follower);
    },
  };
}

export interface EarlyGateway {
  gateway: Gateway;
  listen(to: GatewayEvents): void;
  /** Also calls `follower` with what the gateway counts. Returns the way to stop. */
  follow(follower: (stats: readonly RevisionStats[]) => void): () => void;
}

/** Requests that were accepted to be carried out later may end for this long, ms: they are begun again at the next start. */
const DELIVERIES_GRACE_MS = 10_000;

export interface StartedControllers {
  /** For the platform's own socket. */
  routes: SocketRoute[];
  /** How much waits for the function or Service behind a Route, `<ns>/<name>`, to scale by. */
  queueLag: PushedMetrics;
}

/**
 * Resolves when every route that exists is served: caches complete, table pushed. Pools fill afterwards.
 */
export async function startControllers(
  options: ControllersOptions,
  early: EarlyGateway,
  parts: Parts,
): Promise<StartedControllers> {
  const { home, packages, log, client } = options;
  const nodeAgent = createNodeAgent({
    client: client('node-agent'),
    nodeName: nodeName(),
    zone: ZONE,
    home: home.dir,
    runDir: home.runDir,
    node: process.execPath,
    runtimesDir: RUNTIMES_DIR,
    version: VERSION,
    log,
  });
  const scheduler = createScheduler({ client: client('scheduler'), log });
  const functions = createFunctions({
    forks: canFork(),
    client: client('functions'),
    packages,
    runDir: home.runDir,
    runtimesDir: RUNTIMES_DIR,
    cacheDir: home.cache,
    debugDir: home.debug,
    node: process.execPath,
    gatewayUrl: `http://${formatAddress(loopback(early.gateway))}`,
    memory: process.env.PETREL_FUNCTION_MEMORY,
    log,
    state: {
      ready: () => services.stateReady(),
      env: (...args) => services.stateEnv(...args),
    },
  });
  const queueLag = createPushedMetrics('queue-lag', routeOf);
  const serving = createServing({
    client: client('serving'),
    sources: [functions.source],
    metrics: [queueLag],
    async: { kind: 'http1-unix', path: join(home.runDir, ACCEPT_SOCKET) },
    log,
  });
  early.listen(serving.events);
  const services = createServices({
    functions: functions.objects,
    behind: functions.behind,
    dir: home.dir,
    runDir: home.runDir,
    gateway: early.gateway,
    secret: sessionSecret(home),
    stateBackend: process.env.PETREL_STATE_BACKEND,
    blobsBackend: process.env.PETREL_STATE_BLOBS,
    toolOrigins: (process.env.PETREL_MCP_ORIGINS ?? '').split(',').filter((origin) => origin !== ''),
    callbackHosts: callbackHosts(),
    withoutFunctions: process.env.PETREL_OPENFAAS === 'on',
    clock: systemClock,
    random: Math.random,
    log,
  });

  // Last started stops first: the gateway lets requests end while everything behind it still works.
  parts.add('node agent', () => nodeAgent.stop());
  parts.add('scheduler', () => scheduler.stop());
  parts.add('functions', () => functions.stop());
  parts.add('serving', () => serving.stop());
  parts.add('services', () => services.stop());
  parts.add('gateway', (graceMs) => early.gateway.close(graceMs));
  parts.add('deliveries', (graceMs) => services.drain(Math.min(graceMs, DELIVERIES_GRACE_MS)));
  scheduler.start();
  const started = await Promise.allSettled([
    nodeAgent.start(),
    functions.start().then(() => serving.start(early.gateway)),
  ]);
  // Only when all have come to an end can what was started be stopped in order.
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
  services.start();
  return { routes: services.routes, queueLag };
}

/** The machine's name as a DNS label, as kubelet takes it. */
function nodeName(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return name.slice(0, 63) || 'localhost';
}
