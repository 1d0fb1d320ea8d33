/**
 * A circuit breaker that all workers share: closed until too many requests of the last ten seconds failed, then open
 * for a time, then one request may try. Whoever moves the end of the open time forward has that one try; a try that
 * never ends therefore blocks nobody for longer than another open time.
 */
import type { RoutePolicy } from '../contract.ts';
import type { RollingWindow } from './window.ts';

/** What the breaker says to a request. */
export const GATE = { pass: 0, probe: -1 } as const;

export class Breaker {
  readonly #errorPercent: number;
  readonly #minRequests: number;
  readonly #openMs: number;
  /** Milliseconds on the clock of `now`; 0 while closed. */
  readonly #openUntil: BigInt64Array;
  readonly #cell: number;
  readonly #window: RollingWindow;

  constructor(
    settings: NonNullable<RoutePolicy['breaker']>,
    openUntil: BigInt64Array,
    cell: number,
    window: RollingWindow,
  ) {
    this.#errorPercent = settings.errorPercent ?? Number.POSITIVE_INFINITY;
    this.#minRequests = settings.minRequests;
    this.#openMs = settings.openMs;
    this.#openUntil = openUntil;
    this.#cell = cell;
    this.#window = window;
  }

  /** `GATE.pass`, `GATE.probe` for the one that tries, else the milliseconds until the next try. */
  enter(now: number): number {
    const until = Atomics.load(this.#openUntil, this.#cell);
    if (until === 0n) return GATE.pass;
    const left = Number(until) - now;
    if (left > 0) return Math.ceil(left);
    if (this.#move(until, now + this.#openMs)) return GATE.probe;
    return Math.ceil(this.#openMs);
  }

  #move(seen: bigint, to: number): boolean {
    const next = to === 0 ? 0n : BigInt(Math.max(1, Math.floor(to)));
    return Atomics.compareExchange(this.#openUntil, this.#cell, seen, next) === seen;
  }

  /** A request that passed has ended; `failed` null when it says nothing (its client left). */
  ended(now: number, failed: boolean | null, probe: boolean): void {
    const until = Atomics.load(this.#openUntil, this.#cell);
    if (probe) {
      if (failed === false) {
        this.#window.clear();
        this.#move(until, 0);
      } else this.#move(until, failed === null ? now : now + this.#openMs);
      return;
    }
    if (failed === null || until !== 0n) return;
    this.#window.add(now, 1, failed ? 1 : 0);
    if (!failed) return;
    const { first, second } = this.#window.sums(now);
    if (first >= this.#minRequests && second * 100 >= this.#errorPercent * first) {
      this.#move(until, now + this.#openMs);
    }
  }
}
