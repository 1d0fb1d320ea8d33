/** Writing what must not be forgotten. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';

/** The state could not be written: again after this time, ms. */
const AGAIN_MS = 1000;

/**
 * Writes until it is written: an outcome that is forgotten is repeated. False: `ended` came first, and what was to be written is found
 * again after the next start.
 */
export async function persist(
  { clock, log }: { clock: Clock; log: Logger },
  write: () => Promise<unknown>,
  ended: () => boolean,
  onError: (error: unknown) => void = () => {},
): Promise<boolean> {
  for (;;) {
    try {
      await write();
      return true;
    } catch (error) {
      if (ended()) return false;
      log.error('what became of a delivery could not be written', { error: String(error) });
      onError(error);
    }
    await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve));
    if (ended()) return false;
  }
}
