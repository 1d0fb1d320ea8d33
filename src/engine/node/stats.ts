/** What the Pods of this machine use, in kubelet's words. Source: k8s.io/kubelet `stats/v1alpha1`. */
import type { StatsSummary, UsageStats } from '../../kube/node-stats.ts';
import type { ContainerUsage } from './drivers/driver.ts';
import type { PodWorker } from './pod-worker.ts';

const NANO = 1e9;

function statsOf(usages: ContainerUsage[], time: string): UsageStats {
  const sum = (of: (usage: ContainerUsage) => number) =>
    usages.reduce((total, usage) => total + of(usage), 0);
  return {
    cpu: { time, usageCoreNanoSeconds: Math.round(sum(({ cpuSeconds }) => cpuSeconds) * NANO) },
    memory: { time, workingSetBytes: sum(({ memoryBytes }) => memoryBytes) },
  };
}

/** What the Pods of a node use now, in the form of the kubelet's Summary API. Pods that run nothing are left out. */
export function summarize(nodeName: string, workers: Iterable<PodWorker>, now: number): StatsSummary {
  const time = new Date(now).toISOString();
  const pods: StatsSummary['pods'] = [];
  for (const worker of workers) {
    const containers = worker.usage();
    if (containers.length === 0) continue;
    const { name, namespace = '', uid = '' } = worker.pod.metadata;
    pods.push({
      podRef: { name, namespace, uid },
      ...statsOf(
        containers.map(({ usage }) => usage),
        time,
      ),
      containers: containers.map(({ name: container, startedAt, usage }) => ({
        name: container,
        startTime: new Date(startedAt).toISOString(),
        ...statsOf([usage], time),
      })),
    });
  }
  return { node: { nodeName }, pods };
}
