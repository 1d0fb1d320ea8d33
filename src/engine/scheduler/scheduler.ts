/** Binds Pods that have no node yet: watches, lets `fit.ts` decide, writes the binding. */
import { type Clock, systemClock, timestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Json, KubeObject } from '../../kinds/object.ts';
import type { Amounts } from '../../kinds/pod-amounts.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createEventRecorder } from '../../kube/events.ts';
import { createInformer } from '../../kube/informer.ts';
import { NODES, PODS } from '../../kube/refs.ts';
import { type NodeObject, type NodeState, place, requestsOf, type SchedulablePod } from './fit.ts';

export interface SchedulerOptions {
  client: KubeClient;
  log: Logger;
  clock?: Clock;
}

export interface Scheduler {
  start(): void;
  stop(): void;
}

const NAME = 'default-scheduler';
const ENDED = new Set(['Succeeded', 'Failed']);
const RETRY_MS = 1000;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { client } = options;
  const clock = options.clock ?? systemClock;
  const log = options.log.with({ component: 'scheduler' });
  const events = createEventRecorder({ client, component: NAME, log, now: clock.now });
  const pods = createInformer<SchedulablePod>({ client, resource: PODS, log, clock });
  const nodes = createInformer<NodeObject>({ client, resource: NODES, log, clock });
  /** Decided, but not yet seen in the cache: uid → node. Counts as placed, so that a burst is not placed twice. */
  const assumed = new Map<string, string>();
  const waiting = new Set<string>();
  const busy = new Set<string>();
  const keyOf = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`;

  const states = (): NodeState[] => {
    const byName = new Map<string, NodeState>();
    for (const node of nodes.list()) byName.set(node.metadata.name, { node, used: {}, pods: 0 });
    for (const pod of pods.list()) {
      const state = byName.get(pod.spec.nodeName ?? assumed.get(pod.metadata.uid ?? '') ?? '');
      if (!state || ENDED.has(pod.status?.phase ?? '')) continue;
      state.pods++;
      add(state.used, requestsOf(pod));
    }
    return [...byName.values()];
  };

  const unbound = (pod: SchedulablePod) =>
    !pod.spec.nodeName &&
    !pod.metadata.deletionTimestamp &&
    !assumed.has(pod.metadata.uid ?? '') &&
    (pod.spec.schedulerName ?? NAME) === NAME;

  const bind = async (pod: SchedulablePod, node: string) => {
    const { name, namespace, uid } = pod.metadata;
    assumed.set(uid!, node);
    try {
      await client.patch(PODS, namespace, name, 'merge', {
        metadata: { uid: uid! },
        spec: { nodeName: node },
      });
      events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      assumed.delete(uid!);
      // Gone or bound by someone else: what the watch brings next is the truth.
      if (error instanceof KubeError && (error.code === 404 || error.code === 409)) return;
      throw error;
    }
  };

  const refuse = async (pod: SchedulablePod, message: string) => {
    const before = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    if (before?.status === 'False' && before.message === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : timestamp(clock.now()),
    };
    const { name, namespace } = pod.metadata;
    const others = (pod.status?.conditions ?? []).filter(({ type }) => type !== 'PodScheduled');
    const patch = { status: { conditions: [...others, condition] } } as unknown as Json;
    await client.patch(PODS, namespace, name, 'merge', patch, { subresource: 'status' });
    events.record(pod, 'Warning', 'FailedScheduling', message);
  };

  const consider = (pod: SchedulablePod) => {
    const key = keyOf(pod);
    if (!unbound(pod)) {
      waiting.delete(key);
      return;
    }
    if (busy.has(key) || !nodes.hasSynced) {
      waiting.add(key);
      return;
    }
    const placement = place(pod, states());
    busy.add(key);
    const done = 'node' in placement ? bind(pod, placement.node) : refuse(pod, placement.message);
    if ('node' in placement) waiting.delete(key);
    else waiting.add(key);
    void done
      .catch((error) => {
        const reason = messageOf(error);
        log.warn('a Pod was not bound; trying again', { pod: key, error: reason });
        waiting.add(key);
        clock.after(RETRY_MS, again);
      })
      .finally(() => busy.delete(key));
  };

  /** Something has changed that may make room: look again at everything that waits. */
  const again = () => {
    for (const key of [...waiting]) {
      const [namespace, name] = key.split('/');
      const pod = pods.get(namespace, name!);
      if (pod) consider(pod);
      else waiting.delete(key);
    }
  };

  pods.addHandler({
    add: consider,
    update(pod, old) {
      if (pod.spec.nodeName) assumed.delete(pod.metadata.uid!);
      consider(pod);
      if (ENDED.has(pod.status?.phase ?? '') && !ENDED.has(old.status?.phase ?? '')) again();
    },
    delete(pod) {
      assumed.delete(pod.metadata.uid!);
      waiting.delete(keyOf(pod));
      again();
    },
  });
  nodes.addHandler({ add: again, update: again });
  void nodes.synced.then(again);

  return {
    start() {
      nodes.start();
      pods.start();
    },
    stop() {
      nodes.stop();
      pods.stop();
    },
  };
}

function add(total: Amounts, more: Amounts): void {
  for (const [name, value] of Object.entries(more)) total[name] = (total[name] ?? 0) + value;
}
