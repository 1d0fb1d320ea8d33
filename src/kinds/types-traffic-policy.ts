/** Types of TrafficPolicy, in the form of the type table (`type-table.ts`); `traffic-policy.ts` says what the fields mean. */
import type { TypeTexts } from './type-table.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

export const TRAFFIC_POLICY_TYPES: TypeTexts = {
  TrafficPolicy: {
    '': 'kind',
    metadata: `0 ${META}.ObjectMeta o ?`,
    spec: '0 TrafficPolicySpec',
    status: '0 TrafficPolicyStatus o ?',
  },
  TrafficPolicySpec: {
    targetRef: '0 PolicyTargetRef',
    rules: '0 []TrafficRule o ? l=atomic',
    sessionAffinity: '0 SessionAffinity * o ?',
    mirror: '0 Mirror * o ?',
    loadBalancing: '0 LoadBalancing * o ?',
    outlierDetection: '0 OutlierDetection * o ?',
    retries: '0 Retries * o ?',
    timeouts: '0 Timeouts * o ?',
    rateLimit: '0 RateLimit * o ?',
    circuitBreaker: '0 CircuitBreaker * o ?',
    canary: '0 CanaryPolicy * o ?',
  },
  PolicyTargetRef: { kind: '0 string', name: '0 string' },
  PolicyTarget: { tag: '0 string o ?', revisionName: '0 string o ?' },
  TrafficRule: { match: '0 TrafficMatch', to: '0 PolicyTarget' },
  TrafficMatch: {
    headers: '0 []ValueMatch o ? l=atomic',
    cookies: '0 []ValueMatch o ? l=atomic',
    pathPrefix: '0 string o ?',
  },
  ValueMatch: { name: '0 string', type: '0 string o ?', value: '0 string o ?' },
  RequestKey: { header: '0 string o ?', cookie: '0 string o ?' },
  SessionAffinity: { cookie: '0 string o ?', ttlSeconds: '0 double * o ?' },
  Mirror: { to: '0 PolicyTarget', percent: '0 double * o ?' },
  LoadBalancing: {
    policy: '0 string o ?',
    hashOn: '0 RequestKey * o ?',
    zoneAware: '0 bool o ?',
  },
  OutlierDetection: {
    consecutiveErrors: '0 int32 * o ?',
    baseEjectionSeconds: '0 double * o ?',
    maxEjectionPercent: '0 int32 * o ?',
  },
  Retries: {
    attempts: '0 int32 * o ?',
    on: '0 []string o ? l=set',
    budgetPercent: '0 double * o ?',
    perTryTimeoutSeconds: '0 double * o ?',
  },
  Timeouts: {
    requestSeconds: '0 double * o ?',
    responseStartSeconds: '0 double * o ?',
    idleSeconds: '0 double * o ?',
  },
  RateLimit: {
    requests: '0 int32',
    seconds: '0 double * o ?',
    burst: '0 int32 * o ?',
    key: '0 RequestKey * o ?',
  },
  CircuitBreaker: {
    errorPercent: '0 double * o ?',
    minRequests: '0 int32 * o ?',
    openSeconds: '0 double * o ?',
    maxInFlight: '0 int32 * o ?',
  },
  CanaryPolicy: {
    steps: '0 []int32 o ? l=atomic',
    intervalSeconds: '0 double * o ?',
    minRequests: '0 int32 * o ?',
    maxErrorPercent: '0 double * o ?',
    maxLatencyMs: '0 double * o ?',
    latencyPercentile: '0 double * o ?',
  },
  TrafficPolicyStatus: {
    observedGeneration: '0 int64 o ?',
    conditions: '0 []dev.knative.serving.v1.Condition o ? l=map lk=type',
    canary: '0 CanaryStatus * o ?',
  },
  CanaryStatus: {
    phase: '0 string',
    revisionName: '0 string o ?',
    stableRevisionName: '0 string o ?',
    percent: '0 int32 * o ?',
    message: '0 string o ?',
    stepStartedAt: '0 time o ?',
  },
};

