/** What became of requests: counts by class of status and by time, as `RevisionOutcomes` describes them. */
import type { MirrorCounts, RevisionOutcomes } from '../contract.ts';

const CLASSES = 6;
const BUCKETS = 32;

/** The bucket for a time: the first `i` with `ms < 2^(i/2)`, the last one for everything else. */
export function latencyBucket(ms: number): number {
  if (ms < 1) return 0;
  return Math.min(BUCKETS - 1, Math.floor(2 * Math.log2(ms)) + 1);
}

function noOutcomes(): RevisionOutcomes {
  return { classes: new Array<number>(CLASSES).fill(0), latency: new Array<number>(BUCKETS).fill(0) };
}

/** What both tell together. */
export function addOutcomes(a: RevisionOutcomes | undefined, b: RevisionOutcomes): RevisionOutcomes {
  if (a === undefined) return b;
  return {
    classes: a.classes.map((n, i) => n + b.classes[i]!),
    latency: a.latency.map((n, i) => n + b.latency[i]!),
  };
}

/** What both tell together. */
export function addMirror(a: MirrorCounts | undefined, b: MirrorCounts): MirrorCounts {
  if (a === undefined) return b;
  const skipped = { ...a.skipped };
  for (const [reason, count] of Object.entries(b.skipped)) skipped[reason] = (skipped[reason] ?? 0) + count;
  return { copied: a.copied + b.copied, skipped };
}

export class OutcomeCounter {
  #counts = noOutcomes();

  /** `status` below 100 is an answer that never came or broke off; its time says nothing. */
  count(status: number, ms: number): void {
    const kind = Math.floor(status / 100);
    this.#counts.classes[kind]!++;
    if (kind > 0) this.#counts.latency[latencyBucket(ms)]!++;
  }

  /** What was counted since the last call. */
  take(): RevisionOutcomes {
    const taken = this.#counts;
    this.#counts = noOutcomes();
    return taken;
  }
}
