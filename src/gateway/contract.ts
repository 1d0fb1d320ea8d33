/**
 * What crosses between the gateway and the rest of the platform. The platform pushes routes, revisions and
 * endpoints; the gateway reports demand and exact counts. Nothing here touches an API server or a disk.
 */

/** `<namespace>/<revision name>`. */
export type RevisionKey = string;

/** Where requests for one Route go. */
export interface RouteEntry {
  namespace: string;
  /** Name of the Route; `/fn/<namespace>/<name>/…` works for every route without DNS. */
  name: string;
  /** Lower-case host names without port that this route answers. */
  hosts: string[];
  /** Percentages, sum 100. */
  targets: { revision: RevisionKey; percent: number }[];
  /** Tags that the header `Knative-Serving-Tag` chooses on the route's own hosts; an unknown tag goes the default way. */
  tags?: Record<string, RevisionKey>;
  /** The tag whose hosts these are: its instances see it as `Knative-Serving-Tag`, as if the client had sent it. */
  tag?: string;
  policy?: RoutePolicy;
  /** Who may call, and what a browser is told. Asked before everything of `policy`. */
  access?: RouteAccess;
  /**
   * Where requests go that ask to be carried out later (`Prefer: respond-async`, `X-Petrel-Invoke-Mode: async`): an HTTP server of the
   * platform. It gets the request as an instance would, with `x-petrel-route: <namespace>/<name>` (and `x-petrel-revision` where a path
   * route fixes one), and its answer is the answer. Absent: the wish is ignored.
   */
  async?: EndpointAddress;
}

/**
 * Requests that belong to a route by more than its host: what Fission's HTTPTriggers, OpenFaaS and Lambda paths, and ingresses need.
 * Asked before hosts and `/fn/…`. Order: host-bound before hostless, exact before template before prefix, the longest prefix first,
 * then the lowest `order`.
 */
export interface PathRoute {
  /** Lower-case, without port; empty is any host, the platform's own names included. */
  hosts: string[];
  /** `template` has `{name}` or `{name:regexp}` for parts of the path (a regexp is what RE2 can express). */
  path: { type: 'exact' | 'prefix' | 'template'; value: string };
  /** Upper-case; empty is any. A path that matches with another method answers 405 with `Allow`. */
  methods: string[];
  /** What the instance sees as path: as it came, without the prefix, or always this. The query stays. */
  rewrite: 'keep' | 'strip' | { to: string };
  /**
   * `<namespace>/<name>` of routes whose targets, policy, access and async apply, and their weights, sum 100; `revision` fixes one.
   * Or a server of the platform.
   */
  to: PathTarget[] | EndpointAddress;
  /**
   * Added to the request, replacing what the client sent; `{name}` stands for a template's part, `{petrel.target}` for path and query as
   * they came. Names lower case.
   */
  headers?: Record<string, string>;
  /** `cors` and `auth` each take the place of the route's own; an empty one takes away both, and limits on clients with them. */
  access?: RouteAccess;
  /** Every request is asynchronous. */
  async?: boolean;
  /** Its requests are counted under this label (`RevisionStats.calls`); those that are carried out later are not. */
  count?: string;
  order: number;
}

/** One of the routes that a path leads to. */
export interface PathTarget {
  /** `<namespace>/<name>`. */
  route: string;
  revision?: RevisionKey;
  percent: number;
  /** Added besides those of the path. */
  headers?: Record<string, string>;
}

/**
 * `src/kinds/function.ts` FunctionAccess with Secrets resolved. All comparisons are constant-time. The instance is told who called in
 * `x-petrel-auth-subject` (percent-encoded where needed) and how in `x-petrel-auth-method`; a client's own are taken away.
 */
export interface RouteAccess {
  cors?: {
    origins: string[];
    methods: string[];
    headers: string[];
    expose: string[];
    credentials: boolean;
    maxAgeSeconds?: number;
  };
  /** One of these must hold; 401 (none given) or 403 (given and wrong) otherwise. */
  auth?: {
    /** SHA-256 of each accepted key, hex: the keys themselves stay out of the workers. `names`, in the same order, is who they are. */
    apiKeys?: { header: string; digests: string[]; names?: string[] };
    /** Public keys as JWK, or secrets for HS256; kept up to date by who pushes them. */
    jwt?: {
      issuer?: string;
      audiences?: string[];
      keys: Record<string, unknown>[];
      claims?: Record<string, string>;
      /** Tokens without `exp` are accepted. */
      withoutExpiry?: boolean;
    };
    /** The body is held back, up to 1 MiB, until its signature is checked. */
    hmac?: { header: string; secrets: string[] };
  };
}

