/** What is counted over all services of one run. */

/** Delays by powers of 2^(1/8) milliseconds, from 1 ms to beyond a day: percentiles to within nine percent. */
const BUCKETS = 216;

export class Totals {
  requests = 0;
  /** Requests that found no instance ready. */
  cold = 0;
  instanceMs = 0;
  starts = 0;
  /** Starts that nobody had to wait for. */
  prewarmed = 0;
  readonly #delays = new Float64Array(BUCKETS);

  request(delayMs: number): void {
    this.requests++;
    if (delayMs > 0) this.cold++;
    const bucket = delayMs < 1 ? 0 : Math.min(BUCKETS - 1, 1 + Math.floor(8 * Math.log2(delayMs)));
    this.#delays[bucket]!++;
  }

  add(other: Totals): void {
    this.requests += other.requests;
    this.cold += other.cold;
    this.instanceMs += other.instanceMs;
    this.starts += other.starts;
    this.prewarmed += other.prewarmed;
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#delays[bucket]! += other.#delays[bucket]!;
  }

  /** Milliseconds; 0 below one. */
  delay(percentile: number): number {
    let left = percentile * this.requests;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#delays[bucket]!;
      if (left <= 0) return bucket === 0 ? 0 : 2 ** ((bucket - 0.5) / 8);
    }
    return Number.POSITIVE_INFINITY;
  }
}