/** One-line descriptions for `kubectl explain`; `` is the type itself. */
export const TRAFFIC_POLICY_DOCS: TypeTexts = {
  TrafficPolicy: { '': 'TrafficPolicy says how the gateway treats the requests of one Service.' },
  TrafficPolicySpec: {
    targetRef:
      'The Service, Function or Route it is about. A target has at most one policy, the oldest wins.',
    rules: 'Asked in this order before the percentages; the first that matches decides.',
    sessionAffinity: 'Keeps a client on the revision, and where possible the instance, that it first got.',
    mirror: 'A copy of requests goes to this target as well; its answers are thrown away.',
    loadBalancing: 'Which of the instances gets a request.',
    outlierDetection: 'Instances that keep failing get no requests for a while.',
    retries: 'Which failed requests are sent again.',
    timeouts: 'Override those of the revision.',
    rateLimit: 'More requests than this are refused with 429.',
    circuitBreaker: 'A target that keeps failing, or that is full, is not asked.',
    canary: 'A new revision takes the traffic step by step, or not at all.',
  },
  PolicyTargetRef: { kind: 'Service, Function or Route.', name: 'Name in the namespace of the policy.' },
  PolicyTarget: {
    '': 'PolicyTarget names a revision by itself or by a tag. Exactly one.',
    tag: 'A tag of the traffic of the target.',
    revisionName: 'A Revision.',
  },
  TrafficRule: { match: 'All of it must match.', to: 'Where the request goes.' },
  ValueMatch: {
    name: 'Of the header or cookie.',
    type: 'Exact (default), Prefix, RegularExpression or Present.',
    value: 'What to compare with; none for Present.',
  },
  RequestKey: {
    '': "RequestKey tells clients apart: a header, a cookie, or (neither) the client's address.",
  },
  SessionAffinity: { cookie: 'Name of the cookie.', ttlSeconds: 'Absent: until the browser is closed.' },
  Mirror: { to: 'Where the copies go.', percent: 'Share of requests. Default 100.' },
  LoadBalancing: {
    policy: 'LeastLoaded (default): the less loaded of two chosen at random. RingHash: by key.',
    hashOn: "What RingHash hashes; absent is the client's address.",
    zoneAware: "Prefers instances of the gateway's own zone while they have room.",
  },
  OutlierDetection: {
    consecutiveErrors: 'Failures in a row until an instance is ejected. Default 5.',
    baseEjectionSeconds: 'First ejection; the nth lasts n times as long. Default 30.',
    maxEjectionPercent: 'At most so many of the instances are ejected at once. Default 50.',
  },
  Retries: {
    attempts: 'Further attempts; 0 switches retries off. Default 2.',
    on: 'connect-failure, reset, 502, 503, 504, 5xx.',
    budgetPercent: 'Retries may be at most this part of the requests. Default 20.',
    perTryTimeoutSeconds: 'Seconds one attempt may take.',
  },
  Timeouts: {
    requestSeconds: 'Whole request.',
    responseStartSeconds: 'Until the response begins.',
    idleSeconds: 'Without a byte.',
  },
  RateLimit: {
    requests: 'Requests in `seconds` for each key.',
    seconds: 'Default 1.',
    burst: 'At most so many at once. Default `requests`.',
    key: "Absent is the client's address.",
  },
  CircuitBreaker: {
    errorPercent: 'Opens when more than this part of at least `minRequests` within ten seconds failed.',
    openSeconds: 'How long it stays open before one request may try. Default 5.',
    maxInFlight: 'Requests in flight at once; more are refused with 503.',
  },
  CanaryPolicy: {
    steps: 'Percentages, rising, below 100. Default 5, 25, 50.',
    intervalSeconds: 'Least time of each step. Default 30.',
    minRequests: 'Least number of answers of each step.',
    maxErrorPercent: "Rolled back when more of the canary's answers are 5xx. Default 1.",
    maxLatencyMs: "Rolled back when `latencyPercentile` of the canary's answers takes longer.",
    latencyPercentile: 'Default 95.',
  },
  TrafficPolicyStatus: { canary: 'How far the roll-out of the newest revision is.' },
  CanaryStatus: { phase: 'Idle, Progressing, Promoted or RolledBack.' },
};
