/**
 * What a Service's traffic and a canary's state are to be, from all that is known. Pure and level-triggered: it does not matter what happened
 * since the last look. The state is kept on the Service, beside the traffic and written with it, so that the two never disagree: when the
 * traffic is not what the state says, somebody has taken it into their own hands.
 */
import { conditionOf, readiness } from '../../kinds/conditions.ts';
import type { Revision, Service, TrafficTarget } from '../../kinds/serving.ts';
import type { CanaryPolicy, TrafficPolicyStatus } from '../../kinds/traffic-policy.ts';
import { generationOf } from '../names.ts';
import { decide, rulesOf, type Tally } from './decide.ts';
import { divided, percents, takesLatest } from './targets.ts';

/** On a Service: the state of its canary, as JSON. */
export const CANARY_ANNOTATION = 'petrel.dev/canary';

/** `revisionName` is the newest revision that was considered: a canary is only ever for a newer one. */
export type CanaryState = NonNullable<TrafficPolicyStatus['canary']> & { revisionName: string };

export interface Facts {
  service: Service;
  /** Of the Service. */
  revisions: readonly Revision[];
  /** Absent: there is no canary for this Service (any more). */
  policy: CanaryPolicy | undefined;
  /** Of the canary under way, since its step began. */
  tally: Tally;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface Plan {
  /** Absent: it stays. */
  traffic?: TrafficTarget[];
  /** Undefined: none. */
  state: CanaryState | undefined;
  event?: { type: 'Normal' | 'Warning'; reason: string; message: string };
  /** Look again after so many milliseconds. */
  againMs?: number;
}

const ALL = 100;

/** The state on a Service; undefined when there is none that can be read. */
export function stateOf({ metadata }: Service): CanaryState | undefined {
  const text = metadata.annotations?.[CANARY_ANNOTATION];
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as CanaryState;
    return typeof state?.revisionName === 'string' && typeof state.phase === 'string' ? state : undefined;
  } catch {
    return undefined;
  }
}

/** What is to be done now about the canary of a Service; without a policy, how one that is under way ends. */
export function plan(facts: Facts): Plan {
  const state = stateOf(facts.service);
  if (!facts.policy) return withoutPolicy(facts, state);
  const latest = facts.service.status?.latestReadyRevisionName;
  if (!latest) return { state };
  if (!state) return firstLook(facts, latest);
  if (state.phase === 'Progressing') return progress(facts, state, latest, facts.policy);
  return resting(facts, state, latest, facts.policy);
}

/** The canary is switched off: the traffic follows the latest again where that changes nothing now. */
function withoutPolicy({ service }: Facts, state: CanaryState | undefined): Plan {
  if (!state) return { state };
  const { traffic } = service.spec;
  const stable = state.stableRevisionName;
  if (state.phase === 'Progressing' && stable && asSet(service, state)) {
    return { state: undefined, traffic: only(traffic, stable), event: ended(state, 'its policy is gone') };
  }
  const latest = service.status?.latestReadyRevisionName;
  if (latest && sole(service) === latest) {
    return { state: undefined, traffic: divided(traffic, [{ who: { latestRevision: true }, percent: ALL }]) };
  }
  return { state: undefined };
}

/** What is there when a canary is asked for has proven itself. */
function firstLook(facts: Facts, latest: string): Plan {
  const state: CanaryState = {
    phase: 'Idle',
    revisionName: latest,
    stableRevisionName: sole(facts.service) ?? latest,
  };
  return { state, ...pin(facts, latest) };
}

function resting(facts: Facts, state: CanaryState, latest: string, policy: CanaryPolicy): Plan {
  const { service, revisions } = facts;
  if (isNewer(facts, latest, state)) {
    const stable = takesLatest(service.spec.traffic) ? lastGood(state) : sole(service);
    if (stable && stable !== latest && find(revisions, stable)) return begin(facts, stable, latest, policy);
    const message = stable ? undefined : 'The traffic is divided by hand: this revision waits for it.';
    const phase = stable === latest ? 'Promoted' : 'Idle';
    const next: CanaryState = { phase, revisionName: latest, ...(stable && { stableRevisionName: stable }) };
    return { state: message ? { ...next, message } : next, ...pin(facts, latest) };
  }
  const failed = failedRevision(facts, state);
  if (failed) {
    const ready = conditionOf(failed, 'Ready');
    const why = [ready?.reason, ready?.message?.trimEnd()].filter(Boolean).join(': ');
    const message = `${failed.metadata.name} did not become ready: ${why}`;
    const stable = sole(service) ?? lastGood(state);
    return {
      state: { phase: 'RolledBack', revisionName: failed.metadata.name, stableRevisionName: stable, message },
      ...pin(facts, latest),
      event: { type: 'Warning', reason: 'CanaryRolledBack', message },
    };
  }
  return { state, ...pin(facts, latest) };
}

