/**
 * Percentages without chance: the order in which targets take turns is computed once, by smooth weighted round robin,
 * and one counter that all workers share says whose turn it is. Any run of requests as long as the order has exactly
 * its parts, and a shorter one is never off by more than the number of targets.
 */
import type { RevisionKey } from '../contract.ts';

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

/** The turns of targets with these weights: interleaved, each as often as its weight says. */
export function smoothOrder(weights: readonly number[]): Uint16Array {
  const whole = weights.every(Number.isInteger) ? [...weights] : weights.map((w) => Math.round(w * 100));
  const common = whole.reduce(divisor, 0) || 1;
  const parts = whole.map((w) => w / common);
  const sum = parts.reduce((a, b) => a + b, 0);
  const credit = parts.map(() => 0);
  const order = new Uint16Array(sum);
  for (let turn = 0; turn < sum; turn++) {
    let best = 0;
    for (let i = 0; i < parts.length; i++) {
      credit[i]! += parts[i]!;
      if (credit[i]! > credit[best]!) best = i;
    }
    credit[best]! -= sum;
    order[turn] = best;
  }
  return order;
}

/** The targets of one route. */
export class WeightedTargets {
  readonly #keys: RevisionKey[];
  readonly #order: Uint16Array;
  readonly #turn: Int32Array;
  readonly #cell: number;

  /** `turn[cell]` counts requests; shared between the workers, and kept when the percentages change. */
  constructor(
    targets: readonly { revision: RevisionKey; percent: number }[],
    turn: Int32Array = new Int32Array(1),
    cell = 0,
  ) {
    const live = targets.filter((t) => t.percent > 0);
    this.#keys = live.map((t) => t.revision);
    this.#order = live.length > 1 ? smoothOrder(live.map((t) => t.percent)) : new Uint16Array(0);
    this.#turn = turn;
    this.#cell = cell;
  }

  /** Those that get requests. */
  get keys(): readonly RevisionKey[] {
    return this.#keys;
  }

  /** The target of the next request, or null when there is none. */
  next(): RevisionKey | null {
    const keys = this.#keys;
    if (keys.length <= 1) return keys[0] ?? null;
    const turn = Atomics.add(this.#turn, this.#cell, 1) >>> 0;
    return keys[this.#order[turn % this.#order.length]!]!;
  }
}
