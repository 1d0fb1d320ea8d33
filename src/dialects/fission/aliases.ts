/** What an alias tells of itself: the version that it means, those it meant before, and whether the Environment has moved on since. Pure. */
import { timestamp } from '../../base/clock.ts';
import { type Finding, found, withFindings } from './conditions.ts';
import type { Environment, FunctionAlias, FunctionVersion, Problem } from './model.ts';

/** Former targets that an alias remembers. */
const HISTORY = 20;

/** Whether the Environment is the one that the version was published with; what runs is always today's. */
function drift(version: FunctionVersion, environment: Environment): Finding {
  const { envObservedGeneration: then, envRuntimeImage: image } = version.spec;
  const { generation: now, name } = environment.metadata;
  if (then === now)
    return { ...found('EnvDrift', { reason: 'EnvCurrent', message: '' }), message: 'As it was published.' };
  const changed =
    image && image !== environment.spec.runtime.image
      ? ` Its image was "${image}", and is "${environment.spec.runtime.image}".`
      : '';
  return {
    type: 'EnvDrift',
    status: 'True',
    reason: 'EnvGenerationDrift',
    message: `The Environment "${name}" has changed since "${version.metadata.name}" was published (generation ${then}, now ${now}).${changed}`,
  };
}

export interface AliasFacts {
  /** Name of the version that it means now. */
  resolved: string | undefined;
  problem: Problem | undefined;
  version(name: string): FunctionVersion | undefined;
  /** The Environment of a version's snapshot. */
  environmentOf(version: FunctionVersion): Environment | undefined;
}

/** `now`: milliseconds since the epoch. */
export function aliasStatus(
  { status = {}, metadata: { generation } }: FunctionAlias,
  { resolved, problem, version, environmentOf }: AliasFacts,
  now: number,
): NonNullable<FunctionAlias['status']> {
  const before = status.resolvedVersion;
  const packageDigest = before && version(before)?.spec.packageDigest;
  const history =
    before && resolved && before !== resolved
      ? [
          ...(status.history ?? []),
          { version: before, ...(packageDigest ? { packageDigest } : {}), switchedAt: timestamp(now) },
        ].slice(-HISTORY)
      : status.history;
  const current = resolved === undefined ? undefined : version(resolved);
  const environment = current && environmentOf(current);
  const findings = [found('Resolved', problem)];
  if (current?.spec.envObservedGeneration !== undefined && environment !== undefined)
    findings.push(drift(current, environment));
  const known = status.conditions?.filter(({ type }) => type !== 'EnvDrift' || findings.length > 1);
  return {
    ...(resolved ? { resolvedVersion: resolved } : {}),
    ...(history ? { history } : {}),
    conditions: withFindings(known, findings, generation, now),
  };
}