function progress(facts: Facts, state: CanaryState, latest: string, policy: CanaryPolicy): Plan {
  const { service, revisions, now } = facts;
  const { revisionName, stableRevisionName: stable = '', percent = 0 } = state;
  const { traffic } = service.spec;
  if (!asSet(service, state)) return byHand(facts, state, latest);
  const revision = find(revisions, revisionName);
  if (!revision || readiness(revision) === 'False') {
    const message = revision ? `${revisionName} is not ready any more` : `${revisionName} was deleted`;
    return rolledBack(state, only(traffic, stable), message);
  }
  if (isNewer(facts, latest, state)) return begin(facts, stable, latest, policy);
  const elapsed = now - Date.parse(state.stepStartedAt ?? '');
  const decision = decide(rulesOf(policy), percent, Number.isNaN(elapsed) ? 0 : elapsed, facts.tally);
  switch (decision.act) {
    case 'hold': {
      if (decision.forMs !== undefined) return { state, againMs: decision.forMs };
      const message = `Waits until ${rulesOf(policy).minRequests} requests were answered at ${percent} %.`;
      return { state: { ...state, message } };
    }
    case 'rollback':
      return rolledBack(state, only(traffic, stable), decision.message);
    case 'promote':
      return {
        state: { phase: 'Promoted', revisionName, stableRevisionName: revisionName, percent: ALL },
        traffic: only(traffic, revisionName),
        event: { type: 'Normal', reason: 'CanaryPromoted', message: `${revisionName} has all the traffic` },
      };
    case 'step':
      return step(facts, state, stable, decision.percent, policy);
  }
}

function begin(facts: Facts, stable: string, revisionName: string, policy: CanaryPolicy): Plan {
  const first = rulesOf(policy).steps[0] ?? ALL;
  return step(facts, { phase: 'Progressing', revisionName }, stable, first, policy);
}

function step(facts: Facts, state: CanaryState, stable: string, percent: number, policy: CanaryPolicy): Plan {
  const { revisionName } = state;
  return {
    state: {
      phase: 'Progressing',
      revisionName,
      stableRevisionName: stable,
      percent,
      stepStartedAt: new Date(facts.now).toISOString(),
    },
    traffic: divided(facts.service.spec.traffic, [
      { who: { revisionName: stable }, percent: ALL - percent },
      { who: { revisionName }, percent },
    ]),
    event: {
      type: 'Normal',
      reason: 'CanaryStep',
      message: `${revisionName} gets ${percent} % of the traffic`,
    },
    againMs: rulesOf(policy).intervalMs,
  };
}

function byHand(facts: Facts, state: CanaryState, latest: string): Plan {
  const { revisionName, stableRevisionName: stable } = state;
  const shares = percents(facts.service.spec.traffic, latest);
  const message = 'The traffic was changed by hand.';
  const next: CanaryState =
    shares.get(revisionName) === ALL
      ? { phase: 'Promoted', revisionName, stableRevisionName: revisionName, percent: ALL, message }
      : stable && shares.get(stable) === ALL
        ? { phase: 'RolledBack', revisionName, stableRevisionName: stable, percent: 0, message }
        : { phase: 'Idle', revisionName, ...(stable && { stableRevisionName: stable }), message };
  return { state: next, ...pin(facts, latest), event: ended(state, 'the traffic was changed by hand') };
}

function rolledBack(state: CanaryState, traffic: TrafficTarget[], message: string): Plan {
  const { revisionName, stableRevisionName } = state;
  return {
    state: { phase: 'RolledBack', revisionName, stableRevisionName, percent: 0, message },
    traffic,
    event: { type: 'Warning', reason: 'CanaryRolledBack', message: `${revisionName}: ${message}` },
  };
}

const ended = ({ revisionName }: CanaryState, why: string): Plan['event'] => ({
  type: 'Normal',
  reason: 'CanaryEnded',
  message: `the canary of ${revisionName} ended: ${why}`,
});

const only = (traffic: TrafficTarget[] | undefined, revisionName: string) =>
  divided(traffic, [{ who: { revisionName }, percent: ALL }]);

/** Names the latest in place of following it: the next revision is to begin small. */
function pin({ service }: Facts, latest: string): { traffic?: TrafficTarget[] } {
  const { traffic } = service.spec;
  if (!takesLatest(traffic)) return {};
  const shares = [...percents(traffic, latest)].map(([revisionName, percent]) => ({
    who: { revisionName },
    percent,
  }));
  return { traffic: divided(traffic, shares) };
}

/** The revision that has all the traffic, by name or as the latest. */
function sole({ spec, status }: Service): string | undefined {
  const [first, second] = percents(spec.traffic, status?.latestReadyRevisionName).keys();
  return second === undefined ? first : undefined;
}

/** Who had the traffic when all was well. */
function lastGood({ phase, revisionName, stableRevisionName }: CanaryState): string {
  return phase === 'Promoted' ? revisionName : (stableRevisionName ?? revisionName);
}

/** Whether the traffic is what the state says. */
function asSet(
  { spec, status }: Service,
  { revisionName, stableRevisionName = '', percent = 0 }: CanaryState,
): boolean {
  const shares = percents(spec.traffic, status?.latestReadyRevisionName);
  return (
    !takesLatest(spec.traffic) &&
    (shares.get(revisionName) ?? 0) === percent &&
    (shares.get(stableRevisionName) ?? 0) === ALL - percent
  );
}

const find = (revisions: readonly Revision[], name: string) =>
  revisions.find(({ metadata }) => metadata.name === name);

/** Whether the latest has not been considered yet. One that had failed to start and now has not is considered once more. */
function isNewer({ revisions }: Facts, latest: string, state: CanaryState): boolean {
  if (latest === state.revisionName) return state.phase === 'RolledBack' && state.percent === undefined;
  const known = find(revisions, state.revisionName);
  return known === undefined || generationOf(find(revisions, latest)) > generationOf(known);
}

/** The newest revision, when it has failed and that has not been said yet. */
function failedRevision({ service, revisions }: Facts, state: CanaryState): Revision | undefined {
  const name = service.status?.latestCreatedRevisionName;
  if (!name || name === state.revisionName || name === service.status?.latestReadyRevisionName)
    return undefined;
  const revision = find(revisions, name);
  return revision && readiness(revision) === 'False' ? revision : undefined;
}
