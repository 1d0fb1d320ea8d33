/**
 * The conditions of an object as one consistent set. Rules of knative.dev/pkg `apis.ConditionSet`: `Ready` follows its
 * dependents, sorted by type, and a transition time moves only with its condition.
 */
import { timestamp } from '../base/clock.ts';
import type { Condition, KubeObject } from './object.ts';

type ConditionStatus = Condition['status'];

export interface ConditionManager {
  get(type: string): Condition | undefined;
  /** Sets `Ready` and every dependent that is missing: Unknown, or True where `Ready` already is. */
  initialize(): void;
  markTrue(type: string, reason?: string, message?: string): void;
  markFalse(type: string, reason: string, message: string): void;
  markUnknown(type: string, reason: string, message: string): void;
  /** The set as it stands, sorted by type. */
  readonly conditions: Condition[];
}

export interface ConditionSet {
  /** Works on a copy of `current`; `now` stamps what changes (milliseconds, written with second precision). */
  manage(current: Condition[] | undefined, now: number): ConditionManager;
}

const HAPPY = 'Ready';

/** The set of a kind whose `Ready` is the sum of `dependents`. Other types are informative only. */
export function conditionSet(...dependents: string[]): ConditionSet {
  const counts = new Set([HAPPY, ...dependents]);
  return {
    manage(current, now) {
      let conditions: Condition[] = (current ?? []).map((condition) => ({ ...condition }));
      const time = timestamp(now);
      const get = (type: string) => conditions.find((condition) => condition.type === type);

      const set = (type: string, status: ConditionStatus, reason?: string, message?: string) => {
        const next: Condition = { type, status };
        if (!counts.has(type)) next.severity = 'Info';
        if (reason) next.reason = reason;
        if (message) next.message = message;
        const old = get(type);
        if (old && same(old, next)) return;
        next.lastTransitionTime = time;
        conditions = [...conditions.filter((condition) => condition.type !== type), next];
        conditions.sort((a, b) => (a.type < b.type ? -1 : 1));
      };

      /** What keeps `Ready` from being True: the youngest False dependent, else the youngest Unknown one, else a missing one. */
      const obstacle = (): Omit<Condition, 'type'> | undefined => {
        if (dependents.length === 0) return undefined;
        const present = conditions
          .filter((condition) => dependents.includes(condition.type))
          .sort((a, b) => (b.lastTransitionTime ?? '').localeCompare(a.lastTransitionTime ?? ''));
        const bad =
          present.find(({ status }) => status === 'False') ??
          present.find(({ status }) => status === 'Unknown');
        if (bad) return bad;
        return present.length < dependents.length ? { status: 'Unknown' } : undefined;
      };

      return {
        get,
        get conditions() {
          // What went back and forth and ended as it was has not changed: controllers compare, and would write for ever.
          return conditions.map((condition) => {
            const before = current?.find(({ type }) => type === condition.type);
            return before && same(before, condition) ? { ...before } : condition;
          });
        },
        initialize() {
          if (!get(HAPPY)) set(HAPPY, 'Unknown');
          const status = get(HAPPY)!.status === 'True' ? 'True' : 'Unknown';
          for (const type of dependents) if (!get(type)) set(type, status);
        },
        markTrue(type, reason, message) {
          set(type, 'True', reason, message);
          const bad = obstacle();
          if (bad) set(HAPPY, bad.status, bad.reason, bad.message);
          else if (type !== HAPPY) set(HAPPY, 'True');
        },
        markFalse(type, reason, message) {
          set(type, 'False', reason, message);
          if (dependents.includes(type)) set(HAPPY, 'False', reason, message);
        },
        markUnknown(type, reason, message) {
          set(type, 'Unknown', reason, message);
          if (dependents.some((dependent) => get(dependent)?.status === 'False')) {
            // What has failed outweighs what is not known.
            if (get(HAPPY)?.status !== 'False') set(HAPPY, 'False', reason, message);
          } else if (dependents.includes(type)) set(HAPPY, 'Unknown', reason, message);
        },
      };
    },
  };
}

function same(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    (a.reason ?? '') === (b.reason ?? '') &&
    (a.message ?? '') === (b.message ?? '') &&
    a.severity === b.severity
  );
}

/** The condition of that type in an object's status. */
export function conditionOf(
  object: (KubeObject & { status?: { conditions?: Condition[] } }) | undefined,
  type: string,
): Condition | undefined {
  return object?.status?.conditions?.find((condition) => condition.type === type);
}

/** `Ready` as observed for the object's present generation; Unknown while the status lags behind. */
export function readiness(
  object: KubeObject & { status?: { observedGeneration?: number; conditions?: Condition[] } },
): ConditionStatus {
  if (object.status?.observedGeneration !== object.metadata.generation) return 'Unknown';
  return conditionOf(object, HAPPY)?.status ?? 'Unknown';
}

/** Sets one condition of a kind without dependents; its transition time moves only when its status does. */
export function withCondition(
  conditions: Condition[] | undefined,
  next: Condition,
  now: number,
): Condition[] {
  const old = conditions?.find(({ type }) => type === next.type);
  const lastTransitionTime =
    old?.status === next.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now);
  return [...(conditions ?? []).filter(({ type }) => type !== next.type), { ...next, lastTransitionTime }];
}
