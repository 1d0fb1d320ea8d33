/** A route with a policy or tags, in one worker: made when the route is set, asked once for each of its requests. */
import type { RevisionEntry, RouteEntry, RoutePolicy } from '../contract.ts';
import { Counter } from '../counters.ts';
import type { Exchange, RequestTimes } from '../exchange.ts';
import { type Failure, failure } from '../failures.ts';
import { pathOf, type Terms } from '../plane-types.ts';
import type { RequestBlock } from '../request-block.ts';
import { Affinity, type Session } from './affinity.ts';
import type { PolicySurroundings } from './around.ts';
import { Breaker } from './breaker.ts';
import { RetryBudget } from './budget.ts';
import { type Choice, Handling } from './handling.ts';
import { type KeyReader, keyReader } from './key.ts';
import { fieldValue, needle, withRequestLines } from './lines.ts';
import { type CompiledRule, compileRules } from './match.ts';
import { CELL, inFlightRow, type RouteMemory } from './memory.ts';
import { MIRROR_HEADER, MirrorShare } from './mirror.ts';
import { RateTable, type RateVerdict, rateShape } from './rate-table.ts';
import type { WeightedTargets } from './sequence.ts';
import { RollingWindow } from './window.ts';

const TAG = needle('knative-serving-tag');
const DEFAULT_ROUTE = needle('knative-serving-default-route');
const DEFAULT_LINE = 'knative-serving-default-route: true\r\n';
const ATTEMPT = needle('x-retry-attempt');

/** Where a request goes, and under which terms; or why it goes nowhere. */
export type Direction =
  | { key: string | null; terms: Terms | null; failure: null }
  | { key: null; terms: null; failure: Failure };

/** What is settled of a request before its route is asked. */
export interface Wish {
  revision: string | null;
  trusted: boolean;
}
const NO_WISH: Wish = { revision: null, trusted: false };

/** A route without a policy that has tags, or is one's: only the instance is told something. */
class LineTerms implements Terms {
  readonly #own: readonly Buffer[];
  readonly #lines: string;
  constructor(own: readonly Buffer[], lines: string) {
    this.#own = own;
    this.#lines = lines;
  }
  apply(x: Exchange): void {
    x.block = withRequestLines(x.block, this.#own, this.#lines);
  }
}

export class RouteTerms {
  readonly around: PolicySurroundings;
  readonly affinity: Affinity | null;
  readonly mirror: MirrorShare | null;
  readonly retries: RoutePolicy['retries'];
  readonly budget: RetryBudget | null;
  /** 0 is no limit. */
  readonly perTryMs: number;
  readonly breaker: Breaker | null;
  readonly inFlight: Counter | null;
  readonly maxInFlight: number;
  /** Fields that only the gateway may set here. */
  readonly own: readonly Buffer[];
  readonly #entry: RouteEntry;
  readonly #policy: RoutePolicy | undefined;
  /** What the instance of a tag's own host is sent. */
  readonly #tagLine: string;
  readonly #byTag: LineTerms;
  readonly #byDefault: LineTerms;
  readonly #targets: WeightedTargets;
  readonly #rules: CompiledRule[];
  readonly #rate: { table: RateTable; key: KeyReader; policyLine: string } | null;

  /** `memory` is null only for a route that needs none, see `memoryFor`. */
  constructor(
    entry: RouteEntry,
    targets: WeightedTargets,
    memory: RouteMemory | null,
    around: PolicySurroundings,
  ) {
    const { policy } = entry;
    const name = `${entry.namespace}/${entry.name}`;
    const { secret } = around.identity;
    this.around = around;
    this.#entry = entry;
    this.#policy = policy;
    this.#targets = targets;
    this.#rules = compileRules(policy?.rules ?? [], (rule, error) =>
      around.log.warn('a rule of a traffic policy cannot be used', {
        route: name,
        revision: rule.revision,
        error,
      }),
    );
    this.affinity = policy?.affinity ? new Affinity(name, targets.keys, policy.affinity, secret) : null;
    this.retries = policy?.retries;
    this.budget = policy?.retries ? new RetryBudget(policy.retries.budgetPercent) : null;
    this.perTryMs = policy?.retries?.perTryTimeoutMs ?? 0;
    const cells = memory === null ? null : new Int32Array(memory.cells);
    this.mirror = policy?.mirror && cells ? new MirrorShare(policy.mirror, cells, CELL.mirrorTurn) : null;
    const breaker = policy?.breaker;
    this.maxInFlight = breaker?.maxInFlight ?? 0;
    this.inFlight =
      memory !== null && this.maxInFlight > 0 ? new Counter(inFlightRow(memory), around.worker) : null;
    this.breaker =
      breaker?.errorPercent !== undefined && cells !== null && memory !== null
        ? new Breaker(
            breaker,
            new BigInt64Array(memory.cells),
            CELL.openUntil / 2,
            new RollingWindow(cells, CELL.window),
          )
        : null;
    this.#rate =
      policy?.rateLimit && memory?.rates ? rateLimiter(policy.rateLimit, memory.rates, secret) : null;
    const own: Buffer[] = [];
    if (entry.tags !== undefined) own.push(DEFAULT_ROUTE);
    if (entry.tag !== undefined) own.push(TAG);
    if (this.retries !== undefined) own.push(ATTEMPT);
    if (this.mirror !== null) own.push(MIRROR_HEADER);
    this.own = own;
    this.#tagLine = entry.tag === undefined ? '' : `knative-serving-tag: ${entry.tag}\r\n`;
    this.#byTag = new LineTerms(own, this.#tagLine);
    this.#byDefault = new LineTerms(own, DEFAULT_LINE);
  }