/** How requests of one route are treated; see `src/kinds/traffic-policy.ts`. All times in milliseconds, resolved and with defaults applied. */
export interface RoutePolicy {
  rules?: RouteRule[];
  /** The cookie's value names revision and instance. Without `ttlMs` it is a session cookie. */
  affinity?: { cookie: string; ttlMs?: number };
  mirror?: { revision: RevisionKey; percent: number };
  retries?: {
    attempts: number;
    on: ('connect-failure' | 'reset' | '502' | '503' | '504' | '5xx')[];
    budgetPercent: number;
    perTryTimeoutMs?: number;
  };
  timeouts?: { timeoutMs?: number; responseStartTimeoutMs?: number; idleTimeoutMs?: number };
  rateLimit?: { requests: number; periodMs: number; burst: number; key: RequestKey };
  breaker?: { errorPercent?: number; minRequests: number; openMs: number; maxInFlight?: number };
}

export interface RouteRule {
  headers: ValueMatch[];
  cookies: ValueMatch[];
  pathPrefix?: string;
  revision: RevisionKey;
}

/** `value` is absent for `Present`; names of headers are lower case. */
export interface ValueMatch {
  name: string;
  type: 'Exact' | 'Prefix' | 'RegularExpression' | 'Present';
  value?: string;
}

/** A header (lower case), a cookie, or with neither the client's address. */
export interface RequestKey {
  header?: string;
  cookie?: string;
  queryParameter?: string;
}

/** What the gateway has to know of a revision to admit and time its requests. */
export interface RevisionEntry {
  key: RevisionKey;
  /** Requests one instance works on at once; 0 is unlimited. */
  containerConcurrency: number;
  /** Whole request, milliseconds, queueing included. */
  timeoutMs: number;
  /** Until the first byte of the response, milliseconds; absent is no limit of its own. */
  responseStartTimeoutMs?: number;
  /** Without any byte either way, milliseconds; absent is no limit. */
  idleTimeoutMs?: number;
  /** Largest request body, bytes; 0 is unlimited. */
  maxRequestBytes: number;
  /** Requests that may wait for an instance before 503. */
  queueDepth: number;
  /** Absent: the less loaded of two chosen at random. */
  balancing?: { policy: 'LeastLoaded' | 'RingHash'; hashOn?: RequestKey; zoneAware?: boolean };
  /** Whether answers are counted by class and time (`RevisionStats.outcomes`). */
  outcomes?: boolean;
  /** Requests in flight or queued from which `demand` is raised though none has to wait: at once, again whenever they double. */
  surge?: number;
  /** An instance gets one request in its life and is reported by `endpointDown` with the reason `used` when it is answered. */
  onceOnly?: boolean;
  outliers?: { consecutiveErrors: number; baseEjectionMs: number; maxEjectionPercent: number };
}

/** How the gateway reaches an instance. */
export type EndpointAddress =
  /** One of our runtimes: the multiplexed protocol of runtimes/PROTOCOL.md on a unix socket. */
  | { kind: 'mux'; path: string }
  /**
   * Anything that speaks HTTP/1.1. With `detect` (the port has no name) requests that come over HTTP/2 go out as HTTP/2 when
   * the first of them finds that the port speaks it; HTTP/1.1 clients are served over HTTP/1.1 without asking.
   */
  | { kind: 'http1'; host: string; port: number; detect?: boolean }
  /** HTTP/1.1 on a unix socket: servers of the platform, and instances whose language has an HTTP server of its own. */
  | { kind: 'http1-unix'; path: string }
  /** HTTP/2 without TLS, by prior knowledge: gRPC, or a port named `h2c`. */
  | { kind: 'h2c'; host: string; port: number };

/** A server of the platform that takes what is no route's: asked only when neither host nor `/fn/…` name one. It gets host and target as they came. */
export interface ServerEntry {
  address: EndpointAddress;
  /** Beginnings of the target, with a slash at both ends: `/events/`. */
  prefixes: string[];
  /** Host names that are its own, without port and lower-case, whatever the path; must be linear in the length of what it tests. */
  hosts?: RegExp;
}

export interface Endpoint {
  /** The Pod's uid. */
  id: string;
  address: EndpointAddress;
  zone?: string;
}

/** Why a revision cannot answer now; waiting requests end with it. */
export interface RevisionFailure {
  /** HTTP status for waiting requests, 500–599. */
  status: number;
  component: string;
  reason: string;
  /** Shown to the client, for example the user's load error with file and line. */
  message: string;
}

