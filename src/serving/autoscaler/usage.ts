/** What instances use of CPU and memory, sampled as long as somebody watches. */
import type { Clock, Timer } from '../../base/clock.ts';
import { parseQuantity } from '../../kinds/quantity.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { NodeStatsReader } from '../../kube/node-stats.ts';
import type { MetricSource } from './metrics.ts';

/** Of all processes of one instance. */
export interface Usage {
  /** Processor time so far, milliseconds. */
  cpuMs: number;
  memoryBytes: number;
}

/** What is known of these instances' usage now, by id; instances that run elsewhere are left out. */
export type UsageReader = (ids: readonly string[]) => Promise<ReadonlyMap<string, Usage>>;

/** What the agents of the nodes say. All watchers of one moment share one question to them. */
export function nodeUsage(client: KubeClient): UsageReader {
  let reader: Promise<NodeStatsReader> | undefined;
  let asking: Promise<ReadonlyMap<string, Usage>> | undefined;
  const ask = async () => {
    reader ??= import('../../kube/node-stats.ts').then(({ createNodeStatsReader }) =>
      createNodeStatsReader(client),
    );
    const summaries = await (await reader).read();
    return new Map(
      summaries.flatMap(({ pods }) =>
        pods.map(({ podRef, cpu, memory }): [string, Usage] => [
          podRef.uid,
          { cpuMs: cpu.usageCoreNanoSeconds / 1e6, memoryBytes: memory.workingSetBytes },
        ]),
      ),
    );
  };
  return async (ids) => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    const all = await asking;
    return new Map(
      ids.flatMap((id): [string, Usage][] => {
        const usage = all.get(id);
        return usage ? [[id, usage]] : [];
      }),
    );
  };
}

/** As often as Kubernetes' HPA looks. */
const INTERVAL_MS = 15_000;
const MIB = 1024 * 1024;

/**
 * Values of `instance` scope: `cpu` in percent of the CPU that the containers request (a whole core when they do not say),
 * `memory` in MiB.
 */
export function createUsageSource({ clock, read }: { clock: Clock; read: UsageReader }): MetricSource {
  return {
    name: 'usage',
    watch({ revision, spec, instances }, listener) {
      let stopped = false;
      let timer: Timer | undefined;
      let before: { at: number; usage: ReadonlyMap<string, Usage> } | undefined;
      const request = cpuRequest(revision);
      const sample = async () => {
        const ids = instances();
        const usage: ReadonlyMap<string, Usage> = ids.length > 0 ? await read(ids).catch(() => NONE) : NONE;
        if (stopped) return;
        const at = clock.monotonic();
        const values = [...usage].flatMap(([id, { cpuMs, memoryBytes }]) => {
          if (spec.metric === 'memory') return [memoryBytes / MIB];
          const last = before?.usage.get(id);
          if (!before || !last || at <= before.at) return [];
          return [(100 * Math.max(0, cpuMs - last.cpuMs)) / (at - before.at) / request];
        });
        before = { at, usage };
        if (values.length > 0)
          listener(values.reduce((sum, value) => sum + value) / values.length, 'instance');
        timer = clock.after(INTERVAL_MS, sample);
      };
      void sample();
      return () => {
        stopped = true;
        timer?.cancel();
      };
    },
  };
}

const NONE: ReadonlyMap<string, Usage> = new Map();

/** Cores. */
function cpuRequest({ spec }: Revision): number {
  const cores = spec.containers.map(({ resources }) => {
    const text = resources?.requests?.cpu ?? resources?.limits?.cpu;
    return text === undefined ? 0 : parseQuantity(String(text));
  });
  const sum = cores.reduce((all, one) => all + (Number.isFinite(one) ? one : 0), 0);
  return sum > 0 ? sum : 1;
}
