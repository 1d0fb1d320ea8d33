/**
 * Rate limits by key in bounded memory, exact over all workers of a gateway: the generic cell rate algorithm (ITU-T
 * I.371) needs one time per key, and a key whose time has passed needs none. The times stand in a table of sets,
 * changed by compare-and-swap. Only when all places of a set belong to keys that still owe is the one that owes least
 * forgotten: a flood of keys can make the limit more generous, never use more memory.
 */
import { hash } from 'node:crypto';
import { RATE_TABLE } from './memory.ts';

/** Emission interval and how far ahead of now a key may be, both in ticks. Whole numbers, so that bursts are exact. */
export interface RateShape {
  /** Ticks of a millisecond. */
  perMs: number;
  interval: number;
  depth: number;
}

export interface RateVerdict {
  allowed: boolean;
  /** Requests that would still be allowed now. */
  remaining: number;
  /** Milliseconds until the whole burst is there again. */
  resetAfter: number;
  /** Milliseconds until the next request is allowed; 0 when this one was. */
  retryAfter: number;
}

const { sets: SETS, ways: WAYS } = RATE_TABLE;

const TIME_BITS = 44n;
/** Of the upper half of a word, whose other bits belong to the time; the machines this runs on store the lower half first. */
const TAG_SHIFT = 12;
const TIME_MASK = (1n << TIME_BITS) - 1n;
/** Times are kept modulo so many ticks: 203 days, or 4.7 hours for limits of more than a thousand a second. */
const TIME_RANGE = 2 ** 44;
const ATTEMPTS = 16;

/** `requests` per `periodMs`, `burst` at once. */
export function rateShape(requests: number, periodMs: number, burst: number): RateShape {
  const each = periodMs / Math.max(1, requests);
  const perMs = each < 1 ? 1_024_000 : 1000;
  const interval = Math.max(1, Math.round(each * perMs));
  return { perMs, interval, depth: Math.min(interval * Math.max(1, Math.floor(burst)), TIME_RANGE / 4) };
}

/** The algorithm itself: `debt` is by how many ticks the key's theoretical arrival time is ahead of now, at least 0. */
function gcra(debt: number, { perMs, interval, depth }: RateShape): { verdict: RateVerdict; debt: number } {
  const next = debt + interval;
  if (next > depth) {
    const retryAfter = (next - depth) / perMs;
    return { verdict: { allowed: false, remaining: 0, resetAfter: debt / perMs, retryAfter }, debt };
  }
  const remaining = Math.floor((depth - next) / interval);
  return { verdict: { allowed: true, remaining, resetAfter: next / perMs, retryAfter: 0 }, debt: next };
}

export class RateTable {
  readonly #words: BigInt64Array;
  /** The same words in halves: their upper one tells most tags apart without a 64-bit number. */
  readonly #halves: Int32Array;
  readonly #shape: RateShape;
  readonly #secret: string;

  /** `secret` keeps strangers from choosing keys that share a place; the same in all workers. */
  constructor(memory: SharedArrayBuffer, shape: RateShape, secret: string) {
    this.#words = new BigInt64Array(memory);
    this.#halves = new Int32Array(memory);
    this.#shape = shape;
    this.#secret = secret;
  }

  /** Counts a request of `key` at `now` (milliseconds of `performance.now`, which all threads share). */
  take(key: string, now: number): RateVerdict {
    const digest = hash('sha256', this.#secret + key, 'buffer');
    const from = (digest.readUInt32LE(0) % SETS) * WAYS;
    const tag = digest.readUInt32LE(4) & 0xfffff || 1;
    const time = Math.floor(now * this.#shape.perMs) % TIME_RANGE;
    for (let attempt = 0; ; attempt++) {
      const { at, word, debt } = this.#find(from, tag, time);
      const { verdict, debt: next } = gcra(debt, this.#shape);
      if (!verdict.allowed) return verdict;
      const changed = BigInt.asIntN(64, (BigInt(tag) << TIME_BITS) | BigInt((time + next) % TIME_RANGE));
      const seen = Atomics.compareExchange(this.#words, at, word, changed);
      if (seen === word || attempt === ATTEMPTS) return verdict;
    }
  }

  /** How far the time in a word is ahead; 0 when it has passed, or is none that this limit can have set. */
  #debt(word: bigint, time: number): number {
    const ahead = (Number(word & TIME_MASK) - time + TIME_RANGE) % TIME_RANGE;
    return word === 0n || ahead > this.#shape.depth ? 0 : ahead;
  }

  /** The place of the tag, else the one whose loss costs least. */
  #find(from: number, tag: number, time: number): { at: number; word: bigint; debt: number } {
    for (let at = from; at < from + WAYS; at++) {
      if (this.#halves[2 * at + 1]! >>> TAG_SHIFT !== tag) continue;
      const word = Atomics.load(this.#words, at);
      if (Number(BigInt.asUintN(64, word) >> TIME_BITS) === tag)
        return { at, word, debt: this.#debt(word, time) };
    }
    let best = { at: from, word: 0n, debt: 0 };
    let least = Number.POSITIVE_INFINITY;
    for (let at = from; at < from + WAYS; at++) {
      const word = Atomics.load(this.#words, at);
      const debt = this.#debt(word, time);
      if (debt < least) {
        least = debt;
        best = { at, word, debt: 0 };
      }
    }
    return best;
  }
}
