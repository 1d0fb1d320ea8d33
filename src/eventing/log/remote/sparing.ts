/** Work that is asked for often and done now and then. */
import { type Clock, sleep } from '../../../base/clock.ts';

/**
 * Does it at once, and then every `ms` at most: what is asked for meanwhile is done once, after that time. `work` must not reject. After
 * `signal` nothing begins.
 */
export function atMostEvery(
  ms: number,
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<void>,
): () => void {
  let busy = false;
  let again = false;
  const ask = (): void => {
    if (signal.aborted) return;
    again = busy;
    if (busy) return;
    busy = true;
    void work()
      .then(() => sleep(clock, ms, signal))
      .then(() => {
        busy = false;
        if (again) ask();
      });
  };
  return ask;
}
