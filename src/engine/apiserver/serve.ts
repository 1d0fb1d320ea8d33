/** The API server on a home directory: store, system namespaces, certificates, listener, kubeconfig. */
import { join } from 'node:path';
import { type Clock, systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { builtinRegistry, type Registry } from '../../kinds/registry.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import type { Store } from '../store/contract.ts';
import { openStore } from '../store/store.ts';
import type { TokenUser } from './authentication.ts';
import { bootstrap } from './bootstrap.ts';
import type { User } from './context.ts';
import { MASTERS } from './context.ts';
import { type Listener, listen } from './https.ts';
import { inProcessTransport } from './in-process.ts';
import { writeKubeconfig } from './pki/kubeconfig.ts';
import { ensurePki } from './pki/pki.ts';
import { type ApiServer, createApiServer } from './server.ts';

export interface ServeOptions {
  /** Directory of `state.db`, `pki/` and `kubeconfig`. */
  home: string;
  host: string;
  /** 0: any free one. */
  port: number;
  log: Logger;
  /** Petrel's version, for `/version`. */
  version: string;
  clock?: Clock;
  registry?: Registry;
  tokens?: TokenUser[];
}

export interface RunningApiServer {
  readonly server: ApiServer;
  readonly store: Store;
  readonly registry: Registry;
  /** `https://127.0.0.1:7443` */
  readonly url: string;
  /** Path of the kubeconfig that was written. */
  readonly kubeconfig: string;
  /** Requests of a part of the platform in this process, which may do everything. `name` is who it is in refusals and logs. */
  transport(name: string): KubeTransport;
  close(): Promise<void>;
}

/** Events are of interest for an hour. Source: kube-apiserver `--event-ttl`. */
const EVENTS = { ttl: 3600_000, maxObjects: 5000 };
/** Leases are renewed every few seconds and mean nothing after a crash: writing each renewal would never let the disk rest. */
const LEASES = { ttl: Number.POSITIVE_INFINITY, maxObjects: 10_000 };

/** Throws `PetrelError`: `PlatformAlreadyRunning`, `HomeNotWritable`, `DiskFull`, `PortInUse`, `StartFailed`. */
export async function startApiServer(options: ServeOptions): Promise<RunningApiServer> {
  const { home, log, host, port } = options;
  const clock = options.clock ?? systemClock;
  const registry = options.registry ?? builtinRegistry();
  const store = openStore({
    path: join(home, 'state.db'),
    log,
    clock,
    volatile: { '/events': EVENTS, 'events.k8s.io/events': EVENTS, 'coordination.k8s.io/leases': LEASES },
  });
  let listener: Listener | undefined;
  try {
    const pki = ensurePki({ directory: join(home, 'pki'), now: clock.now(), hosts: certificateHosts(host) });
    const server = createApiServer({ store, registry, log, clock, version: options.version });
    await bootstrap(server, store, registry);
    listener = await listen(server, {
      host,
      port,
      certificate: pki.server,
      clientCa: pki.ca,
      tokens: options.tokens,
      log,
    });
    const { close } = listener;
    const url = `https://${reachable(host)}:${listener.port}`;
    const kubeconfig = join(home, 'kubeconfig');
    writeKubeconfig(kubeconfig, { server: url, ca: pki.ca, client: pki.admin });
    return {
      server,
      store,
      registry,
      url,
      kubeconfig,
      transport: (name) => inProcessTransport(server, systemUser(name)),
      async close() {
        server.close();
        await close();
        await store.close();
      },
    };
  } catch (error) {
    await listener?.close();
    await store.close();
    throw error;
  }
}

const systemUser = (name: string): User => ({ name: `system:petrel:${name}`, groups: [MASTERS] });

const WILDCARDS: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };
const reachable = (host: string): string => WILDCARDS[host] ?? (host.includes(':') ? `[${host}]` : host);
const certificateHosts = (host: string): string[] => (host in WILDCARDS ? [] : [host]);
