/**
 * Decides on which node a Pod runs. Pure. Filters and texts of kube-scheduler (NodeUnschedulable, NodeAffinity's
 * nodeSelector, TaintToleration, NodeResourcesFit); the score is LeastAllocated.
 */
import type { KubeObject } from '../../kinds/object.ts';
import type { Pod, PodSpec } from '../../kinds/pod.ts';
import { type Amounts, amountOf, podAmounts } from '../../kinds/pod-amounts.ts';

export interface Taint {
  key: string;
  value?: string;
  effect: string;
}

export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  effect?: string;
}

export interface NodeObject extends KubeObject {
  spec?: { unschedulable?: boolean; taints?: Taint[] };
  status?: { allocatable?: Record<string, string>; conditions?: { type: string; status: string }[] };
}

/** Fields of a Pod that only scheduling looks at. */
export type SchedulablePod = Pod & {
  spec: PodSpec & {
    nodeSelector?: Record<string, string>;
    tolerations?: Toleration[];
    schedulerName?: string;
  };
};

/** Requests of a Pod. A limit without a request is one. */
export const requestsOf = (pod: Pod): Amounts =>
  podAmounts(pod, ({ limits, requests }) => ({ ...limits, ...requests }));

/** A node and what is already placed on it. */
export interface NodeState {
  node: NodeObject;
  used: Amounts;
  pods: number;
}

/** Whether one of the tolerations accepts the taint. */
export function tolerates(taint: Taint, tolerations: Toleration[]): boolean {
  return tolerations.some(({ key, operator = 'Equal', value, effect }) => {
    if (effect && effect !== taint.effect) return false;
    if (!key) return operator === 'Exists';
    return key === taint.key && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''));
  });
}

/** Why the Pod cannot run there; empty when it can. */
export function obstacles(pod: SchedulablePod, { node, used, pods }: NodeState): string[] {
  if (node.spec?.unschedulable) return ['node(s) were unschedulable'];
  const ready = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (!ready) return ['node(s) had untolerated taint {node.kubernetes.io/not-ready: }'];
  const taint = node.spec?.taints?.find(
    (candidate) =>
      candidate.effect !== 'PreferNoSchedule' && !tolerates(candidate, pod.spec.tolerations ?? []),
  );
  if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
  const labels = node.metadata.labels ?? {};
  if (Object.entries(pod.spec.nodeSelector ?? {}).some(([key, value]) => labels[key] !== value)) {
    return ["node(s) didn't match Pod's node affinity/selector"];
  }
  const allocatable = node.status?.allocatable ?? {};
  const reasons: string[] = [];
  if (allocatable.pods !== undefined && pods + 1 > Number(allocatable.pods)) reasons.push('Too many pods');
  for (const [name, wanted] of Object.entries(requestsOf(pod))) {
    const left = amountOf(name, allocatable[name] ?? '0') - (used[name] ?? 0);
    if (wanted > 0 && wanted > left) reasons.push(`Insufficient ${name}`);
  }
  return reasons;
}

/** Share of cpu and memory left after the Pod, 0 to 1. */
function room(pod: Pod, { node, used }: NodeState): number {
  const wanted = requestsOf(pod);
  const shares = ['cpu', 'memory'].map((name) => {
    const total = amountOf(name, node.status?.allocatable?.[name] ?? '0');
    return total === 0 ? 0 : 1 - ((used[name] ?? 0) + (wanted[name] ?? 0)) / total;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

export type Placement = { node: string } | { message: string };

/** The node with the most room, or kube-scheduler's message. */
export function place(pod: SchedulablePod, nodes: NodeState[]): Placement {
  const counts = new Map<string, number>();
  let best: { name: string; room: number } | undefined;
  for (const state of nodes) {
    const reasons = obstacles(pod, state);
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    if (reasons.length > 0) continue;
    const free = room(pod, state);
    if (!best || free > best.room) best = { name: state.node.metadata.name, room: free };
  }
  if (best) return { node: best.name };
  if (nodes.length === 0) return { message: 'no nodes available to schedule pods' };
  const reasons = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  return { message: `0/${nodes.length} nodes are available: ${reasons.join(', ')}.` };
}
