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
  /** The same with another size, as far as what was recorded reaches. */
  resized(windowMs: number): AverageWindow;
  /** Nothing has been recorded for longer than the window: there is nothing to decide on. */
  isEmpty(now: number): boolean;
}

export type Aggregation = 'linear' | 'weighted-exponential';

/** Smallest weight of the newest bucket: with long windows the average would otherwise be nearly a plain one. */
const MIN_EXPONENT = 0.2;
/**
 * Weight of the newest bucket in windows of 1, 2, … seconds: 1 − 0.0001^(1/n), so that 0.9999 of all weight lies within the
 * window; longer ones have the smallest. Written out because the last bit of a power differs from one machine to the next,
 * upstream's included: these are of amd64 with FMA.
 */
const COEFFICIENTS = [
  0.9999, 0.99, 0.9535841116638721, 0.9, 0.8415106807538886, 0.7845565309968116, 0.7317304204720274,
  0.683772233983162, 0.6406186336195372, 0.6018928294465027, 0.5671238718916941, 0.535841116638722,
  0.507611736829326, 0.4820525320768788, 0.45883047345353634, 0.4376586748096509, 0.41829086706256413,
  0.40051574968105896, 0.3841517889339736, 0.36904265551980675, 0.3550533228962376, 0.342066775342432,
  0.3299812496490411, 0.31870793094203875, 0.3081690290810636, 0.29829617132961717, 0.28902905676875645,
  0.28031432699884795, 0.27210461560168486, 0.2643577455403586, 0.25703604924050527, 0.2501057906675441,
  0.24353667244537114, 0.23730141409765548, 0.231375389960226, 0.2257363173188729, 0.22036398695947668,
  0.21524002964853872, 0.21034771315002732, 0.2056717652757185, 0.20119821919842973,
];
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

  const smoothing = COEFFICIENTS[size - 1] ?? MIN_EXPONENT;
  const weighted = (second: number): number => {
    if (second - last > size) return 0;
    const zeros = Math.max(0, second - last);
    let weight = zeros > 0 ? smoothing * power(1 - smoothing, zeros) : smoothing;
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
    resized(nextMs) {
      const next = createAverageWindow(nextMs, aggregation);
      if (first === undefined) return next;
      for (let second = Math.max(first, last - size + 1); second <= last; second++) {
        next.record(second * 1000, buckets[second % size]!);
      }
      return next;
    },
    isEmpty: (now) => Math.floor(now / 1000) - last > size,
  };
}

/** By squaring, least bit first: rounded in the same places as Go's `math.Pow`. */
function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
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
