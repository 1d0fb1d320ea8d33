/** How long to wait before the next attempt. */

export interface BackoffOptions {
  /** Wait after the first failure, milliseconds. */
  baseMs: number;
  /** Longest wait, milliseconds. */
  maxMs: number;
  /** Uniform in [0, 1). */
  random: () => number;
}

/** Exponential back-off with equal jitter: between half and all of `base · 2^(failures − 1)`, capped. `failures` counts from 1. */
export function backoffDelay(failures: number, options: BackoffOptions): number {
  const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * options.random();
}
