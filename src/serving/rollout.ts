/**
 * Gradual rollout: a Configuration's new revision takes the traffic in steps. The arithmetic, and the names of the fields that are
 * kept in the Ingress's annotation, are those of upstream's `route/traffic/rollout.go`. Times are nanoseconds since the epoch.
 */

export interface RevisionShare {
  revisionName: string;
  /** Of the whole Route's traffic. */
  percent: number;
}

export interface StepParams {
  /** When the newest revision got its first percent. */
  starttime?: number;
  nextStepTime?: number;
  /** Nanoseconds between two steps. */
  stepDuration?: number;
  /** Percent moved by one step. */
  stepSize?: number;
}

/** The traffic that one Configuration gets, by the Route's own name or by one of its tags. */
export interface ConfigurationRollout {
  configurationName: string;
  tag?: string;
  percent: number;
  /** Oldest first; one when nothing is under way. */
  revisions: RevisionShare[];
  stepParams: StepParams;
}

/** Sorted by tag, then by Configuration. */
export interface Rollout {
  configurations: ConfigurationRollout[];
}

const SECOND = 1e9;

/** Whether each Configuration's traffic has arrived at one revision. */
export function isDone({ configurations }: Rollout): boolean {
  return configurations.every(({ revisions }) => revisions.length < 2);
}

/** The state for one tag (empty: the Route itself) and Configuration. */
export function rolloutOf(
  rollout: Rollout,
  tag: string,
  configuration: string,
): ConfigurationRollout | undefined {
  return rollout.configurations.find(
    (one) => (one.tag ?? '') === tag && one.configurationName === configuration,
  );
}

/** What the annotation says; undefined for what cannot be: then the rollout is over at once. */
export function parseRollout(text: string | undefined): Rollout | undefined {
  if (!text) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Rollout>;
    const rollout = { configurations: value.configurations ?? [] };
    return isValid(rollout) ? rollout : undefined;
  } catch {
    return undefined;
  }
}

function isValid({ configurations }: Rollout): boolean {
  return (
    Array.isArray(configurations) &&
    configurations.every(({ configurationName, percent, revisions = [], stepParams }) => {
      const step = stepParams?.stepSize ?? 0;
      const total = revisions.reduce((sum, one) => sum + one.percent, 0);
      return (
        typeof configurationName === 'string' &&
        percent <= 100 &&
        step >= 0 &&
        step <= percent &&
        total === percent
      );
    })
  );
}

/** A rollout that has begun gets its steps, once the first percent is known to be served. `seconds`: how long all of it may take. */
export function observeReady({ configurations }: Rollout, now: number, seconds: number): Rollout {
  return {
    configurations: configurations.map((one) => {
      const { starttime = 0, stepDuration = 0 } = one.stepParams;
      if (stepDuration !== 0 || starttime === 0) return one;
      const minStep = Math.max(1, Math.ceil((now - starttime) / SECOND));
      return { ...one, stepParams: { starttime, ...steps(one.percent, now, minStep, seconds) } };
    }),
  };
}

/** `minStep`: seconds that one step needs at least, as long as the first percent took. */
function steps(percent: number, now: number, minStep: number, seconds: number): StepParams {
  const duration = Math.max(1, seconds - minStep);
  const remaining = percent - 1;
  const count = Math.min(Math.max(1, duration / minStep), remaining);
  const stepDuration = Math.trunc((duration / count) * SECOND);
  return { stepDuration, stepSize: Math.round(remaining / count), nextStepTime: now + stepDuration };
}

/** From the last state towards `goal`. `next`: when there is something to do again, if ever. */
export function step(
  goal: Rollout,
  previous: Rollout | undefined,
  now: number,
): { rollout: Rollout; next: number | undefined } {
  if (!previous || previous.configurations.length === 0) return { rollout: goal, next: undefined };
  let next: number | undefined;
  const configurations = goal.configurations.map((one) => {
    const before = rolloutOf(previous, one.tag ?? '', one.configurationName);
    // With one percent there is nothing to divide.
    if (!before || one.percent <= 1) return one;
    const result = advance(one, before, now);
    const due = result.stepParams.nextStepTime;
    if (due) next = Math.min(next ?? due, due);
    return result;
  });
  return { rollout: sorted(configurations), next };
}

function advance(
  goal: ConfigurationRollout,
  before: ConfigurationRollout,
  now: number,
): ConfigurationRollout {
  const shares = adjusted(before, goal.percent);
  const newest = goal.revisions[0]!;
  if (shares.length === 0) return { ...goal, stepParams: {} };
  if (newest.revisionName === shares.at(-1)!.revisionName) {
    if (shares.length === 1) return { ...goal, stepParams: {} };
    const going = { ...goal, revisions: shares, stepParams: before.stepParams };
    const { stepSize = 0, nextStepTime = 0 } = before.stepParams;
    return stepSize > 0 && now >= nextStepTime ? stepped(going, now) : going;
  }
  // The first percent comes from the newest revision that has any.
  const giver = shares.findLastIndex(({ percent }) => percent > 0);
  const rest = shares.map((one, index) => (index === giver ? { ...one, percent: one.percent - 1 } : one));
  return {
    ...goal,
    revisions: [...rest.filter(({ percent }) => percent > 0), { ...newest, percent: 1 }],
    stepParams: { starttime: now },
  };
}

/** The shares after the Configuration's own percentage has changed: more goes to the newest, less is taken from the oldest first. */
function adjusted({ revisions, percent }: ConfigurationRollout, goal: number): RevisionShare[] {
  if (goal === 0 || revisions.length === 0) return [];
  if (goal >= percent) {
    const last = revisions.at(-1)!;
    return [...revisions.slice(0, -1), { ...last, percent: last.percent + goal - percent }];
  }
  let less = percent - goal;
  const left: RevisionShare[] = [];
  for (const one of revisions) {
    const taken = Math.min(less, one.percent);
    less -= taken;
    if (one.percent > taken) left.push({ ...one, percent: one.percent - taken });
  }
  return left;
}

/** Moves one step's worth to the newest, from the second newest backwards. */
function stepped(going: ConfigurationRollout, now: number): ConfigurationRollout {
  const { stepSize = 0, stepDuration = 0 } = going.stepParams;
  const older = going.revisions.slice(0, -1);
  const newest = going.revisions.at(-1)!;
  let remaining = stepSize;
  while (remaining > 0 && older.length > 0) {
    const giver = older.pop()!;
    if (giver.percent > remaining) older.push({ ...giver, percent: giver.percent - remaining });
    remaining -= Math.min(remaining, giver.percent);
  }
  const percent = Math.min(going.percent, newest.percent + stepSize);
  return {
    ...going,
    revisions: [...older, { ...newest, percent }],
    stepParams: older.length > 0 ? { ...going.stepParams, nextStepTime: now + stepDuration } : {},
  };
}

function sorted(configurations: ConfigurationRollout[]): Rollout {
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return {
    configurations: configurations.toSorted(
      (a, b) => order(a.tag ?? '', b.tag ?? '') || order(a.configurationName, b.configurationName),
    ),
  };
}
