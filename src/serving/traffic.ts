/** From the traffic that a Route asks for to the revisions that get it. Rules of upstream's `route/traffic`. */
import { conditionOf, readiness } from '../kinds/conditions.ts';
import type { Configuration, Revision, Route, TrafficTarget } from '../kinds/serving.ts';
import { LABELS } from './names.ts';
import { type ConfigurationRollout, type Rollout, rolloutOf } from './rollout.ts';

/** What the targets refer to, in the Route's namespace. */
export interface TrafficSources {
  configuration(name: string): Configuration | undefined;
  revision(name: string): Revision | undefined;
}

/** Why the traffic cannot be assigned as asked: what goes into the condition `AllTrafficAssigned`. */
export interface TrafficProblem {
  status: 'False' | 'Unknown';
  reason: string;
  message: string;
}

/** A target with its revision; `configurationName` stays where the revision is that Configuration's latest. */
export interface ResolvedTarget {
  tag?: string;
  revisionName: string;
  configurationName?: string;
  latestRevision: boolean;
  percent: number;
}

export type TrafficResult = { targets: ResolvedTarget[] } | { problem: TrafficProblem };

const isProblem = (value: ResolvedTarget | TrafficProblem): value is TrafficProblem => 'message' in value;

/** Every target with its revision, or what is wrong; a failure outweighs what is only not ready yet. */
export function resolveTraffic(route: Route, sources: TrafficSources): TrafficResult {
  const targets: ResolvedTarget[] = [];
  let problem: TrafficProblem | undefined;
  for (const asked of route.spec.traffic ?? []) {
    const found = asked.revisionName ? byRevision(route, asked, sources) : byConfiguration(asked, sources);
    if (isProblem(found)) {
      if (!problem || found.status === 'False') problem = found;
    } else merge(targets, found);
  }
  return problem ? { problem } : { targets };
}

/** What a Route says of a Configuration that has failed and has nothing from before. */
export const noReadyRevision = (configuration: string): string =>
  `Configuration "${configuration}" does not have any ready Revision.`;

function byConfiguration(asked: TrafficTarget, sources: TrafficSources): ResolvedTarget | TrafficProblem {
  const name = asked.configurationName ?? '';
  const configuration = sources.configuration(name);
  if (!configuration) return missing('Configuration', name);
  const latest = configuration.status?.latestReadyRevisionName;
  if (!latest) {
    return conditionOf(configuration, 'Ready')?.status === 'False'
      ? {
          status: 'False',
          reason: 'RevisionMissing',
          message: noReadyRevision(name),
        }
      : {
          status: 'Unknown',
          reason: 'RevisionMissing',
          message: `Configuration "${name}" is waiting for a Revision to become ready.`,
        };
  }
  return routable(asked, latest, sources);
}

function byRevision(
  route: Route,
  asked: TrafficTarget,
  sources: TrafficSources,
): ResolvedTarget | TrafficProblem {
  const name = asked.revisionName ?? '';
  const revision = sources.revision(name);
  if (!revision) return missing('Revision', name);
  const expected = route.metadata.labels?.[LABELS.service];
  const actual = revision.metadata.labels?.[LABELS.service];
  if (expected && expected !== actual) {
    const message = actual
      ? `Revision "${name}" belongs to Service "${actual}", not Service "${expected}".`
      : `Revision "${name}" does not belong to Service "${expected}".`;
    return { status: 'False', reason: 'RevisionNotOwned', message };
  }
  const found = routable(asked, name, sources);
  const configuration = revision.metadata.labels?.[LABELS.configuration];
  if (!isProblem(found) && configuration && !sources.configuration(configuration)) {
    return missing('Configuration', configuration);
  }
  return found;
}

function routable(
  asked: TrafficTarget,
  name: string,
  sources: TrafficSources,
): ResolvedTarget | TrafficProblem {
  const revision = sources.revision(name);
  if (!revision) return missing('Revision', name);
  if (readiness(revision) !== 'True') {
    return conditionOf(revision, 'Ready')?.status === 'False'
      ? { status: 'False', reason: 'RevisionMissing', message: `Revision "${name}" failed to become ready.` }
      : { status: 'Unknown', reason: 'RevisionMissing', message: `Revision "${name}" is not yet ready.` };
  }
  return {
    ...(asked.tag && { tag: asked.tag }),
    revisionName: name,
    ...(asked.configurationName && { configurationName: asked.configurationName }),
    latestRevision: asked.latestRevision ?? !asked.revisionName,
    percent: asked.percent ?? 0,
  };
}

