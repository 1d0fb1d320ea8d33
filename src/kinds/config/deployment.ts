/** `config-deployment`: how Revisions become instances. Source: knative.dev/serving `pkg/deployment/config.go`. */
import { formatGoDuration } from '../go-duration.ts';
import { dns1123Subdomain } from '../name.ts';
import {
  bool,
  type ConfigData,
  ConfigMapError,
  duration,
  field,
  list,
  quantity,
  readFields,
  requireAll,
  text,
  textMap,
  yaml,
} from './read.ts';

/** Durations in milliseconds. What only a queue-proxy container would use is checked and otherwise ignored. */
export interface DeploymentConfig {
  progressDeadlineMs: number;
  digestResolutionTimeoutMs: number;
  registriesSkippingTagResolving: string[];
  podIsAlwaysSchedulable: boolean;
  defaultAffinityType: string;
  /** Runtime class → the labels that a Revision needs to get it. */
  runtimeClassNames: Record<string, Record<string, string>>;
}

const AFFINITIES = ['none', 'prefer-spread-revision-over-nodes'];

function affinity(raw: string): string {
  if (!AFFINITIES.includes(raw))
    throw new ConfigMapError(`unsupported default-affinity-type value: ${JSON.stringify(raw)}`);
  return raw;
}

function runtimeClasses(raw: string): Record<string, Record<string, string>> {
  const value = yaml(raw);
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error('must be a map of runtime classes');
  return Object.fromEntries(
    Object.entries(value).map(([name, rule]: [string, { selector?: unknown } | null]) => {
      const problems = dns1123Subdomain(name);
      if (problems.length > 0)
        throw new ConfigMapError(
          `runtime-class-name ${name} selector not valid DNSSubdomain: [${problems.join(' ')}]`,
        );
      return [name, textMap(rule?.selector, 'selector')];
    }),
  );
}

const FIELDS = {
  progressDeadlineMs: field(duration, 600_000, 'progressDeadline', 'progress-deadline'),
  digestResolutionTimeoutMs: field(duration, 10_000, 'digestResolutionTimeout', 'digest-resolution-timeout'),
  registriesSkippingTagResolving: field(
    list,
    ['kind.local', 'ko.local', 'dev.local'],
    'registriesSkippingTagResolving',
    'registries-skipping-tag-resolving',
  ),
  podIsAlwaysSchedulable: field(bool, false, 'pod-is-always-schedulable'),
  defaultAffinityType: field(affinity, 'prefer-spread-revision-over-nodes', 'default-affinity-type'),
  runtimeClassNames: field(runtimeClasses, {}, 'runtime-class-name'),
};

const UNUSED = {
  image: field(text, '', 'queueSidecarImage', 'queue-sidecar-image'),
  ...Object.fromEntries(
    ['cpu', 'memory', 'ephemeral-storage'].flatMap((resource) =>
      ['request', 'limit'].map((bound) => {
        const key = `queue-sidecar-${resource}-${bound}`;
        return [key, field(quantity, '', key)];
      }),
    ),
  ),
};

/** Throws `ConfigMapError`. */
export function parseConfigDeployment(data: ConfigData = {}): DeploymentConfig {
  const c = readFields(FIELDS, data);
  readFields(UNUSED, data);
  const deadline = c.progressDeadlineMs;
  const digest = c.digestResolutionTimeoutMs;
  requireAll(
    [
      deadline > 0,
      () => `progress-deadline cannot be a non-positive duration, was ${formatGoDuration(deadline)}`,
    ],
    [
      deadline % 1000 === 0,
      () => `progress-deadline must be rounded to a whole second, was: ${formatGoDuration(deadline)}`,
    ],
    [
      digest > 0,
      () => `digest-resolution-timeout cannot be a non-positive duration, was ${formatGoDuration(digest)}`,
    ],
  );
  return c;
}

/** The runtime class of a Revision with these labels: the most specific selector, then the first in the alphabet. */
export function runtimeClassFor(
  { runtimeClassNames }: DeploymentConfig,
  labels: Record<string, string> = {},
): string | undefined {
  const matching = Object.entries(runtimeClassNames).filter(([, selector]) =>
    Object.entries(selector).every(([key, value]) => labels[key] === value),
  );
  const weight = (selector: Record<string, string>): number => Object.keys(selector).length;
  matching.sort(([a, x], [b, y]) => weight(y) - weight(x) || (a < b ? -1 : 1));
  return matching[0]?.[0];
}
