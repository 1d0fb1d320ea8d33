/** Where every Route's rollout stands, carried from one look to the next. In memory; the Ingress's annotation outlives a restart. */
import type { Clock } from '../base/clock.ts';
import { parseGoDuration } from '../kinds/go-duration.ts';
import type { Route } from '../kinds/serving.ts';
import { keyOf } from '../kube/indexed-store.ts';
import type { LiveConfig } from './config.ts';
import { LABELS } from './names.ts';
import { observeReady, type Rollout, step } from './rollout.ts';
import { NETWORK } from './settings.ts';
import { type ResolvedTarget, rolloutGoal } from './traffic.ts';

export interface Rollouts {
  /** The shares of now. `againMs`: when the next step is due. */
  advance(
    route: Route,
    targets: readonly ResolvedTarget[],
  ): { rollout: Rollout; againMs: number | undefined };
  /** What stood in the annotation before this process began. */
  restore(key: string, rollout: Rollout): void;
  forget(key: string): void;
}

/** Seconds over which new revisions take the traffic; 0 is at once. */
function rolloutSeconds(route: Route, config: LiveConfig): number {
  const { annotations = {} } = route.metadata;
  const text = annotations[LABELS.rolloutDuration] ?? annotations[LABELS.rolloutDurationAlias];
  return Math.trunc((parseGoDuration(text) ?? 0) / 1000) || config.read(NETWORK).rolloutDurationSeconds;
}

/**
 * What the status says was assigned: the start for Routes of which nothing else is known. A rollout under way goes on from the shares
 * it had reached, with its steps counted anew.
 */
function fromStatus(
  route: Route,
  goal: Rollout,
  now: number,
  configurationOf: (revision: string) => string | undefined,
): Rollout {
  return {
    configurations: goal.configurations.flatMap((one) => {
      const told = (route.status?.traffic ?? []).filter(
        ({ latestRevision, revisionName = '' }) =>
          latestRevision && configurationOf(revisionName) === one.configurationName,
      );
      const tagged = told.filter(({ tag }) => tag === one.tag);
      const revisions = (tagged.length > 0 ? tagged : told).flatMap(({ revisionName = '', percent = 0 }) =>
        percent > 0 ? [{ revisionName, percent }] : [],
      );
      const sum = revisions.reduce((total, { percent }) => total + percent, 0);
      if (revisions.length === 0) return [];
      if (revisions.length === 1) revisions[0]!.percent = one.percent;
      else if (sum !== one.percent) return [];
      return [{ ...one, revisions, stepParams: revisions.length > 1 ? { starttime: now } : {} }];
    }),
  };
}

export interface RolloutsOptions {
  config: LiveConfig;
  clock: Clock;
  /** The Configuration that a revision of that namespace is of. */
  configurationOf(namespace: string | undefined, revision: string): string | undefined;
}

export function createRollouts({ config, clock, configurationOf }: RolloutsOptions): Rollouts {
  const states = new Map<string, Rollout>();
  return {
    advance(route, targets) {
      const key = keyOf(route);
      const goal = rolloutGoal(targets);
      const seconds = rolloutSeconds(route, config);
      if (seconds <= 0) {
        states.set(key, goal);
        return { rollout: goal, againMs: undefined };
      }
      const now = clock.now() * 1e6;
      const inNamespace = (revision: string) => configurationOf(route.metadata.namespace, revision);
      const previous = states.get(key) ?? fromStatus(route, goal, now, inNamespace);
      const { rollout, next } = step(goal, previous, now);
      // The gateway has the first percent as soon as it is told: what upstream waits for is there at once.
      const ready = observeReady(rollout, now, seconds);
      states.set(key, ready);
      const due = ready.configurations.flatMap(({ stepParams }) => stepParams.nextStepTime ?? []);
      const first = next === undefined && due.length === 0 ? undefined : Math.min(next ?? Infinity, ...due);
      return { rollout: ready, againMs: first === undefined ? undefined : Math.max(0, (first - now) / 1e6) };
    },
    restore: (key, rollout) => states.set(key, rollout),
    forget: (key) => states.delete(key),
  };
}