  /** The time limits of a request of this route. */
  times(entry: RevisionEntry): RequestTimes {
    const own = this.#policy?.timeouts;
    if (own === undefined) return entry;
    const { timeoutMs, responseStartTimeoutMs, idleTimeoutMs } = entry;
    return { timeoutMs, responseStartTimeoutMs, idleTimeoutMs, ...own };
  }

  /**
   * Decides about a request: limit, tag, rules, session, percentages, in this order. `target` is path and query without a prefix.
   * `wish` fixes the revision, or says that limits on clients are not for it.
   */
  direct(block: RequestBlock, address: string, target: () => string, wish: Wish = NO_WISH): Direction {
    const verdict = wish.trusted ? null : this.#counted(block, address, target);
    const responseLines = verdict === null ? '' : this.#rateLines(verdict);
    if (verdict !== null && !verdict.allowed) {
      return { key: null, terms: null, failure: limited(verdict, responseLines) };
    }
    const { tags } = this.#entry;
    const tag = tags === undefined ? null : fieldValue(block.out, TAG);
    const tagged = tags !== undefined && tag !== null && Object.hasOwn(tags, tag) ? tags[tag]! : null;
    const byDefault = tags !== undefined && tagged === null;
    if (this.#policy === undefined) {
      const terms = byDefault ? this.#byDefault : this.#byTag;
      return { key: wish.revision ?? tagged ?? this.#targets.next(), terms, failure: null };
    }
    const requestLines = byDefault ? DEFAULT_LINE : this.#tagLine;
    const ruled = wish.revision ?? tagged ?? this.#ruled(block, target);
    let session: Session | null = null;
    let key = ruled;
    if (ruled === null) {
      session = this.affinity?.read(block.out) ?? null;
      key = session?.revision ?? this.#targets.next();
    }
    const choice: Choice = { bySplit: ruled === null, session, requestLines, responseLines };
    return { key, terms: new Handling(this, choice), failure: null };
  }

  /** The limit alone, for a request that no revision gets now: why it is refused, or null. */
  limit(block: RequestBlock, address: string, target: () => string): Failure | null {
    const verdict = this.#counted(block, address, target);
    return verdict === null || verdict.allowed ? null : limited(verdict, this.#rateLines(verdict));
  }

  #counted(block: RequestBlock, address: string, target: () => string): RateVerdict | null {
    const rate = this.#rate;
    return rate === null ? null : rate.table.take(rate.key(block.out, address, target), performance.now());
  }

  #ruled(block: RequestBlock, target: () => string): string | null {
    if (this.#rules.length === 0) return null;
    const input = { out: block.out, path: pathOf(target()) };
    return this.#rules.find((rule) => rule.matches(input))?.revision ?? null;
  }

  #rateLines(verdict: RateVerdict): string {
    const reset = Math.ceil(verdict.resetAfter / 1000);
    return `${this.#rate?.policyLine}ratelimit: "default";r=${verdict.remaining};t=${reset}\r\n`;
  }
}

function rateLimiter(
  limit: NonNullable<RoutePolicy['rateLimit']>,
  memory: SharedArrayBuffer,
  secret: string,
) {
  const { requests, periodMs, burst, key } = limit;
  const window = Math.max(1, Math.round(periodMs / 1000));
  return {
    table: new RateTable(memory, rateShape(requests, periodMs, burst), secret),
    key: keyReader(key),
    policyLine: `ratelimit-policy: "default";q=${requests};w=${window}\r\n`,
  };
}

function limited(verdict: RateVerdict, lines: string): Failure {
  const retryAfter = Math.max(1, Math.ceil(verdict.retryAfter / 1000));
  const message = `more requests than this route allows one client; the next one is let through in ${retryAfter} s`;
  return { ...failure('rate_limited', message), retryAfter, lines };
}
