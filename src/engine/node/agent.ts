/**
 * The node agent: runs the Pods that are bound to this machine, reports their state, serves their logs. It knows nothing
 * of the API server but its API.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, homedir, totalmem } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { references } from '../../kinds/container-env.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createEventRecorder } from '../../kube/events.ts';
import { createInformer } from '../../kube/informer.ts';
import { PODS, RUNTIMES } from '../../kube/refs.ts';
import { createConfigReader } from './config-source.ts';
import type { WorkerContext } from './context.ts';
import { logToken } from './credentials.ts';
import type { Capability, ContainerDriver } from './drivers/driver.ts';
import { createProcessDriver } from './drivers/process/driver.ts';
import { findLocalImage } from './local-images.ts';
import { LogRefusal, type LogServer, type OpenLog, startLogServer } from './logs/server.ts';
import { createLogStore } from './logs/store.ts';
import { registerNode, unregisterNode } from './node-object.ts';
import { createImages } from './oci/index.ts';
import type { OwnerOf } from './oci/layer.ts';
import { createPodWorker, type PodWorker } from './pod-worker.ts';
import { createPreparations } from './prepare.ts';
import { summarize } from './stats.ts';
import { createTokenIssuer } from './tokens.ts';
import { toolchainDirs } from './toolchains.ts';
import type { VolumeDirs } from './volumes.ts';
import { createZygoteConditions } from './zygote-conditions.ts';

/** Whether instances may be forked from warm ones: unless `PETREL_ZYGOTE` is `off`. */
export const canFork = (): boolean => process.env.PETREL_ZYGOTE !== 'off';

export interface NodeAgentOptions {
  client: KubeClient;
  nodeName: string;
  /** Zone that the Node is labelled with; absent: none. */
  zone?: string;
  /** The platform's home: `logs`, `packages`, `cache` and `images` below it. */
  home: string;
  /** Sockets and process records; short enough that `<runDir>/pods/<uid>/i.sock` fits a unix socket address. */
  runDir: string;
  /** Path of the Node binary for `$(NODE)`. */
  node: string;
  /** Directory with one directory per runtime. */
  runtimesDir: string;
  log: Logger;
  clock?: Clock;
  /** Version reported in the Node object. */
  version?: string;
  /** `plain` runs containers without namespaces and control groups. Default: `PETREL_SANDBOX` or `auto`. */
  sandbox?: 'auto' | 'plain';
  /** Whether instances are forked from warm processes of their runtime. Default: `canFork`. */
  zygotes?: boolean;
  /** Processes and threads one container may have. Default: `PETREL_MAX_PROCESSES` or 8,192. */
  maxTasks?: number;
  /** Further directories containers may read although they lie in a hidden one. */
  visible?: string[];
  /**
   * Directories with images as `local-images.ts` describes them, looked through before `<home>/images`. Default: `PETREL_IMAGES`,
   * separated by colons.
   */
  images?: string[];
  /** The user's home directory, hidden from containers. */
  userHome?: string;
}

export interface NodeAgent {
  /** Cleans up after an earlier run, registers the Node and begins to run Pods. Resolves when the Node is Ready. */
  start(): Promise<void>;
  /** Stops all containers, gracefully for up to `graceMs` (default 5 s), and marks the Node not ready. */
  stop(graceMs?: number): Promise<void>;
}

const ADDRESS = '127.0.0.1';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Logs of a Pod that has gone are looked through this long after, so that many deletions are one look. */
const PRUNE_DELAY_MS = 2000;
const STOP_GRACE_MS = 5000;

function machineCondition(type: string, { available, reason, message }: Capability): Condition {
  return { type, status: available ? 'True' : 'False', reason, message };
}

/** A supervisor needs some threads of its own: less than this would start nothing. */
const FEWEST_TASKS = 64;

/** What is no whole number counts as absent. */
function taskLimit(text: string | undefined): number | undefined {
  return /^\d{1,7}$/.test(text ?? '') ? Math.max(FEWEST_TASKS, Number(text)) : undefined;
}

