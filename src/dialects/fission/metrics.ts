/** Counts under Fission's names, from what the gateway counts of the router's paths. Source: Fission `pkg/router/metrics.go`, `pkg/executor/metrics`. */
import type { Family, Labels, Sample } from '../../base/openmetrics.ts';
import { CALL_BUCKETS_MS, type RevisionCalls, type RevisionStats } from '../../gateway/contract.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Context, Part } from './context.ts';
import { translatedName } from './parts.ts';
import type { Storage } from './storage.ts';

/** Combinations of path, method and code that are kept apart of one function; a function may answer with what it likes. */
const MOST_SERIES = 1000;
/** Revisions are called after what stands for the function. */
const REVISION = /-\d{5}$/;

/** Calls of what stands for one function or version, by path, method and code. */
export type Totals = Map<string, RevisionCalls>;

export function addTo(totals: Totals, calls: RevisionCalls): void {
  let key = `${calls.label} ${calls.method} ${calls.status}`;
  let told = calls;
  if (!totals.has(key) && totals.size >= MOST_SERIES) {
    key = '';
    told = { ...calls, label: '', method: 'OTHER', status: 0 };
  }
  const sum = totals.get(key);
  if (sum === undefined) {
    totals.set(key, { ...told, buckets: [...told.buckets] });
    return;
  }
  sum.count += calls.count;
  sum.cold += calls.cold;
  sum.sumMs += calls.sumMs;
  for (const [i, n] of calls.buckets.entries()) sum.buckets[i] = (sum.buckets[i] ?? 0) + n;
}

/** A function or version, and what was counted of it. */
export interface Counted {
  namespace: string;
  name: string;
  version: string;
  totals: Totals;
}

/** An answer that never came whole: what Fission says of a client that left, and of a broken connection. */
const codeOf = (status: number): string => String(status === 0 ? 499 : status < 100 ? 502 : status);

function histogram(labels: Labels, { buckets, count, sumMs }: RevisionCalls): Sample[] {
  const bounds = [...CALL_BUCKETS_MS.map((ms) => String(ms / 1000)), '+Inf'];
  const below = (i: number) => buckets.slice(0, i + 1).reduce((sum, n) => sum + n, 0);
  return [
    ...bounds.map((le, i): Sample => [{ ...labels, le }, below(i), '_bucket']),
    [labels, sumMs / 1000, '_sum'],
    [labels, count, '_count'],
  ];
}

/** The families of function calls. Pure. */
export function callFamilies(counted: readonly Counted[]): Family[] {
  const each = counted.flatMap(({ namespace, name, version, totals }) => {
    const own = { function_namespace: namespace, function_name: name };
    return [...totals.values()].map((calls) => ({
      calls,
      labels: {
        ...own,
        ...(version ? { function_version: version } : {}),
        path: calls.label,
        method: calls.method,
        code: codeOf(calls.status),
      },
    }));
  });
  const cold = counted.map(({ namespace, name, totals }): Sample => {
    const sum = [...totals.values()].reduce((all, one) => all + one.cold, 0);
    return [{ function_name: name, function_namespace: namespace }, sum];
  });
  return [
    {
      name: 'fission_function_calls',
      type: 'counter',
      help: 'Calls of functions by the path of the trigger (empty: by the name of the function), method and code.',
      samples: each.map(({ labels, calls }) => [labels, calls.count]),
    },
    {
      name: 'fission_function_errors',
      type: 'counter',
      help: 'Calls that were answered with 400 or more.',
      samples: each
        .filter(({ labels }) => Number(labels.code) >= 400)
        .map(({ labels, calls }) => [labels, calls.count]),
    },
    {
      name: 'fission_function_overhead_seconds',
      type: 'histogram',
      help: 'Time from the request to the end of its answer, the function included, as Fission has it.',
      samples: each.flatMap(({ labels, calls }) => histogram(labels, calls)),
    },
    {
      name: 'fission_function_cold_starts',
      type: 'counter',
      help: 'Calls that found no instance.',
      samples: summed(cold),
    },
  ];
}

/** Samples of the same labels as one: a function and its versions. */
function summed(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const [labels, value] of samples) {
    const key = JSON.stringify(labels);
    sums.set(key, [labels, (sums.get(key)?.[1] ?? 0) + value]);
  }
  return [...sums.values()];
}

export interface Metrics extends Part {
  families(): Promise<Family[]>;
}

export function createMetrics(
  { caches, follow }: Pick<Context, 'caches' | 'follow'>,
  storage: Storage,
): Metrics {
  /** By what stands for it, `<namespace>/<name>`. */
  const counted = new Map<string, Totals>();
  const standing = ({ metadata: { namespace = 'default', name } }: KubeObject) =>
    `${namespace}/${translatedName(name)}`;
  const forget = (object: KubeObject) => void counted.delete(standing(object));
  caches.functions.addHandler({ delete: forget });
  caches.versions.addHandler({ delete: forget });
  let unfollow = () => {};

  const count = (stats: readonly RevisionStats[]): void => {
    for (const { key, calls } of stats) {
      if (calls === undefined) continue;
      const of = key.replace(REVISION, '');
      const totals = counted.get(of) ?? new Map();
      counted.set(of, totals);
      for (const one of calls) addTo(totals, one);
    }
  };

  const known = (): Counted[] => {
    const functions = caches.functions
      .list()
      .map((fn) => ({ object: fn, name: fn.metadata.name, version: '' }));
    const versions = caches.versions
      .list()
      .map((one) => ({ object: one, name: one.spec.functionName, version: one.metadata.name }));
    return [...functions, ...versions].flatMap(({ object, name, version }) => {
      const totals = counted.get(standing(object));
      return totals ? [{ namespace: object.metadata.namespace ?? 'default', name, version, totals }] : [];
    });
  };

  const objects = async (): Promise<Family[]> => {
    const archives = await storage.usage();
    const triggers = caches.queueTriggers.list();
    return [
      {
        name: 'fission_router_routes',
        type: 'gauge',
        help: 'Routes by listener: of HTTPTriggers, and by names of functions, versions and aliases.',
        samples: [
          [{ listener: 'public' }, caches.httpTriggers.list().length],
          [
            { listener: 'internal' },
            caches.functions.list().length + caches.versions.list().length + caches.aliases.list().length,
          ],
        ],
      },
      {
        name: 'fission_archives',
        type: 'gauge',
        help: 'Archives that are kept.',
        samples: [[{}, archives.count]],
      },
      {
        name: 'fission_archive_memory_bytes',
        type: 'gauge',
        help: 'Bytes of the archives that are kept.',
        samples: [[{}, archives.bytes]],
      },
      {
        name: 'fission_mqt_status',
        type: 'gauge',
        help: 'Whether messages are fetched for a MessageQueueTrigger.',
        samples: triggers.map((trigger) => {
          const { namespace: trigger_namespace = 'default', name: trigger_name } = trigger.metadata;
          const ready = conditionOf(trigger, 'Ready')?.status === 'True';
          return [{ trigger_name, trigger_namespace }, ready ? 1 : 0];
        }),
      },
    ];
  };

  return {
    families: async () => [...callFamilies(known()), ...(await objects())],
    start() {
      unfollow = follow(count);
    },
    stop: () => unfollow(),
  };
}