function missing(kind: 'Configuration' | 'Revision', name: string): TrafficProblem {
  return {
    status: 'False',
    reason: `${kind}Missing`,
    message: `${kind} "${name}" referenced in traffic not found.`,
  };
}

/** Two targets for the same revision under the same tag are one. */
function merge(targets: ResolvedTarget[], found: ResolvedTarget): void {
  const same = targets.find(
    (target) =>
      target.tag === found.tag &&
      target.revisionName === found.revisionName &&
      target.latestRevision === found.latestRevision,
  );
  if (same) same.percent += found.percent;
  else targets.push(found);
}

/** The targets of the Route's own name (`tag` empty: all of them) or of one tag, which gets all that goes there. */
function group(targets: readonly ResolvedTarget[], tag: string): ResolvedTarget[] {
  if (tag === '') return [...targets];
  return targets.filter((target) => target.tag === tag).map((target) => ({ ...target, percent: 100 }));
}

/** The tags of the targets, each once. */
export function tagsOf(targets: readonly { tag?: string }[]): string[] {
  return [...new Set(targets.flatMap(({ tag }) => (tag ? [tag] : [])))];
}

/** What a rollout leads to: every Configuration whose latest revision gets traffic, at its newest ready revision. */
export function rolloutGoal(targets: readonly ResolvedTarget[]): Rollout {
  const configurations: ConfigurationRollout[] = [];
  for (const tag of ['', ...tagsOf(targets).sort()]) {
    const found = new Map<string, ConfigurationRollout>();
    for (const { configurationName, latestRevision, revisionName, percent } of group(targets, tag)) {
      if (!latestRevision || !configurationName || percent === 0) continue;
      const sum = (found.get(configurationName)?.percent ?? 0) + percent;
      found.set(configurationName, {
        configurationName,
        ...(tag && { tag }),
        percent: sum,
        revisions: [{ revisionName, percent: sum }],
        stepParams: {},
      });
    }
    configurations.push(
      ...[...found.values()].sort((a, b) => (a.configurationName < b.configurationName ? -1 : 1)),
    );
  }
  return { configurations };
}

/** How the traffic of the Route's own host (`tag` empty) or of a tag is split: one entry per revision that gets any. */
export function splitOf(targets: readonly ResolvedTarget[], rollout: Rollout, tag = ''): Map<string, number> {
  const split = new Map<string, number>();
  const add = (revision: string, percent: number) => {
    if (percent > 0) split.set(revision, (split.get(revision) ?? 0) + percent);
  };
  const told = new Set<string>();
  for (const { configurationName = '', latestRevision, revisionName, percent } of group(targets, tag)) {
    const under = latestRevision ? rolloutOf(rollout, tag, configurationName) : undefined;
    if (!under || under.revisions.length < 2) add(revisionName, percent);
    else if (!told.has(configurationName)) {
      told.add(configurationName);
      for (const share of under.revisions) add(share.revisionName, share.percent);
    }
  }
  return split;
}

/** `status.traffic`: the targets, or while a rollout is under way the revisions that share their traffic. */
export function trafficStatus(
  targets: readonly ResolvedTarget[],
  rollout: Rollout,
  url: (tag: string) => string,
): TrafficTarget[] {
  return targets.flatMap(({ tag = '', configurationName = '', latestRevision, revisionName, percent }) => {
    const under = latestRevision ? rolloutOf(rollout, tag, configurationName) : undefined;
    const shares = under && under.revisions.length > 1 ? under.revisions : [{ revisionName, percent }];
    return shares.map((share) => ({
      latestRevision,
      percent: share.percent,
      revisionName: share.revisionName,
      ...(tag && { tag, url: url(tag) }),
    }));
  });
}
