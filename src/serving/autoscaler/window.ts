/**
 * Averages over the last seconds, in buckets of one second. Two ways of averaging: plain, and with weights that fall
 * exponentially into the past. The numbers are those of Knative's autoscaler (`pkg/autoscaler/aggregation`), bit for bit.
 */

/** Values recorded over the last `window` seconds. Times are milliseconds since the epoch and may arrive out of order. */
export interface AverageWindow {
  /** Adds to the bucket of `now`. A gap since the last record counts as zeros; a gap as long as the window starts afresh. */
  record(now: number, value: number): void;
  /** The average as of `now`. Seconds before the first record and after the last do not dilute it. 0 without any data. */
  average(now: number): number;
  /** Nothing has been recorded for longer than the window: there is nothing to decide on. */
  isEmpty(now: number): boolean;
}

export type Aggregation = 'linear' | 'weighted-exponential';

/** Smallest weight of the newest bucket: with long windows the average would otherwise be nearly a plain one. */
const MIN_EXPONENT = 0.2;
/** Share of all weight that lies within the window. */
const WEIGHT_PRECISION = 0.9999;
/** Digits after the decimal point of a plain average. */
const PRECISION = 1e6;

export function createAverageWindow(windowMs: number, aggregation: Aggregation = 'linear'): AverageWindow {
  const size = Math.ceil(windowMs / 1000);
  const buckets = new Float64Array(size);
  let first: number | undefined;
  let last = Number.NEGATIVE_INFINITY;
  let total = 0;

  const validSince = (lost: number) => Math.min(last - (first ?? last) + 1, size - lost);

  const linear = (second: number): number => {
    const behind = second - last;
    if (behind >= size) return 0;
    if (behind <= 0) return round(total / validSince(0));
    let sum = total;
    for (let index = last + 1; index <= second; index++) sum -= buckets[index % size]!;
    return round(sum / validSince(behind));
  };

  const smoothing = Math.max(1 - (1 - WEIGHT_PRECISION) ** (1 / size), MIN_EXPONENT);
  const weighted = (second: number): number => {
    if (second - last > size) return 0;
    const zeros = Math.max(0, second - last);
    let weight = zeros > 0 ? smoothing * (1 - smoothing) ** zeros : smoothing;
    let sum = 0;
    for (let back = 0; back < size - zeros; back++) {
      sum += buckets[(last + size - back) % size]! * weight;
      weight *= 1 - smoothing;
    }
    return sum;
  };

  return {
    record(now, value) {
      const second = Math.floor(now / 1000);
      if (second + size <= last) return;
      if (second !== last) {
        if (first === undefined || first > second) first = second;
        if (second - last >= size) {
          first = second;
          buckets.fill(0);
          total = 0;
          last = second;
        } else if (second > last) {
          for (let index = last + 1; index <= second; index++) {
            total -= buckets[index % size]!;
            buckets[index % size] = 0;
          }
          last = second;
        }
      }
      buckets[second % size] = buckets[second % size]! + value;
      total += value;
    },
    average: (now) => (aggregation === 'linear' ? linear : weighted)(Math.floor(now / 1000)),
    isEmpty: (now) => Math.floor(now / 1000) - last > size,
  };
}

/** Half away from zero, as upstream rounds. */
function round(value: number): number {
  return (Math.sign(value) * Math.round(Math.abs(value) * PRECISION)) / PRECISION;
}

/** The largest value of the last `windowMs`, in steps of `stepMs`. Source: upstream's `aggregation/max`. */
export interface MaximumWindow {
  record(now: number, value: number): void;
  current(): number;
}

export function createMaximumWindow(windowMs: number, stepMs: number): MaximumWindow {
  const size = Math.ceil(windowMs / stepMs);
  /** Falling values at rising steps: what is smaller and older can never be the maximum again. */
  let maxima: { step: number; value: number }[] = [];
  return {
    record(now, value) {
      const step = Math.floor(now / stepMs);
      maxima = maxima.filter((entry) => entry.value > value && step - entry.step < size);
      const newest = maxima.at(-1);
      // Two values in one step: the larger stands for it.
      if (newest?.step !== step) maxima.push({ step, value });
    },
    current: () => maxima[0]?.value ?? 0,
  };
}
