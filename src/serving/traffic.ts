/** From the traffic that a Route asks for to the revisions that get it. Rules of upstream's `route/traffic`. */
import { conditionOf, readiness } from '../kinds/conditions.ts';
import type { Configuration, Revision, Route, TrafficTarget } from '../kinds/serving.ts';
import { LABELS } from './names.ts';

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

export type TrafficResult = { targets: TrafficTarget[] } | { problem: TrafficProblem };

const isProblem = (value: TrafficTarget | TrafficProblem): value is TrafficProblem => 'message' in value;

/** Every target with its revision (without `url`), or what is wrong; a failure outweighs what is only not ready yet. */
export function resolveTraffic(route: Route, sources: TrafficSources): TrafficResult {
  const targets: TrafficTarget[] = [];
  let problem: TrafficProblem | undefined;
  for (const asked of route.spec.traffic ?? []) {
    const found = asked.revisionName ? byRevision(route, asked, sources) : byConfiguration(asked, sources);
    if (isProblem(found)) {
      if (!problem || found.status === 'False') problem = found;
    } else merge(targets, found);
  }
  return problem ? { problem } : { targets };
}

function byConfiguration(asked: TrafficTarget, sources: TrafficSources): TrafficTarget | TrafficProblem {
  const name = asked.configurationName ?? '';
  const configuration = sources.configuration(name);
  if (!configuration) return missing('Configuration', name);
  const latest = configuration.status?.latestReadyRevisionName;
  if (!latest) {
    return conditionOf(configuration, 'Ready')?.status === 'False'
      ? {
          status: 'False',
          reason: 'RevisionMissing',
          message: `Configuration "${name}" does not have any ready Revision.`,
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
): TrafficTarget | TrafficProblem {
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
): TrafficTarget | TrafficProblem {
  const revision = sources.revision(name);
  if (!revision) return missing('Revision', name);
  if (readiness(revision) !== 'True') {
    return conditionOf(revision, 'Ready')?.status === 'False'
      ? { status: 'False', reason: 'RevisionMissing', message: `Revision "${name}" failed to become ready.` }
      : { status: 'Unknown', reason: 'RevisionMissing', message: `Revision "${name}" is not yet ready.` };
  }
  const target: TrafficTarget = {
    revisionName: name,
    latestRevision: asked.latestRevision ?? !asked.revisionName,
    percent: asked.percent ?? 0,
  };
  return asked.tag ? { tag: asked.tag, ...target } : target;
}

function missing(kind: 'Configuration' | 'Revision', name: string): TrafficProblem {
  return {
    status: 'False',
    reason: `${kind}Missing`,
    message: `${kind} "${name}" referenced in traffic not found.`,
  };
}

/** Two targets for the same revision under the same tag are one. */
function merge(targets: TrafficTarget[], found: TrafficTarget): void {
  const same = targets.find(
    (target) =>
      target.tag === found.tag &&
      target.revisionName === found.revisionName &&
      target.latestRevision === found.latestRevision,
  );
  if (same) same.percent = (same.percent ?? 0) + (found.percent ?? 0);
  else targets.push(found);
}

/** How the traffic of the main host is split: one entry per revision that gets any. */
export function splitOf(targets: TrafficTarget[]): Map<string, number> {
  const split = new Map<string, number>();
  for (const { revisionName = '', percent = 0 } of targets) {
    if (percent > 0) split.set(revisionName, (split.get(revisionName) ?? 0) + percent);
  }
  return split;
}
