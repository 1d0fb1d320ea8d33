/** How what holds on to a server comes to its end, whatever has become of the server. */
import { type Clock, sleep } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';

/** What a client may take to take its leave of a server, beyond the grace, milliseconds. */
const LEAVE_MS = 5000;
/** What it may take to notice that its connections are cut, milliseconds. */
const CUT_MS = 2000;

/** Whether `work` has ended after `ms` at most. Rejects as `work` does. */
export async function within(clock: Clock, work: Promise<unknown>, ms: number): Promise<boolean> {
  const over = new AbortController();
  const late = sleep(clock, ms, over.signal).then(() => false);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    over.abort();
  }
}

/**
 * Waits for the end of `running`, which has been told to stop. A client that waits for an answer of a server that died or stands still must not
 * hold up what comes after it: once the grace and the time to leave are over, `cut` ends its connections without a word.
 */
export async function leave(
  { clock, log, what }: { clock: Clock; log: Logger; what: string },
  running: Promise<unknown>,
  graceMs: number,
  cut: () => void,
): Promise<void> {
  if (await within(clock, running, graceMs + LEAVE_MS)) return;
  cut();
  if (!(await within(clock, running, CUT_MS)))
    log.warn('a source or sink does not end its connection; it is left', { what });
}

/** Calls `destroy` when the signal aborts, or has: for what a client opens and does not end by itself. */
export function onCut(cut: AbortSignal | undefined, destroy: () => void): void {
  if (cut?.aborted) destroy();
  else cut?.addEventListener('abort', destroy, { once: true });
}
