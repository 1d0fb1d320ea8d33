/** CanaryConfigs: weight moves from one function of a trigger to another, step by step, as long as its answers are good. */

import type { RevisionStats } from '../../gateway/contract.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';
import { orUndefined } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { TRAFFIC_POLICIES } from '../../kube/refs.ts';
import { type Finding, found, withFindings } from './conditions.ts';
import { type Context, type Part, writeStatus } from './context.ts';
import { type CanaryConfig, executorOf, FISSION, type HttpTrigger, type Problem } from './model.ts';
import { translatedName } from './parts.ts';

/** What Fission takes where a field is empty: percent, a duration, percent. */
const DEFAULTS = { increment: 20, duration: '2m', threshold: 10 } as const;
/** Shortest interval, ms: outcomes are counted once a second. */
const SHORTEST_MS = 1000;

/** A policy for counting: a new revision that comes meanwhile has all the traffic at once, near enough. */
const COUNT_ONLY = { steps: [99], intervalSeconds: 1, minRequests: 0, maxErrorPercent: 100 };

interface Step {
  /** Monotonic ms. */
  since: number;
  requests: number;
  errors: number;
}

/** What a step comes to. `none`: nobody has called the new function. */
export type Verdict = { act: 'step'; weight: number } | { act: 'none' } | { act: 'fail'; percent: number };

/** Decides a step that is over. `weight` is what the new function has. Pure. Source: Fission's canary controller. */
export function decide(
  { spec }: CanaryConfig,
  weight: number,
  { requests, errors }: Pick<Step, 'requests' | 'errors'>,
): Verdict {
  const increment = spec.weightincrement || DEFAULTS.increment;
  if (weight > 0 && requests === 0) return { act: 'none' };
  const percent = requests === 0 ? 0 : (errors * 100) / requests;
  if (percent > (spec.failurethreshold || DEFAULTS.threshold)) return { act: 'fail', percent };
  return { act: 'step', weight: Math.min(100, weight + increment) };
}

const policyName = ({ metadata }: CanaryConfig): string => `fission-canary-${metadata.name}`;