/** Counts of one revision over the time since the previous report; exact, not sampled. */
export interface RevisionStats {
  key: RevisionKey;
  /** Time-weighted mean of requests in flight or queued since the last report. */
  averageConcurrency: number;
  /** Requests begun since the last report. */
  requestCount: number;
  /** Now. */
  inFlight: number;
  /** Now. */
  queued: number;
  /** Answers since the last report; counted only for revisions whose route asks (see `RevisionEntry.outcomes`). */
  outcomes?: RevisionOutcomes;
  /** Copies of other revisions' requests since the last report; absent when there were none. */
  mirror?: MirrorCounts;
  /** Requests that ended since the last report and came by path routes that ask for it (`PathRoute.count`); absent when there were none. */
  calls?: RevisionCalls[];
}

/** Upper bounds of `RevisionCalls.buckets`, ms; beyond the last there is one more. Source: Prometheus' default buckets. */
export const CALL_BUCKETS_MS: readonly number[] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/** Requests of one revision that came by one path, with one method and one outcome. */
export interface RevisionCalls {
  /** `PathRoute.count`. */
  label: string;
  /** `OTHER` for what is not one of HTTP's common methods. */
  method: string;
  /** 0: the client left; below 100: the answer broke off. */
  status: number;
  count: number;
  /** Of these, how many found no instance when they came. */
  cold: number;
  /** Until the last byte, all together. */
  sumMs: number;
  /** By time: see `CALL_BUCKETS_MS`; each counts what is above the bound before it. */
  buckets: number[];
}

/** What became of requests that were to be mirrored to a revision. */
export interface MirrorCounts {
  copied: number;
  /** By reason: `body_too_large`, `incomplete` (it ended before its body), `overloaded`, `queue_full`, `same_revision`, `upgrade`. */
  skipped: Record<string, number>;
}

/** What became of a revision's requests since the last report. */
export interface RevisionOutcomes {
  /** Answers by class: index 1–5 is 1xx–5xx, 0 those cut off without one. The gateway's own 5xx for the revision count. */
  classes: number[];
  /** Time to the last byte: bucket i counts answers below 2^(i/2) milliseconds, the last one everything else. 32 buckets. */
  latency: number[];
}

export interface GatewayEvents {
  /**
   * The revision has waiting requests and not enough endpoints. Sent at once when the first request starts to
   * wait, and again whenever `queued` grows past what was reported by a factor of two; never more than once a millisecond.
   * Also sent, without any that wait, when more run than `RevisionEntry.surge`.
   */
  demand(key: RevisionKey, queued: number, inFlight: number): void;
  /** Once a second for the revisions that had a request in flight or begun since the last report. */
  stats(stats: RevisionStats[], intervalMs: number): void;
  /** The connection to an endpoint failed or ended; the gateway has stopped using it until it is pushed again. */
  endpointDown(key: RevisionKey, endpointId: string, reason: string): void;
  /** A route was sent a token that names a key it does not have: its keys may have changed. Each worker says so once a second at most. */
  keyMissing?(namespace: string, name: string): void;
}

/** The data plane. Every `set*` call takes effect for requests that arrive after it; `null` removes. */
export interface Gateway {
  /** Address bound, for example `127.0.0.1:8080`. */
  readonly address: { host: string; port: number };
  setRoute(namespace: string, name: string, entry: RouteEntry | null): void;
  /** `id` is unique among path routes, for example `fission/<namespace>/<trigger>`. */
  setPathRoute?(id: string, route: PathRoute | null): void;
  /** `id` is unique among servers, for example `events`. */
  setServer?(id: string, entry: ServerEntry | null): void;
  setRevision(key: RevisionKey, entry: RevisionEntry | null): void;
  /** Replaces the endpoint set. An endpoint that is left out is drained: in-flight requests end, no new ones. */
  setEndpoints(key: RevisionKey, endpoints: Endpoint[]): void;
  /** Ends waiting requests; the next request raises demand again. */
  failRevision(key: RevisionKey, failure: RevisionFailure): void;
  /** Resolves when no request is in flight to this endpoint any more (after it was left out), or after `timeoutMs`. */
  drained(key: RevisionKey, endpointId: string, timeoutMs: number): Promise<void>;
  /**
   * Replaces the workers one by one without failing a request: the new one listens before the old one stops, and connections
   * are told to go with their next answer. Resolves when the new ones have taken over; the old ones go on with what they have
   * for up to `graceMs` (default ten minutes).
   */
  restart?(graceMs?: number): Promise<void>;
  /** Stops accepting, lets requests end for up to `graceMs`, then closes. */
  close(graceMs: number): Promise<void>;
}