export function createNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { client, nodeName, home, runDir, node, runtimesDir } = options;
  const clock = options.clock ?? systemClock;
  const log = options.log.with({ component: 'node-agent' });
  const workers = new Map<string, PodWorker>();
  const packagesDir = join(home, 'packages');
  const cacheDir = join(home, 'cache');
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  for (const dir of [packagesDir, cacheDir]) {
    mkdirSync(dir, { recursive: true });
    // The home itself is private; in it, the containers' user must be able to pass.
    chmodSync(dir, 0o755);
  }

  const volumes = volumeDirs(runDir);
  const imageDirs = [
    ...(options.images ?? (process.env.PETREL_IMAGES ?? '').split(delimiter).filter(Boolean)),
    join(home, 'images'),
  ];

  const driver: ContainerDriver = createProcessDriver({
    runDir,
    hidden: [options.userHome ?? homedir(), home],
    visible: [
      dirname(node),
      checkoutOf(runtimesDir),
      join(home, 'packages'),
      join(home, 'runtimes'),
      join(home, 'cache'),
      ...toolchainDirs(process.env.PATH ?? '', options.userHome ?? homedir()),
      ...(options.visible ?? []),
    ],
    required: [dirname(node), runtimesDir],
    mode: options.sandbox ?? (process.env.PETREL_SANDBOX === 'plain' ? 'plain' : 'auto'),
    zygotes: options.zygotes ?? canFork(),
    onZygote: createZygoteConditions({ client, clock, log }),
    maxTasks: options.maxTasks ?? taskLimit(process.env.PETREL_MAX_PROCESSES),
    log,
  });
  const localImage = (image: string) => findLocalImage(image, imageDirs);
  const images = createImages({
    dir: join(home, 'images', '.pulled'),
    layouts: imageDirs,
    log,
    now: clock.now,
    owner: () => ownerIn(driver.imageOwner()),
    client,
    driver,
    clock,
    localImage,
    env: process.env,
    inUse: () =>
      new Set(
        [...workers.values()].flatMap(({ pod: { spec } }) =>
          [...(spec.initContainers ?? []), ...spec.containers].map(({ image = '' }) => image),
        ),
      ),
  });
  const logs = createLogStore({
    dir: join(home, 'logs', 'pods'),
    goneDir: join(home, 'logs', 'gone'),
    now: clock.now,
    log,
  });
  const events = createEventRecorder({ client, component: 'kubelet', log, now: clock.now });
  const pods = createInformer<Pod>({
    client,
    resource: PODS,
    log,
    clock,
    fieldSelector: `spec.nodeName=${nodeName}`,
  });
  const runtimes = createInformer<Runtime>({ client, resource: RUNTIMES, log, clock });
  const config = createConfigReader({
    client,
    log,
    changed(kind, namespace, name) {
      for (const worker of workers.values()) {
        if (worker.pod.metadata.namespace === namespace && references(worker.pod)[kind].has(name))
          worker.refresh();
      }
    },
  });
  let context: WorkerContext | undefined;
  let server: LogServer | undefined;
  let pruning: ReturnType<Clock['after']> | undefined;
  let stopped = false;

  const prune = () => {
    pruning ??= clock.after(PRUNE_DELAY_MS, () => {
      pruning = undefined;
      void logs.prune(new Set(workers.keys())).catch(() => {});
    });
  };

  const adopt = (pod: Pod) => {
    const uid = pod.metadata.uid!;
    const known = workers.get(uid);
    if (known) known.update(pod);
    else if (context && !stopped) workers.set(uid, createPodWorker(context, pod));
  };
  pods.addHandler({
    add: adopt,
    update: adopt,
    delete({ metadata }) {
      const worker = workers.get(metadata.uid!);
      if (!worker) return;
      workers.delete(metadata.uid!);
      void worker
        .remove()
        .catch((error) =>
          log.warn('a Pod was not removed cleanly', { pod: metadata.name, error: String(error) }),
        );
      prune();
    },
  });
  runtimes.addHandler({
    add() {
      for (const worker of workers.values()) worker.refresh();
    },
  });

  const openLog: OpenLog = (namespace, name, container, previous, read) => {
    const worker = [...workers.values()].find(
      ({ pod }) => pod.metadata.name === name && pod.metadata.namespace === namespace,
    );
    if (!worker) throw new LogRefusal(404, `pod "${name}" does not exist`);
    const { spec, metadata } = worker.pod;
    if (
      ![...(spec.initContainers ?? []), ...spec.containers].some((candidate) => candidate.name === container)
    ) {
      throw new LogRefusal(404, `container "${container}" not found in pod "${name}"`);
    }
    const record = worker.records.get(container);
    const current =
      record && ['running', 'terminated'].includes(record.state.kind) ? record.restarts : undefined;
    // Waiting for its next run: the last one is what there is to see.
    const shown = current ?? (record?.last ? record.restarts : undefined);
    if (previous && !(record && record.restarts > 0)) {
      throw new LogRefusal(400, `previous terminated container "${container}" in pod "${name}" not found`);
    }
    if (shown === undefined) {
      const reason = record?.state.kind === 'waiting' ? record.state.reason : 'ContainerCreating';
      throw new LogRefusal(400, `container "${container}" in pod "${name}" is waiting to start: ${reason}`);
    }
    const owner = { namespace, pod: name, uid: metadata.uid!, container };
    return logs.read(owner, previous ? shown - 1 : shown, read);
  };

  /** Directories of Pods that went while nobody looked. */
  const sweep = () => {
    for (const dir of [join(runDir, 'pods'), ...Object.values(volumes)]) {
      for (const uid of readdirSafe(dir))
        if (!workers.has(uid)) rmSync(join(dir, uid), { recursive: true, force: true });
    }
  };

  return {
    async start() {
      const cleaned = driver.cleanLeftovers();
      const token = await logToken(client, nodeName);
      server = await startLogServer({
        token,
        now: clock.now,
        open: openLog,
        gone: logs.gone,
        stats: () => summarize(nodeName, workers.values(), clock.now()),
      });
      runtimes.start();
      const [ended, capabilities] = await Promise.all([
        cleaned,
        driver.capabilities(),
        registerNode(
          client,
          {
            name: nodeName,
            address: ADDRESS,
            logPort: server.port,
            zone: options.zone,
            version: options.version ?? 'v1.32.4+petrel',
          },
          clock.now(),
        ),
        runtimes.synced,
      ]);
      if (ended > 0) log.info('ended processes of an earlier run', { count: ended });
      context = {
        client,
        driver,
        clock,
        log,
        events,
        logs,
        facts: {
          nodeName,
          hostIP: ADDRESS,
          podIP: ADDRESS,
          cpuMillis: availableParallelism() * 1000,
          memoryBytes: totalmem(),
        },
        machine: [
          machineCondition('petrel.dev/Sandboxed', capabilities.sandbox),
          machineCondition('petrel.dev/ResourceLimits', capabilities.limits),
        ],
        runDir,
        volumes,
        tokens: createTokenIssuer(token, clock),
        cacheDir,
        node,
        runtimesDir,
        path: `${dirname(node)}:${PATH}`,
        runtime: (name) => runtimes.get(undefined, name),
        prepare: createPreparations({ runtimesDir, cacheDir, node, path: `${dirname(node)}:${PATH}`, log }),
        localImage,
        pulledImage: images.find,
        pull: images.pull,
        config: config.read,
      };
      pods.start();
      await pods.synced;
      sweep();
      prune();
    },
    async stop(graceMs = STOP_GRACE_MS) {
      stopped = true;
      pods.stop();
      runtimes.stop();
      config.stop();
      pruning?.cancel();
      await Promise.all([...workers.values()].map((worker) => worker.shutdown(graceMs)));
      // As a machine that is switched off: what was in memory is gone, and takes no memory from others.
      if (volumes.memory !== undefined) rmSync(volumes.memory, { recursive: true, force: true });
      await events.flush();
      await unregisterNode(client, nodeName, clock.now()).catch(() => {});
      await server?.close();
    },
  };
}

/** Files of root in an image belong to the user whom containers run as; all others keep their numbers. */
const ownerIn = (root: { uid: number; gid: number } | undefined): OwnerOf =>
  root && ((uid, gid) => ({ uid: uid === 0 ? root.uid : uid, gid: gid === 0 ? root.gid : gid }));

/** Volumes lie in the run directory, those in memory where every Linux has a file system in memory. */
function volumeDirs(runDir: string): VolumeDirs {
  const disk = join(runDir, 'volumes');
  const memory = join('/dev/shm', `petrel-${createHash('sha256').update(runDir).digest('hex').slice(0, 16)}`);
  return statSync(dirname(memory), { throwIfNoEntry: false }) ? { disk, memory } : { disk };
}

/** The package that contains the runtimes: they need its `package.json` to know that their files are modules. */
function checkoutOf(runtimesDir: string): string {
  const parent = dirname(runtimesDir);
  return readdirSafe(parent).includes('package.json') ? parent : runtimesDir;
}

function readdirSafe(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
