/** Composition roots: which parts run in a process, and what each is given. */

import { flushCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/log.ts';
import { VERSION } from '../base/version.ts';
import { startApiServer } from '../engine/apiserver/serve.ts';
import type { Store } from '../engine/store/contract.ts';
import { acquireLock } from '../engine/store/lock.ts';
import { createGarbageCollector } from '../engine/workloads/garbage-collector.ts';
import { createJobStarter } from '../engine/workloads/jobs.ts';
import { createNamespaceController } from '../engine/workloads/namespace-controller.ts';
import { packageDriver } from '../functions/packages/choose.ts';
import type { SocketRoute } from '../functions/packages/server.ts';
import { createPackageStore } from '../functions/packages/store.ts';
import { httpsTransport } from '../kube/https.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { createClient } from '../kube/rest.ts';
import type { KubeTransport } from '../kube/transport.ts';
import { type Address, formatAddress } from './address.ts';
import { openGateway, startControllers } from './controllers.ts';
import { startDialects } from './dialects.ts';
import { startEventingLater } from './eventing.ts';
import { type HomePaths, type PlatformRecord, type PlatformRole, removeRecord, writeRecord } from './home.ts';
import { metricsRoute } from './metrics.ts';
import { Parts } from './parts.ts';
import { openSocket } from './socket.ts';

export interface PlatformOptions {
  role: PlatformRole;
  home: HomePaths;
  gateway: Address;
  api: Address;
  /** The API to work against; with the role `controllers`. */
  kubeconfig?: string;
  log: Logger;
  /** Called when somebody asks the running platform to stop; absent grace: as long as a signal gives. */
  shutdown(graceMs?: number): void;
}

export interface Platform {
  readonly record: PlatformRecord;
  /** Does what can wait until requests are served. */
  settled(): Promise<void>;
  /** Replaces the gateway's workers without failing a request. */
  restartGateway(): Promise<void>;
  /** Lets requests in flight end for up to `graceMs`, then stops all parts. */
  stop(graceMs: number): Promise<void>;
}

/** The API that the parts of a process work against. */
interface Api {
  /** A transport for one part; `name` is who it is in logs and refusals. */
  transport(name: string): KubeTransport;
  url: string;
  kubeconfig: string;
  /** Where it is in this process. */
  store?: Store;
}

/** Starts what the role asks for; resolves when it can serve. What was started is stopped again when a part fails. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { home, role, log } = options;
  const parts = new Parts(log);
  try {
    const early = role === 'apiserver' ? undefined : openGateway(options.gateway, home, log, parts);
    early?.catch(() => {}); // reported where it is awaited
    const api = role === 'controllers' ? await foreignApi(options, parts) : await ownApi(options, parts);
    const driver = packageDriver(process.env);
    const packages = createPackageStore({ dir: home.packages, ...(driver ? { driver } : {}) });
    const gateway = await early;
    const client = (name: string) => createClient(api.transport(name));
    const routes: SocketRoute[] = [];
    if (gateway) {
      const controllers = await startControllers({ home, packages, log, client }, gateway, parts);
      const { store } = api;
      const { queueLag } = controllers;
      const [dialects, eventing] = await Promise.all([
        startDialects({ home, packages, log, client, transport: api.transport, gateway, store }, parts),
        startEventingLater({ home, log, client, gateway: gateway.gateway, store, queueLag }, parts),
      ]);
      routes.push(...controllers.routes, ...dialects.routes, ...eventing.routes);
      routes.push(metricsRoute([eventing.counts, dialects.counts]));
    }
    const record: PlatformRecord = {
      pid: process.pid,
      role,
      gateway: gateway ? formatAddress(gateway.gateway.address) : null,
      api: new URL(api.url).host,
      home: home.dir,
      kubeconfig: api.kubeconfig,
      version: VERSION,
      startedAt: new Date().toISOString(),
    };
    const socket = await openSocket({ home, packages, record, log, routes, shutdown: options.shutdown });
    parts.add('socket', () => socket.close());
    writeRecord(home, record);
    parts.add('record', () => removeRecord(home));
    return {
      record,
      settled,
      restartGateway: async () => gateway?.gateway.restart?.(),
      stop: (graceMs) => parts.stop(graceMs),
    };
  } catch (error) {
    await parts.stop(0);
    throw error;
  }
}

/** Until then the pools fill, and every core is needed, milliseconds. */
const SETTLE_MS = 2000;

const WORKLOADS = [
  ['garbage-collector', createGarbageCollector],
  ['namespace-controller', createNamespaceController],
  ['job-controller', createJobStarter],
] as const;

/** Node keeps compiled code only at exit, which a killed process never reaches; the next start is faster with it. */
async function settled(): Promise<void> {
  await sleep(SETTLE_MS);
  flushCompileCache();
}

async function ownApi({ home, api: { host, port }, log }: PlatformOptions, parts: Parts): Promise<Api> {
  const running = await startApiServer({
    home: home.dir,
    host,
    port,
    log: log.with({ part: 'apiserver' }),
    version: VERSION,
  });
  parts.add('apiserver', () => running.close());
  // These stand beside the store: they see its changes before any watch does.
  const { store, registry } = running;
  for (const [name, create] of WORKLOADS) {
    const client = createClient(running.transport(name));
    const controller = create({ store, registry, client, log: log.with({ part: name }) });
    await controller.start();
    parts.add(name, () => controller.stop());
  }
  return running;
}

async function foreignApi(
  { home, kubeconfig = home.kubeconfig }: PlatformOptions,
  parts: Parts,
): Promise<Api> {
  // The store's lock guards a home with an API of its own; here nothing else does.
  parts.add('lock', acquireLock(`${home.database}-lock`));
  const connection = await loadKubeconfig(kubeconfig);
  return {
    url: connection.server,
    kubeconfig,
    transport: () => {
      const transport = httpsTransport(connection);
      parts.add('transport', () => transport.close());
      return transport;
    },
  };
}
