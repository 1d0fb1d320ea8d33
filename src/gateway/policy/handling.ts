/**
 * One request of a route with a policy. Stands between the instance's side and the client's: lets through what needs
 * nothing, takes an attempt back that may be made again, and adds what the client is to know.
 */
import type { Timed } from '../../base/deadlines.ts';
import { BODY, type Exchange, type Front, STATE, type Treatment } from '../exchange.ts';
import { type Failure, failure } from '../failures.ts';
import type { Terms } from '../plane-types.ts';
import type { ResponseBlock } from '../response-block.ts';
import type { EndpointState } from '../revision.ts';
import type { Session } from './affinity.ts';
import { GATE } from './breaker.ts';
import { fieldValue, needle, withRequestLines, withResponseLines } from './lines.ts';
import { MirrorCopy } from './mirror.ts';
import { pauseMs, repeatable, retriable } from './retry.ts';
import type { RouteTerms } from './route-terms.ts';
import { failed } from './watch.ts';

const IDEMPOTENCY_KEY = needle('idempotency-key');
const ATTEMPT = needle('x-retry-attempt');

/** How a request came to its revision. */
export interface Choice {
  /** By percentage or session: the answer carries the session's cookie. */
  bySplit: boolean;
  session: Session | null;
  /** Lines that the instance is sent. */
  requestLines: string;
  /** Lines that the client is sent. */
  responseLines: string;
}

export class Handling implements Terms, Treatment, Front, Timed {
  deadline = Number.POSITIVE_INFINITY;
  readonly #terms: RouteTerms;
  readonly #choice: Choice;
  #client!: Front;
  #x!: Exchange;
  /** Endpoints that have failed it. */
  #tried: EndpointState[] = [];
  #endpoint: EndpointState | null = null;
  #bodyPassed = false;
  #probe = false;
  #counted = false;
  #copy: MirrorCopy | null = null;

  constructor(terms: RouteTerms, choice: Choice) {
    this.#terms = terms;
    this.#choice = choice;
  }

