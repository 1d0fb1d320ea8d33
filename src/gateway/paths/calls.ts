/** Counts of requests by the path they came by: for path routes that ask for it, and nothing for others. */
import { CALL_BUCKETS_MS, type RevisionCalls } from '../contract.ts';
import type { Exchange, Treatment } from '../exchange.ts';
import type { Failure } from '../failures.ts';
import type { Terms } from '../plane-types.ts';
import type { EndpointState } from '../revision.ts';

/** Methods that are told apart: a client may send any word. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
export const OTHER_METHOD = 'OTHER';

const keyOf = ({ label, method, status }: Pick<RevisionCalls, 'label' | 'method' | 'status'>): string =>
  `${label} ${method} ${status}`;

/** What was counted of one revision. */
export class CallCounter {
  #calls = new Map<string, RevisionCalls>();

  count(label: string, method: string, status: number, ms: number, cold: boolean): void {
    const key = `${label} ${method} ${status}`;
    let calls = this.#calls.get(key);
    if (calls === undefined) {
      const buckets = new Array<number>(CALL_BUCKETS_MS.length + 1).fill(0);
      calls = { label, method, status, count: 0, cold: 0, sumMs: 0, buckets };
      this.#calls.set(key, calls);
    }
    calls.count++;
    if (cold) calls.cold++;
    calls.sumMs += ms;
    let i = 0;
    while (i < CALL_BUCKETS_MS.length && ms > CALL_BUCKETS_MS[i]!) i++;
    calls.buckets[i]!++;
  }

  /** What was counted since the last call. */
  take(): RevisionCalls[] {
    const taken = [...this.#calls.values()];
    this.#calls = new Map();
    return taken;
  }
}

/** What all tell together. */
export function addCalls(all: readonly RevisionCalls[]): RevisionCalls[] {
  const sums = new Map<string, RevisionCalls>();
  for (const one of all) {
    const sum = sums.get(keyOf(one));
    if (sum === undefined) {
      sums.set(keyOf(one), { ...one, buckets: [...one.buckets] });
      continue;
    }
    sum.count += one.count;
    sum.cold += one.cold;
    sum.sumMs += one.sumMs;
    for (const [i, n] of one.buckets.entries()) sum.buckets[i]! += n;
  }
  return [...sums.values()];
}

/** One request that is counted when it ends; lets through everything else. */
export class CountedRequest implements Terms, Treatment {
  readonly #terms: Terms | null;
  readonly #label: string;
  readonly #method: string;
  #inner: Treatment | null = null;
  /** There was no instance when it came. */
  #cold = false;

  constructor(terms: Terms | null, label: string, method: string) {
    this.#terms = terms;
    this.#label = label;
    this.#method = METHODS.has(method) ? method : OTHER_METHOD;
  }

  apply(x: Exchange): void {
    this.#terms?.apply(x);
    this.#inner = x.treatment;
    x.treatment = this;
  }

  admit(x: Exchange): Failure | null {
    this.#cold = x.revision.isEmpty;
    const refused = this.#inner === null ? x.revision.admit(x) : this.#inner.admit(x);
    if (refused !== null) this.#count(x, refused.status, 0);
    return refused;
  }

  ended(x: Exchange, now: number): void {
    this.#inner?.ended(x, now);
    this.#count(x, x.status, now - x.startedAt);
  }

  #count(x: Exchange, status: number, ms: number): void {
    x.revision.called(this.#label, this.#method, status, ms, this.#cold);
  }

  preferred(usable: readonly EndpointState[]): readonly (readonly EndpointState[])[] {
    return this.#inner === null ? [usable] : this.#inner.preferred(usable);
  }
  sent(x: Exchange, endpoint: EndpointState): void {
    this.#inner?.sent(x, endpoint);
  }
  body(chunk: Buffer): void {
    this.#inner?.body(chunk);
  }
  bodyEnd(): void {
    this.#inner?.bodyEnd();
  }
}
