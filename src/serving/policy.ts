/** A TrafficPolicy as the gateway takes it: tags resolved, defaults filled in, times in milliseconds. Pure. */
import type { RevisionEntry, RevisionKey, RoutePolicy, RouteRule, ValueMatch } from '../gateway/contract.ts';
import type {
  PolicyTarget,
  RequestKey,
  TrafficPolicySpec,
  ValueMatch as WantedMatch,
} from '../kinds/traffic-policy.ts';

/** What a policy says of the revisions that its Route leads to. */
export type RevisionTerms = Pick<RevisionEntry, 'balancing' | 'outcomes' | 'outliers'>;

export interface PolicySurroundings {
  namespace: string;
  /** Name of the Route that the policy is about. */
  route: string;
  /** Tag → name of the revision behind it. */
  tags: ReadonlyMap<string, string>;
  revisionExists(name: string): boolean;
}

export interface TranslatedPolicy {
  policy: RoutePolicy;
  /** Revisions to which rules and mirror lead, whatever the percentages are. */
  revisions: RevisionKey[];
  terms: RevisionTerms;
  /** What cannot be done, for people; the rest of the policy holds nevertheless. */
  problems: string[];
}

const SECOND = 1000;
const COOKIE = 'petrel-session';
const RETRIES = { attempts: 2, on: ['connect-failure', 'reset', '503'], budgetPercent: 20 } as const;
const OUTLIERS = { consecutiveErrors: 5, baseEjectionSeconds: 30, maxEjectionPercent: 50 };
const BREAKER = { minRequests: 20, openSeconds: 5 };

/** Translates for the gateway: seconds to milliseconds, tags to revisions, defaults filled in. Throws nothing: see `problems`. */
export function translatePolicy(spec: TrafficPolicySpec, around: PolicySurroundings): TranslatedPolicy {
  const problems: string[] = [];
  const revisions = new Set<RevisionKey>();
  const resolve = (target: PolicyTarget): RevisionKey | undefined => {
    const name = target.revisionName ?? around.tags.get(target.tag ?? '');
    if (name === undefined)
      problems.push(`Tag "${target.tag ?? ''}" is not among the tags of Route "${around.route}".`);
    else if (!around.revisionExists(name)) problems.push(`Revision "${name}" not found.`);
    else {
      const key = `${around.namespace}/${name}`;
      revisions.add(key);
      return key;
    }
    return undefined;
  };
  const rules = (spec.rules ?? []).flatMap(({ match, to }): RouteRule[] => {
    const revision = resolve(to);
    if (revision === undefined) return [];
    return [
      {
        headers: (match.headers ?? []).map((one) => matchOf(one, one.name.toLowerCase())),
        cookies: (match.cookies ?? []).map((one) => matchOf(one, one.name)),
        ...(match.pathPrefix !== undefined && { pathPrefix: match.pathPrefix }),
        revision,
      },
    ];
  });
  const mirrored = spec.mirror && resolve(spec.mirror.to);
  const { sessionAffinity: affinity, timeouts } = spec;
  const policy: RoutePolicy = {
    ...(rules.length > 0 && { rules }),
    ...(affinity && {
      affinity: { cookie: affinity.cookie ?? COOKIE, ...milliseconds('ttlMs', affinity.ttlSeconds) },
    }),
    ...(mirrored && { mirror: { revision: mirrored, percent: spec.mirror?.percent ?? 100 } }),
    ...retriesOf(spec),
    ...(timeouts && {
      timeouts: {
        ...milliseconds('timeoutMs', timeouts.requestSeconds),
        ...milliseconds('responseStartTimeoutMs', timeouts.responseStartSeconds),
        ...milliseconds('idleTimeoutMs', timeouts.idleSeconds),
      },
    }),
    ...limitOf(spec),
    ...breakerOf(spec),
  };
  return { policy, revisions: [...revisions], terms: termsOf(spec), problems };
}

function retriesOf({ retries }: TrafficPolicySpec): Pick<RoutePolicy, 'retries'> {
  const attempts = retries?.attempts ?? RETRIES.attempts;
  if (!retries || attempts === 0) return {};
  return {
    retries: {
      attempts,
      on: retries.on?.length ? [...retries.on] : [...RETRIES.on],
      budgetPercent: retries.budgetPercent ?? RETRIES.budgetPercent,
      ...milliseconds('perTryTimeoutMs', retries.perTryTimeoutSeconds),
    },
  };
}

function limitOf({ rateLimit }: TrafficPolicySpec): Pick<RoutePolicy, 'rateLimit'> {
  if (!rateLimit) return {};
  const { requests, seconds = 1, burst = requests, key = {} } = rateLimit;
  return { rateLimit: { requests, periodMs: seconds * SECOND, burst, key: keyOf(key) } };
}

function breakerOf({ circuitBreaker: breaker }: TrafficPolicySpec): Pick<RoutePolicy, 'breaker'> {
  if (!breaker) return {};
  return {
    breaker: {
      ...(breaker.errorPercent !== undefined && { errorPercent: breaker.errorPercent }),
      minRequests: breaker.minRequests ?? BREAKER.minRequests,
      openMs: (breaker.openSeconds ?? BREAKER.openSeconds) * SECOND,
      ...(breaker.maxInFlight !== undefined && { maxInFlight: breaker.maxInFlight }),
    },
  };
}

function termsOf({ loadBalancing, outlierDetection, canary }: TrafficPolicySpec): RevisionTerms {
  const outliers = outlierDetection && { ...OUTLIERS, ...outlierDetection };
  return {
    ...(loadBalancing && {
      balancing: {
        policy: loadBalancing.policy ?? 'LeastLoaded',
        ...(loadBalancing.hashOn && { hashOn: keyOf(loadBalancing.hashOn) }),
        ...(loadBalancing.zoneAware !== undefined && { zoneAware: loadBalancing.zoneAware }),
      },
    }),
    ...(outliers && {
      outliers: {
        consecutiveErrors: outliers.consecutiveErrors,
        baseEjectionMs: outliers.baseEjectionSeconds * SECOND,
        maxEjectionPercent: outliers.maxEjectionPercent,
      },
    }),
    ...(canary && { outcomes: true }),
  };
}

function matchOf({ type = 'Exact', value }: WantedMatch, name: string): ValueMatch {
  return { name, type, ...(value !== undefined && type !== 'Present' && { value }) };
}

function keyOf({ header, cookie }: RequestKey): RequestKey {
  return header === undefined
    ? { ...(cookie !== undefined && { cookie }) }
    : { header: header.toLowerCase() };
}

function milliseconds<K extends string>(name: K, seconds: number | undefined): { [key in K]?: number } {
  return seconds === undefined ? {} : ({ [name]: seconds * SECOND } as { [key in K]?: number });
}
