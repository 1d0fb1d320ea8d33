/** Instances of one revision that are being started, each until the progress deadline. */
import type { Clock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Instance } from '../contract.ts';

export interface StartsOptions {
  clock: Clock;
  /** Milliseconds one start may take. */
  deadlineMs(): number;
  acquire(signal: AbortSignal): Promise<Instance>;
  /** One that came up after it was given up. */
  discard(id: string): void;
  up(instance: Instance): void;
  failed(error: unknown): void;
}

export interface Starts {
  readonly count: number;
  begin(): void;
  /** Gives up all of them. */
  abort(): void;
}

export function createStarts({ clock, deadlineMs, acquire, discard, up, failed }: StartsOptions): Starts {
  const running = new Set<AbortController>();
  return {
    get count() {
      return running.size;
    },
    begin() {
      const abort = new AbortController();
      running.add(abort);
      const deadline = deadlineMs();
      const late = clock.after(deadline, () => {
        abort.abort();
        if (!running.delete(abort)) return;
        failed(new PetrelError('Timeout', `no instance came up within ${Math.round(deadline / 1000)} s`));
      });
      acquire(abort.signal).then(
        (instance) => {
          late.cancel();
          running.delete(abort);
          if (abort.signal.aborted) discard(instance.id);
          else up(instance);
        },
        (error) => {
          late.cancel();
          if (running.delete(abort) && !abort.signal.aborted) failed(error);
        },
      );
    },
    abort() {
      for (const abort of running) abort.abort();
    },
  };
}
