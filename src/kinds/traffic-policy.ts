/**
 * `petrel.dev/v1` TrafficPolicy: what Knative's Route cannot say about the requests of one Service. Attached by
 * `targetRef`, as Gateway API policies are (GEP-713); a target has at most one, the oldest wins. All times in seconds.
 */
import type { Condition, KubeObject } from './object.ts';

export interface TrafficPolicy extends KubeObject {
  apiVersion: 'petrel.dev/v1';
  kind: 'TrafficPolicy';
  spec: TrafficPolicySpec;
  status?: TrafficPolicyStatus;
}

export interface TrafficPolicySpec {
  /** A Knative Service (or Function, or Route without a Service) of the policy's namespace. */
  targetRef: { kind: 'Service' | 'Function' | 'Route'; name: string };
  /** Asked in this order before the percentages; the first that matches decides. */
  rules?: TrafficRule[];
  /** Keeps a client on the revision, and where possible the instance, that it first got. */
  sessionAffinity?: { cookie?: string; ttlSeconds?: number };
  /** A copy of requests goes to this target as well; its answers are thrown away and never awaited. */
  mirror?: { to: PolicyTarget; percent?: number };
  loadBalancing?: {
    /** Default LeastLoaded: the less loaded of two chosen at random. */
    policy?: 'LeastLoaded' | 'RingHash';
    /** What RingHash hashes; absent is the client's address. */
    hashOn?: RequestKey;
    /** Prefers instances of the gateway's own zone while they have room. */
    zoneAware?: boolean;
  };
  outlierDetection?: {
    /** Failures (5xx, broken connection) in a row until an instance is ejected. Default 5. */
    consecutiveErrors?: number;
    /** First ejection; the nth lasts n times as long. Default 30. */
    baseEjectionSeconds?: number;
    /** At most so many of the instances are ejected at once. Default 50. */
    maxEjectionPercent?: number;
  };
  retries?: {
    /** Further attempts; 0 switches retries off. Default 2. */
    attempts?: number;
    /** When. Requests with a body that was already passed on, and methods that are not idempotent, are retried only for `connect-failure`. */
    on?: ('connect-failure' | 'reset' | '502' | '503' | '504' | '5xx')[];
    /** Retries may be at most this part of the requests in the last ten seconds. Default 20. */
    budgetPercent?: number;
    perTryTimeoutSeconds?: number;
  };
  /** Override those of the revision. */
  timeouts?: { requestSeconds?: number; responseStartSeconds?: number; idleSeconds?: number };
  /** GCRA: `requests` per `seconds` for each key, in bursts of at most `burst` (default `requests`). Refused with 429 and Retry-After. */
  rateLimit?: { requests: number; seconds?: number; burst?: number; key?: RequestKey };
  circuitBreaker?: {
    /** Opens when this part of at least `minRequests` within ten seconds failed. */
    errorPercent?: number;
    minRequests?: number;
    /** How long it stays open before one request may try. Default 5. */
    openSeconds?: number;
    /** Requests of the target in flight at once; more are refused with 503. */
    maxInFlight?: number;
  };
  /** A new revision takes the traffic step by step, or not at all. */
  canary?: CanaryPolicy;
}

/** `revisionName`, or the revision behind the `tag`. Exactly one. */
export interface PolicyTarget {
  tag?: string;
  revisionName?: string;
}

export interface TrafficRule {
  match: {
    headers?: ValueMatch[];
    cookies?: ValueMatch[];
    pathPrefix?: string;
  };
  to: PolicyTarget;
}

/** A value to match; `Present` needs none. Names of headers are case-insensitive. */
export interface ValueMatch {
  name: string;
  type?: 'Exact' | 'Prefix' | 'RegularExpression' | 'Present';
  value?: string;
}

/** What tells clients apart: a header, a cookie, or (neither) the client's address. */
export interface RequestKey {
  header?: string;
  cookie?: string;
}

export interface CanaryPolicy {
  /** Percentages, rising, below 100. Default 5, 25, 50. */
  steps?: number[];
  /** Each step lasts this long, and until `minRequests` were answered. Default 30. */
  intervalSeconds?: number;
  minRequests?: number;
  /** Rolled back when more of the canary's answers than this are 5xx. Default 1. */
  maxErrorPercent?: number;
  /** Rolled back when `latencyPercentile` (default 95) of the canary's answers takes longer. */
  maxLatencyMs?: number;
  latencyPercentile?: number;
}

export interface TrafficPolicyStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  canary?: {
    phase: 'Idle' | 'Progressing' | 'Promoted' | 'RolledBack';
    revisionName?: string;
    stableRevisionName?: string;
    percent?: number;
    message?: string;
    stepStartedAt?: string;
  };
}
