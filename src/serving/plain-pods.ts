/** Instances that are Pods of their own: whatever image, speaking HTTP/1.1 on its port. The slow path, and the universal one. */
import type { Clock } from '../base/clock.ts';
import { PetrelError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { EndpointAddress } from '../gateway/contract.ts';
import { conditionOf } from '../kinds/conditions.ts';
import { RUNTIME_IMAGE_PREFIX } from '../kinds/function.ts';
import { asUpdated } from '../kinds/in-place.ts';
import { randomSuffix } from '../kinds/name.ts';
import { POD_NETWORK_LABEL, ZONE_LABEL } from '../kinds/node.ts';
import type { Pod, Probe } from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { createInformer } from '../kube/informer.ts';
import { NODES, PODS } from '../kube/refs.ts';
import {
  type Instance,
  InstanceError,
  type InstanceEvents,
  type InstanceSource,
  UnschedulableError,
} from './contract.ts';
import { probeEarly } from './early-probe.ts';
import type { PinnedImages } from './pinned-images.ts';
import {
  conversionPatch,
  convertible,
  hasBegun,
  isUpdated,
  type Restarts,
  restartsOf,
  sinceUpdate,
} from './pod-conversion.ts';
import {
  declaredPort,
  earlyProbe,
  INSTANCE_LABEL,
  PORT_ANNOTATION,
  podFor,
  podName,
  servingContainer,
  wantedPort,
} from './pod-template.ts';
import { findFreePort } from './ports.ts';

export interface PlainPods {
  source: InstanceSource;
  /** Resolves when the existing Pods are known. */
  start(): Promise<void>;
  stop(): void;
}

export interface PlainPodsOptions {
  client: KubeClient;
  log: Logger;
  clock: Clock;
  random: () => number;
  /** Told what Pods say of their images. */
  images?: Pick<PinnedImages, 'saw'>;
  /** See `findFreePort`. */
  freePort?: typeof findFreePort;
}

/** Somebody deleted the Pod: no fault of the revision, and no reason not to start another. */
class PodRemoved extends PetrelError {
  constructor() {
    super('StartFailed', 'its Pod was deleted');
  }
}

/** Pods of one start that may be deleted under it before it is given up. */
const REMOVED_TRIES = 20;

interface Waiter {
  revision: Revision;
  /** The Pod is being updated: what ran in it before tells nothing. */
  since?: Restarts;
  /** Aborts when the wait is over. */
  probing: AbortController;
  /** Its server is being asked whether it answers. */
  asked: boolean;
  resolve(instance: Instance): void;
  reject(error: unknown): void;
}

interface Given {
  revision: Revision;
  state: 'up' | 'unready' | 'down';
  /** What its Pod's status says holds: it has been reported Ready, or has had the time for it since its server was seen to answer. */
  reported: boolean;
}

/** Reasons for which a container will not start however long one waits. Source: kubelet `pkg/kubelet/images`, `kuberuntime`. */
const HOPELESS = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ImageNotSupported',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);
/** A Pod that no node takes for this long is reported; it stays, and the next attempt takes it up. */
const UNSCHEDULABLE_MS = 10_000;

export function createPlainPods(options: PlainPodsOptions): PlainPods {
  const { client, clock, random } = options;
  const log = options.log.with({ source: 'plain-pods' });
  const freePort = options.freePort ?? findFreePort;
  const pods = createInformer<Pod>({
    client,
    resource: PODS,
    log,
    clock,
    random,
    labelSelector: `${INSTANCE_LABEL}=pod`,
    indexes: { uid: ({ metadata }) => (metadata.uid ? [metadata.uid] : []) },
  });
  /** Nodes that run our own agent. Where Pods share the network, every instance needs a port of its own. */
  const agents = createInformer({
    client,
    resource: NODES,
    log,
    clock,
    random,
    labelSelector: POD_NETWORK_LABEL,
  });
  const listeners: InstanceEvents[] = [];
  /** Pod uid → who waits for it to become ready. */
  const waiting = new Map<string, Waiter>();
  /** Pods handed out, by uid. */
  const given = new Map<string, Given>();
  /** Names of Pods that an attempt is busy with; a Pod may be in the cache before its creation is answered. */
  const claimed = new Set<string>();

  /** Ports on their way into a Pod. */
  const promised = new Set<number>();
  const isTaken = (port: number) =>
    promised.has(port) ||
    pods.list().some(({ metadata }) => metadata.annotations?.[PORT_ANNOTATION] === String(port));

  const sharesNetwork = () =>
    agents.list().some(({ metadata }) => metadata.labels?.[POD_NETWORK_LABEL] === 'host');
  /** Where a new instance is to listen. Where Pods share the network the port is promised to it until its Pod is known. */
  const portFor = async (revision: Revision): Promise<number> => {
    if (!sharesNetwork()) return declaredPort(revision);
    for (;;) {
      const port = await freePort(wantedPort(revision), isTaken);
      if (isTaken(port)) continue;
      promised.add(port);
      return port;
    }
  };

  const instanceOf = (pod: Pod, revision: Revision): Instance => {
    const zone = agents.get(undefined, pod.spec.nodeName ?? '')?.metadata.labels?.[ZONE_LABEL];
    return {
      id: pod.metadata.uid ?? '',
      namespace: pod.metadata.namespace ?? '',
      podName: pod.metadata.name,
      address: addressOf(pod.status?.podIP ?? '127.0.0.1', portOf(pod, revision), revision),
      ...(zone && { zone }),
    };
  };

  /** `unseen`: only its server has been seen to answer, and this probe of its node's is to find the same. */
  const handOut = (pod: Pod, waiter: Waiter, unseen?: Probe) => {
    const uid = pod.metadata.uid ?? '';
    waiting.delete(uid);
    const entry: Given = { revision: waiter.revision, state: 'up', reported: unseen === undefined };
    given.set(uid, entry);
    waiter.resolve(instanceOf(pod, waiter.revision));
    if (unseen === undefined) return;
    // One that fails before its node has looked for the first time is never reported Ready.
    clock.after(noticedMs(unseen), () => {
      if (entry.reported || given.get(uid) !== entry) return;
      entry.reported = true;
      const now = pods.byIndex('uid', uid)[0];
      if (now) changed(now, false);
    });
  };

  /** Asks the server itself, which knows earlier than the Pod's status does. */
  const ask = (pod: Pod, host: string, waiter: Waiter) => {
    waiter.asked = true;
    const probe = earlyProbe(asUpdated(pod));
    if (!probe) return;
    void probeEarly(host, probe, clock, waiter.probing.signal).then((answers) => {
      if (answers && waiting.get(pod.metadata.uid ?? '') === waiter) handOut(pod, waiter, probe);
    });
  };

  const changed = (seen: Pod, gone: boolean) => {
    options.images?.saw(seen);
    const uid = seen.metadata.uid ?? '';
    const waiter = waiting.get(uid);
    const pod = waiter?.since ? sinceUpdate(seen, waiter.since) : seen;
    if (waiter) {
      const ending = gone || pod.metadata.deletionTimestamp;
      if (waiter.since && !ending && !hasBegun(pod, waiter.revision)) return;
      // A Pod that somebody deletes ends like any program that is told to: no fault of the revision.
      const failure = ending ? new PodRemoved() : startFailure(pod, waiter.revision);
      if (failure) waiter.reject(failure);
      else if (waiter.since && !isUpdated(pod, waiter.revision)) return;
      else if (isReady(pod)) handOut(pod, waiter);
      else if (pod.status?.podIP && !waiter.asked) ask(pod, pod.status.podIP, waiter);
      return;
    }
    const entry = given.get(uid);
    if (!entry) return;
    const ready = !gone && isReady(pod);
    entry.reported ||= ready;
    // Until then, that it is not yet reported Ready is no news.
    const running = !gone && isRunning(pod);
    const state = ready || (running && !entry.reported) ? 'up' : running ? 'unready' : 'down';
    if (state !== entry.state) {
      const removed = gone || pod.metadata.deletionTimestamp !== undefined;
      const kind = state === 'unready' ? 'unready' : removed ? 'removed' : 'crashed';
      for (const listener of listeners) {
        if (state === 'up') listener.up(entry.revision, instanceOf(pod, entry.revision));
        else listener.down(entry.revision, uid, absence(pod, gone), kind);
      }
    }
    entry.state = state;
    if (gone) given.delete(uid);
  };
  pods.addHandler({
    add: (pod) => changed(pod, false),
    update: (pod) => changed(pod, false),
    delete: (pod) => changed(pod, true),
  });

  const owned = (revision: Revision): Pod[] =>
    pods.byIndex('owner', revision.metadata.uid ?? '').filter(({ metadata }) => !metadata.deletionTimestamp);

  const report = (pod: string) => (error: unknown) =>
    log.warn('a Pod was left behind', { pod, error: String(error) });

  const remove = async (uid: string, graceMs: number) => {
    given.delete(uid);
    const pod = pods.byIndex('uid', uid)[0];
    if (!pod) return;
    try {
      await client.delete(PODS, pod.metadata.namespace, pod.metadata.name, {
        gracePeriodSeconds: Math.ceil(graceMs / 1000),
        preconditions: { uid },
      });
    } catch (error) {
      if (!(error instanceof KubeError) || (error.code !== 404 && error.code !== 409)) throw error;
    }
  };

  /** Resolves when the Pod can take requests, rejects when it cannot be expected to. */
  const readyPod = (
    pod: Pod,
    revision: Revision,
    signal: AbortSignal,
    since?: Restarts,
  ): Promise<Instance> => {
    const uid = pod.metadata.uid ?? '';
    const { promise, resolve, reject } = Promise.withResolvers<Instance>();
    const probing = new AbortController();
    waiting.set(uid, { revision, since, probing, asked: false, resolve, reject });
    const abort = () =>
      reject(new PetrelError('Timeout', 'the start was given up', { cause: signal.reason }));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const unschedulable = clock.after(UNSCHEDULABLE_MS, () => {
      const condition = conditionOf(pods.byIndex('uid', uid)[0], 'PodScheduled');
      if (condition?.status === 'False') {
        reject(new UnschedulableError(condition.message ?? 'no node takes the Pod'));
      }
    });
    const known = pods.byIndex('uid', uid)[0];
    if (known) changed(known, false);
    return promise.finally(() => {
      waiting.delete(uid);
      probing.abort();
      unschedulable.cancel();
      signal.removeEventListener('abort', abort);
    });
  };

  const bringUp = async (revision: Revision, signal: AbortSignal): Promise<Instance> => {
    // A Pod of an earlier attempt that has been waiting for a node is as good as a new one.
    const left = owned(revision).find(
      ({ metadata: { uid = '', name } }) => !given.has(uid) && !claimed.has(name),
    );
    const name = left?.metadata.name ?? podName(revision, randomSuffix(random));
    claimed.add(name);
    let port = 0;
    try {
      if (!left) port = await portFor(revision);
      const pod = left ?? (await client.create(PODS, podFor(revision, name, port, agents.list().length > 0)));
      return await readyPod(pod, revision, signal).catch(async (error) => {
        if (error instanceof InstanceError || signal.aborted)
          await remove(pod.metadata.uid ?? '', 0).catch(report(name));
        throw error;
      });
    } finally {
      claimed.delete(name);
      promised.delete(port);
    }
  };

  const source: InstanceSource = {
    handles: (revision) => !servingContainer(revision)?.image?.startsWith(RUNTIME_IMAGE_PREFIX),
    async acquire(revision, signal) {
      for (let tries = 1; ; tries++) {
        try {
          return await bringUp(revision, signal);
        } catch (error) {
          if (!(error instanceof PodRemoved) || signal.aborted || tries === REMOVED_TRIES) throw error;
        }
      }
    },
    release: (_revision, id, graceMs) => remove(id, graceMs),
    async adopt(revision) {
      const ready = owned(revision).filter(isReady);
      for (const { metadata } of ready)
        given.set(metadata.uid ?? '', { revision, state: 'up', reported: true });
      return ready.map((pod) => instanceOf(pod, revision));
    },
    onEvent: (events) => listeners.push(events),
    convertible: (from, to) => source.handles(from) && source.handles(to) && convertible(from, to),
    async convert(from, id, to, signal) {
      const pod = pods.byIndex('uid', id)[0];
      given.delete(id);
      if (!pod || pod.metadata.deletionTimestamp) throw new PodRemoved();
      const { name, namespace } = pod.metadata;
      claimed.add(name);
      let port = 0;
      try {
        if (!agents.get(undefined, pod.spec.nodeName ?? '')) {
          throw new PetrelError('StartFailed', 'the node of its Pod cannot update Pods in place');
        }
        const was = portOf(pod, from);
        port = was === wantedPort(to) || !sharesNetwork() ? was : await portFor(to);
        const patch = conversionPatch(pod, from, to, was, port);
        const ready = readyPod(pod, to, signal, restartsOf(pod));
        const [instance] = await Promise.all([ready, client.patch(PODS, namespace, name, 'merge', patch)]);
        return instance;
      } catch (error) {
        waiting.get(id)?.reject(error);
        await remove(id, 0).catch(report(name));
        throw error;
      } finally {
        claimed.delete(name);
        promised.delete(port);
      }
    },
  };

  return {
    source,
    async start() {
      pods.start();
      agents.start();
      await Promise.all([pods.synced, agents.synced]);
    },
    stop() {
      pods.stop();
      agents.stop();
      const error = new PetrelError('NotReady', 'the platform is stopping');
      for (const waiter of waiting.values()) waiter.reject(error);
    },
  };
}

/** How long a node takes to find a probe to fail, from any moment on; what is not given is as in Kubernetes. */
const noticedMs = ({ periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 }: Probe): number =>
  (periodSeconds * (failureThreshold + 1) + timeoutSeconds) * 1000;

function isReady(pod: Pod): boolean {
  return (
    !pod.metadata.deletionTimestamp &&
    conditionOf(pod, 'Ready')?.status === 'True' &&
    Boolean(pod.status?.podIP)
  );
}

function isRunning(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return (
    !pod.metadata.deletionTimestamp && statuses.every(({ state }) => !state.terminated && !state.waiting)
  );
}

const portOf = (pod: Pod, revision: Revision): number =>
  Number(pod.metadata.annotations?.[PORT_ANNOTATION]) || declaredPort(revision);

/** By the name of its port; a port without one may speak either. */
function addressOf(host: string, port: number, revision: Revision): EndpointAddress {
  const name = servingContainer(revision)?.ports?.[0]?.name;
  if (name === 'h2c') return { kind: 'h2c', host, port };
  return name === 'http1' ? { kind: 'http1', host, port } : { kind: 'http1', host, port, detect: true };
}

/** Why the Pod will not become ready; undefined while it still may. Reasons and texts are upstream's. */
function startFailure(pod: Pod, revision: Revision): InstanceError | undefined {
  const failed = (reason: string, message: string) =>
    new InstanceError({ status: 503, component: 'instance', reason, message });
  const { containers, initContainers = [] } = revision.spec;
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  for (const status of [...initContainerStatuses, ...containerStatuses]) {
    const { name, state, lastState } = status;
    const image =
      [...containers, ...initContainers].find((container) => container.name === name)?.image ?? '';
    const { waiting } = state;
    if (waiting?.reason && HOPELESS.has(waiting.reason)) {
      const text = waiting.message ?? waiting.reason;
      return /image/i.test(waiting.reason)
        ? failed('ContainerMissing', `Unable to fetch image "${image}": ${text}`)
        : failed(waiting.reason, text);
    }
    const ended = state.terminated ?? lastState.terminated;
    // An init container that has ended well has done its work.
    if (ended && !(initContainerStatuses.includes(status) && ended.exitCode === 0)) {
      const text = ended.message?.trim() || ended.reason || `exit code ${ended.exitCode}`;
      return failed(`ExitCode${ended.exitCode}`, `Container failed with: ${text}`);
    }
  }
  return undefined;
}

function absence(pod: Pod, gone: boolean): string {
  if (gone) return 'its Pod was deleted';
  const ready = conditionOf(pod, 'Ready');
  return pod.metadata.deletionTimestamp
    ? 'its Pod is ending'
    : (ready?.message ?? ready?.reason ?? 'its Pod is not ready');
}