export function createCanaries(context: Context): Part {
  const { caches, client, clock, log } = context;
  const steps = new Map<string, Step>();
  /** What the gateway counts of a revision → whose step it is. */
  let unfollow: (() => void) | undefined;

  const count = (stats: readonly RevisionStats[]) => {
    for (const [key, step] of steps) {
      const { namespace, name } = splitKey(key);
      const config = caches.canaries.get(namespace, name);
      if (!config) continue;
      const prefix = `${namespace}/${translatedName(config.spec.newfunction)}-`;
      for (const { key: revision, outcomes } of stats) {
        if (!outcomes || !revision.startsWith(prefix) || !/^\d{5}$/.test(revision.slice(prefix.length)))
          continue;
        const { classes } = outcomes;
        step.requests += classes.reduce((sum, one) => sum + one, 0);
        step.errors += (classes[0] ?? 0) + (classes[4] ?? 0) + (classes[5] ?? 0);
      }
    }
  };

  const forget = async (key: string, config: CanaryConfig | undefined) => {
    steps.delete(key);
    if (steps.size === 0) {
      unfollow?.();
      unfollow = undefined;
    }
    if (config)
      await orUndefined(client.delete(TRAFFIC_POLICIES, config.metadata.namespace, policyName(config)));
  };

  /** Answers are counted by class only where a policy asks for it. */
  const ensurePolicy = async (config: CanaryConfig): Promise<void> => {
    const { namespace, name, uid } = config.metadata;
    if (await orUndefined(client.get(TRAFFIC_POLICIES, namespace, policyName(config)))) return;
    const fn = caches.functions.get(namespace, config.spec.newfunction);
    const container = fn !== undefined && executorOf(fn.spec) === 'container';
    await client.create<TrafficPolicy>(TRAFFIC_POLICIES, {
      apiVersion: 'petrel.dev/v1',
      kind: 'TrafficPolicy',
      metadata: {
        name: policyName(config),
        namespace: namespace ?? 'default',
        ownerReferences: [
          { apiVersion: config.apiVersion, kind: config.kind, name, uid: uid ?? '', controller: true },
        ],
      },
      spec: {
        targetRef: {
          kind: container ? 'Service' : 'Function',
          name: translatedName(config.spec.newfunction),
        },
        canary: COUNT_ONLY,
      },
    });
  };

  const problemOf = ({ spec }: CanaryConfig, trigger: HttpTrigger | undefined): Problem | undefined => {
    if (!trigger) return { reason: 'TriggerNotFound', message: `There is no HTTPTrigger "${spec.trigger}".` };
    const { type, functionweights } = trigger.spec.functionref;
    const missing = [spec.newfunction, spec.oldfunction].find(
      (name) => functionweights?.[name] === undefined,
    );
    if (type !== 'function-weights' || missing !== undefined) {
      const message = `The HTTPTrigger "${spec.trigger}" must have weights for "${spec.oldfunction}" and "${spec.newfunction}".`;
      return { reason: 'TriggerHasNoWeights', message };
    }
    return undefined;
  };

  const tell = (config: CanaryConfig, status: string, finding: Finding) =>
    writeStatus(client, FISSION.canaries, config, {
      status,
      conditions: withFindings(config.status?.conditions, [finding], config.metadata.generation, clock.now()),
    });

  const weigh = (trigger: HttpTrigger, { spec }: CanaryConfig, weight: number) =>
    client.update<HttpTrigger>(FISSION.httpTriggers, {
      ...trigger,
      spec: {
        ...trigger.spec,
        functionref: {
          ...trigger.spec.functionref,
          functionweights: {
            ...trigger.spec.functionref.functionweights,
            [spec.newfunction]: weight,
            [spec.oldfunction]: 100 - weight,
          },
        },
      },
    });

  const progress = async (key: string, config: CanaryConfig): Promise<number | undefined> => {
    const { namespace } = config.metadata;
    const { spec } = config;
    const trigger = caches.httpTriggers.get(namespace, spec.trigger);
    const problem = problemOf(config, trigger);
    if (problem || !trigger) {
      await tell(config, 'pending', found('Ready', problem));
      return undefined;
    }
    const interval = Math.max(SHORTEST_MS, parseGoDuration(spec.duration || DEFAULTS.duration) ?? 120_000);
    const now = clock.monotonic();
    const step = steps.get(key);
    if (step === undefined) {
      await ensurePolicy(config);
      steps.set(key, { since: now, requests: 0, errors: 0 });
      unfollow ??= context.follow(count);
      const message = `The weight of "${spec.newfunction}" is looked at every ${interval / 1000} s.`;
      await tell(config, 'pending', { type: 'Ready', status: 'Unknown', reason: 'Progressing', message });
      return interval;
    }
    const left = step.since + interval - now;
    if (left > 0) return left;
    steps.set(key, { since: now, requests: 0, errors: 0 });
    const weight = trigger.spec.functionref.functionweights?.[spec.newfunction] ?? 0;
    const verdict = decide(config, weight, step);
    if (verdict.act === 'none') return interval;
    if (verdict.act === 'fail') {
      await weigh(trigger, config, 0);
      const message = `${verdict.percent.toFixed(1)} % of the answers of "${spec.newfunction}" failed; all traffic goes to "${spec.oldfunction}" again.`;
      await tell(config, 'failed', { type: 'Ready', status: 'False', reason: 'Failed', message });
      return undefined;
    }
    await weigh(trigger, config, verdict.weight);
    if (verdict.weight < 100) return interval;
    const message = `All traffic goes to "${spec.newfunction}".`;
    await tell(config, 'succeeded', { type: 'Ready', status: 'True', reason: 'Succeeded', message });
    return undefined;
  };

  const controller = createController({
    name: 'fission-canaries',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const config = caches.canaries.get(namespace, name);
      const over = config && ['succeeded', 'failed', 'aborted'].includes(config.status?.status ?? '');
      if (config && !over) return progress(key, config);
      await forget(key, config);
      return undefined;
    },
  });
  const enqueue = (config: CanaryConfig) => controller.enqueue(keyOf(config));
  caches.canaries.addHandler({ add: enqueue, update: enqueue, delete: enqueue });
  const ofTrigger = (trigger: HttpTrigger) => {
    for (const config of caches.canaries.list(trigger.metadata.namespace))
      if (config.spec.trigger === trigger.metadata.name) enqueue(config);
  };
  caches.httpTriggers.addHandler({ add: ofTrigger, delete: ofTrigger });

  return {
    start: () => controller.start(),
    async stop() {
      await controller.stop();
      unfollow?.();
    },
  };
}
