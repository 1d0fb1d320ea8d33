/** What a revision notes of every request that ends, when its route asks: outcomes, and endpoints that keep failing. */

import type { Deadlines, Timed } from '../../base/deadlines.ts';
import type { RevisionEntry, RevisionOutcomes } from '../contract.ts';
import { CUT_OFF } from '../exchange.ts';
import type { EndpointState } from '../revision.ts';
import { OutcomeCounter } from './outcomes.ts';
import { judge, type OutlierRecord, outlierRecord } from './outliers.ts';

/** Whether a status speaks against the instance; null when it says nothing (the client left). */
export function failed(status: number): boolean | null {
  if (status === 0) return null;
  return status >= 500 || status === CUT_OFF;
}

export class Watch implements Timed {
  deadline = Number.POSITIVE_INFINITY;
  readonly #outcomes: OutcomeCounter | null;
  readonly #settings: RevisionEntry['outliers'];
  readonly #deadlines: Deadlines;
  readonly #changed: () => void;
  readonly #records = new WeakMap<EndpointState, OutlierRecord>();
  /** Endpoints that are out, and until when. */
  readonly #out = new Map<EndpointState, number>();

  /** `changed` is called when an endpoint has been ejected or is back. */
  constructor(entry: RevisionEntry, deadlines: Deadlines, changed: () => void) {
    this.#outcomes = entry.outcomes ? new OutcomeCounter() : null;
    this.#settings = entry.outliers;
    this.#deadlines = deadlines;
    this.#changed = changed;
  }

  /** A request has ended after `ms`; `total` endpoints are in the set. */
  ended(status: number, ms: number, endpoint: EndpointState | null, total: number): void {
    this.#outcomes?.count(status, ms);
    if (endpoint !== null) this.attempt(status, endpoint, total);
  }

  /** One attempt of a request has ended; it may be made again. */
  attempt(status: number, endpoint: EndpointState, total: number): void {
    const settings = this.#settings;
    const verdict = failed(status);
    if (settings === undefined || verdict === null || endpoint.retired || this.#out.has(endpoint)) return;
    let record = this.#records.get(endpoint);
    if (record === undefined) {
      if (!verdict) return;
      record = outlierRecord();
      this.#records.set(endpoint, record);
    }
    const now = performance.now();
    const ms = judge(record, verdict, now, total, this.#out.size, settings);
    if (ms === 0) return;
    this.#out.set(endpoint, now + ms);
    if (this.deadline === Number.POSITIVE_INFINITY) this.#deadlines.add(this);
    this.deadline = Math.min(this.deadline, now + ms);
    this.#deadlines.arm(this.deadline);
    this.#changed();
  }

  isOut(endpoint: EndpointState): boolean {
    return this.#out.has(endpoint);
  }

  expire(now: number): void {
    let earliest = Number.POSITIVE_INFINITY;
    for (const [endpoint, until] of this.#out) {
      if (until <= now) this.#out.delete(endpoint);
      else earliest = Math.min(earliest, until);
    }
    this.deadline = earliest;
    if (this.#out.size === 0) this.#deadlines.delete(this);
    this.#changed();
  }

  /** Endpoints that are not part of the set any more are not counted as out. */
  forget(endpoint: EndpointState): void {
    if (this.#out.delete(endpoint) && this.#out.size === 0) this.close();
  }

  takeOutcomes(): RevisionOutcomes | undefined {
    return this.#outcomes?.take();
  }

  close(): void {
    this.#out.clear();
    this.deadline = Number.POSITIVE_INFINITY;
    this.#deadlines.delete(this);
  }
}
