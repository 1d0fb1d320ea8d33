/**
 * How long an idle service stays warm, learnt from how long it was idle before: the hybrid histogram policy of Shahrad et al.,
 * "Serverless in the Wild" (USENIX ATC 2020). Idle times are counted in bins of a minute up to four hours. From the end of a
 * service's last request, its instance is let go until just before the next request is likely (the 5th percentile), and then
 * kept until one is unlikely to come any more (the 99th). Where the histogram says nothing yet, or nothing clear, a fixed
 * keep-alive holds. Where most idle times are longer than the histogram, the paper predicts by ARIMA; here the mean of the
 * last ones does, if they hardly differ (a nightly job), and otherwise the fixed keep-alive.
 */

export interface HybridSettings {
  binMs: number;
  bins: number;
  /** Percentiles at which warmth begins and ends, 0–1. */
  head: number;
  tail: number;
  /** By how much both are moved outwards, as a part of them. */
  margin: number;
  /** Idle times known before anything is concluded from them. */
  minSamples: number;
  /**
   * The histogram is clear when the coefficient of variation of its bins is at least this. The paper has 2; but with the few
   * requests of a rare service any histogram varies as much, and services without a rhythm would stay warm for hours.
   */
  minVariation: number;
  /** Part of idle times beyond the histogram from which it says nothing. */
  maxBeyond: number;
  /** Last idle times whose mean predicts the next when they are beyond the histogram, and how much they may vary. */
  recent: number;
  maxRecentVariation: number;
  /** Margin around that mean. */
  recentMargin: number;
  /** Keep-alive while nothing better is known, milliseconds. */
  standardMs: number;
}

export const HYBRID_DEFAULTS: HybridSettings = {
  binMs: 60_000,
  bins: 240,
  head: 0.05,
  tail: 0.99,
  margin: 0.1,
  minSamples: 5,
  minVariation: 2.5,
  maxBeyond: 0.5,
  recent: 5,
  maxRecentVariation: 0.1,
  recentMargin: 0.15,
  standardMs: 600_000,
};

/** Counted from the end of the last request: cold for `prewarmMs`, then warm for `keepAliveMs`. */
export interface WarmWindow {
  prewarmMs: number;
  keepAliveMs: number;
}

/** What is remembered of one service's idle times: half a kilobyte. */
export interface IdleHistory {
  /** An idle time has ended with a request, after so many milliseconds. */
  observe(idleMs: number): void;
  /** When to be warm during the idle time that follows. */
  window(): WarmWindow;
}

/** Whether to be warm now, and when that changes; `againMs` undefined: only a request changes it. */
export interface WarmPlan {
  warm: boolean;
  againMs: number | undefined;
}

/** The plan after so many milliseconds without a request. */
export function warmPlan({ prewarmMs, keepAliveMs }: WarmWindow, idleMs: number): WarmPlan {
  if (idleMs < prewarmMs) return { warm: false, againMs: Math.ceil(prewarmMs - idleMs) };
  const left = prewarmMs + keepAliveMs - idleMs;
  return left > 0 ? { warm: true, againMs: Math.ceil(left) } : { warm: false, againMs: undefined };
}

/** A keep-alive that is always the same, for comparison: what most platforms do. */
export function fixedKeepAlive(keepAliveMs: number): IdleHistory {
  const window = { prewarmMs: 0, keepAliveMs };
  return { observe() {}, window: () => window };
}

function rounded(prewarmMs: number, keepAliveMs: number): WarmWindow {
  return { prewarmMs: Math.round(prewarmMs), keepAliveMs: Math.round(keepAliveMs) };
}

/** Counts are halved when one of them would not fit any more. */
const FULL = 0xffff;

export function createIdleHistory(settings: HybridSettings = HYBRID_DEFAULTS): IdleHistory {
  const { bins, binMs } = settings;
  const counts = new Uint16Array(bins);
  let within = 0;
  let beyond = 0;
  let squares = 0;
  let recent: number[] = [];
  let known: WarmWindow | undefined;

  const halve = () => {
    within = squares = 0;
    for (let bin = 0; bin < bins; bin++) {
      const count = counts[bin]! >> 1;
      counts[bin] = count;
      within += count;
      squares += count * count;
    }
    beyond >>= 1;
  };

  /** Upper or lower edge of the bin in which the percentile lies, milliseconds. */
  const percentile = (part: number, upper: boolean): number => {
    const rank = Math.max(1, Math.ceil(part * within));
    let seen = 0;
    for (let bin = 0; bin < bins; bin++) {
      seen += counts[bin]!;
      if (seen >= rank) return (bin + (upper ? 1 : 0)) * binMs;
    }
    return bins * binMs;
  };

  /**
   * Standard deviation of the bins' counts over their mean, without the part that a few samples show by mere chance: as much
   * as their mean, when each falls into any bin.
   */
  const variation = (): number => {
    const mean = within / bins;
    return mean === 0 ? 0 : Math.sqrt(Math.max(0, squares / bins - mean * mean - mean)) / mean;
  };

  const predicted = (): WarmWindow | undefined => {
    if (recent.length < settings.recent) return undefined;
    const mean = recent.reduce((sum, idle) => sum + idle, 0) / recent.length;
    const deviation = Math.sqrt(recent.reduce((sum, idle) => sum + (idle - mean) ** 2, 0) / recent.length);
    if (deviation > settings.maxRecentVariation * mean) return undefined;
    const { recentMargin } = settings;
    return rounded(mean * (1 - recentMargin), 2 * mean * recentMargin);
  };

  const compute = (): WarmWindow => {
    const standard = { prewarmMs: 0, keepAliveMs: settings.standardMs };
    const total = within + beyond;
    if (total < settings.minSamples) return standard;
    if (beyond > settings.maxBeyond * total) return predicted() ?? standard;
    if (variation() < settings.minVariation) return standard;
    const head = percentile(settings.head, false);
    const tail = percentile(settings.tail, true);
    const prewarmMs = head * (1 - settings.margin);
    return rounded(prewarmMs, tail * (1 + settings.margin) - prewarmMs);
  };

  return {
    observe(idleMs) {
      known = undefined;
      const bin = Math.floor(idleMs / binMs);
      if (bin >= bins) beyond++;
      else {
        if (counts[bin] === FULL) halve();
        squares += 2 * counts[bin]! + 1;
        counts[bin]!++;
        within++;
      }
      recent = [...recent.slice(1 - settings.recent), idleMs];
    },
    window() {
      known ??= compute();
      return known;
    },
  };
}