  apply(x: Exchange): void {
    this.#x = x;
    this.#client = x.front;
    x.front = this;
    x.treatment = this;
    x.times = this.#terms.times(x.revision.entry);
    x.block = withRequestLines(x.block, this.#terms.own, this.#choice.requestLines);
  }

  get address(): string {
    return this.#client.address;
  }

  admit(x: Exchange): Failure | null {
    const terms = this.#terms;
    const refused = this.#enter(x.startedAt);
    if (refused !== null) return refused;
    terms.budget?.request(x.startedAt);
    const { mirror } = terms;
    const target = mirror?.next() ? terms.around.revision(mirror.revision) : undefined;
    // the copy is prepared first: the answer may come before `admit` returns
    if (target !== undefined) this.#copy = MirrorCopy.of(x, target, terms.around);
    if (terms.perTryMs > 0) terms.around.deadlines.add(this);
    const full = x.revision.admit(x);
    if (full !== null) {
      this.#copy?.drop(null);
      this.#leave(x.startedAt, null);
      return full;
    }
    if (x.body === BODY.none) this.#copy?.launch();
    return null;
  }

  #enter(now: number): Failure | null {
    const { breaker, inFlight, maxInFlight } = this.#terms;
    if (breaker !== null) {
      const gate = breaker.enter(now);
      if (gate > 0) {
        const message = 'too many of the last requests failed; the circuit is open until one succeeds again';
        return { ...failure('circuit_open', message), retryAfter: Math.ceil(gate / 1000) };
      }
      this.#probe = gate === GATE.probe;
    }
    if (inFlight !== null) {
      if (!inFlight.tryAdd(maxInFlight)) {
        breaker?.ended(now, null, this.#probe);
        return failure('too_many_in_flight', `${maxInFlight} requests are in flight already`);
      }
      this.#counted = true;
    }
    return null;
  }

  #leave(now: number, result: boolean | null): void {
    const { breaker, inFlight, around, retries } = this.#terms;
    this.deadline = Number.POSITIVE_INFINITY;
    if (retries !== undefined) around.deadlines.delete(this);
    breaker?.ended(now, result, this.#probe);
    if (this.#counted) inFlight?.remove();
    this.#counted = false;
  }

  ended(x: Exchange, now: number): void {
    this.#copy?.drop('incomplete');
    this.#leave(now, failed(x.status));
  }

  preferred(usable: readonly EndpointState[]): readonly (readonly EndpointState[])[] {
    if (this.#tried.length > 0) {
      return [usable.filter((endpoint) => !this.#tried.includes(endpoint)), usable];
    }
    const { session } = this.#choice;
    const { affinity } = this.#terms;
    if (session === null || affinity === null) return [usable];
    return [usable.filter(({ id }) => affinity.instance(id) === session.instance), usable];
  }

  sent(_: Exchange, endpoint: EndpointState): void {
    const { perTryMs, around } = this.#terms;
    this.#endpoint = endpoint;
    if (perTryMs === 0) return;
    this.deadline = performance.now() + perTryMs;
    around.deadlines.arm(this.deadline);
  }

  /** The attempt has taken too long, or the next one may begin. */
  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    const x = this.#x;
    if (x.state === STATE.paused) {
      x.revision.requeue(x);
      return;
    }
    if (x.begun || x.state === STATE.queued || x.state === STATE.done) return;
    x.upstream?.cancel(x, 'timeout');
    this.fail(x, failure('try_timeout', `no answer began within ${this.#terms.perTryMs} ms of an attempt`));
  }

  body(chunk: Buffer): void {
    this.#copy?.add(chunk);
  }

  bodyEnd(): void {
    this.#copy?.launch();
  }

  dispatched(x: Exchange): void {
    this.#bodyPassed = true;
    this.#client.dispatched(x);
  }

  resumeBody(x: Exchange): void {
    this.#client.resumeBody(x);
  }

  interim(x: Exchange, status: number, block: ResponseBlock): void {
    this.#client.interim(x, status, block);
  }

  respond(x: Exchange, status: number, block: ResponseBlock, buf: Buffer, start: number, end: number): void {
    if (!this.#again(x, status, '')) {
      this.#client.respond(x, status, this.#complete(x, block), buf, start, end);
    }
  }

  begin(x: Exchange, status: number, block: ResponseBlock, length: number): void {
    if (!this.#again(x, status, '')) this.#client.begin(x, status, this.#complete(x, block), length);
  }

  data(x: Exchange, buf: Buffer, start: number, end: number): void {
    this.#client.data(x, buf, start, end);
  }

  end(x: Exchange, trailers: Buffer | null): void {
    this.#client.end(x, trailers);
  }

  fail(x: Exchange, f: Failure): void {
    if (x.begun || !this.#again(x, f.status, f.reason)) this.#client.fail(x, f);
  }

  congested(): boolean {
    return this.#client.congested();
  }

  /** Makes another attempt when the policy wants one and it can do no harm. */
  #again(x: Exchange, status: number, reason: string): boolean {
    const { retries, budget, around } = this.#terms;
    if (retries === undefined || budget === null || status < 500) return false;
    if (x.state !== STATE.connecting && x.state !== STATE.sent) return false;
    if (this.#tried.length >= retries.attempts || !retriable({ status, reason }, retries.on)) return false;
    const line = x.line.toString('latin1', x.lineStart, x.lineEnd);
    const safe = repeatable({
      method: line.slice(0, line.indexOf(' ')),
      keyed: fieldValue(x.block.out, IDEMPOTENCY_KEY) !== null,
      bodyPassed: this.#bodyPassed,
      upgrade: x.body === BODY.upgrade,
    });
    if (!safe || !budget.take(performance.now())) return false;
    if (this.#endpoint !== null) this.#tried.push(this.#endpoint);
    this.deadline = Number.POSITIVE_INFINITY;
    x.upstream?.cancel(x, 'cancelled');
    x.block = withRequestLines(x.block, [ATTEMPT], `x-retry-attempt: ${this.#tried.length}\r\n`);
    around.log.debug('retry', { requestId: x.requestId, attempt: this.#tried.length, status, reason });
    x.status = status;
    const wait = x.revision.exhausted(this.#tried);
    x.revision.retry(x, wait);
    if (!wait) return true;
    this.deadline = performance.now() + pauseMs(this.#tried.length, Math.random());
    around.deadlines.add(this);
    return true;
  }

  /** What the client is told beside the instance's own fields. */
  #complete(x: Exchange, block: ResponseBlock): ResponseBlock {
    const { affinity } = this.#terms;
    const { bySplit, session, responseLines } = this.#choice;
    let lines = responseLines;
    this.deadline = Number.POSITIVE_INFINITY;
    if (affinity !== null && bySplit && this.#endpoint !== null) {
      const instance = affinity.instance(this.#endpoint.id);
      const same = session !== null && session.instance === instance;
      if (!same) lines += affinity.line(x.revision.entry.key, instance, x.prefix || '/');
    }
    return lines === '' ? block : withResponseLines(block, lines);
  }
}
