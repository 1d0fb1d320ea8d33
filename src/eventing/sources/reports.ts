/** How a source goes, as the controllers hear it: what has changed, at most once a second. */
import type { Clock, Timer } from '../../base/clock.ts';

/** See `EngineReports.source`. */
export interface SourceState {
  ready: boolean;
  reason: string;
  message: string;
  lag?: number;
}

const INTERVAL_MS = 1000;

/** Lets through the newest state; not what says the same again. */
export class StateReports {
  readonly #clock: Clock;
  readonly #tell: (state: SourceState) => void;
  #told: SourceState | undefined;
  #newest: SourceState | undefined;
  #at = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(clock: Clock, tell: (state: SourceState) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  report(state: SourceState): void {
    this.#newest = state;
    if (this.#timer !== undefined) return;
    if (same(this.#told, state)) return;
    const wait = this.#at + INTERVAL_MS - this.#clock.monotonic();
    // Lag that rises from nothing wakes what scales by it.
    const urgent = (state.lag ?? 0) > 0 && (this.#told?.lag ?? 0) === 0;
    if (wait <= 0 || urgent) this.#send();
    else this.#timer = this.#clock.after(wait, () => this.#send());
  }

  #send(): void {
    this.#timer = undefined;
    const state = this.#newest;
    if (state === undefined || same(this.#told, state)) return;
    this.#told = state;
    this.#at = this.#clock.monotonic();
    this.#tell(state);
  }

  close(): void {
    this.#timer?.cancel();
    this.#newest = undefined;
  }
}

function same(a: SourceState | undefined, b: SourceState): boolean {
  return (
    a !== undefined &&
    a.ready === b.ready &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.lag === b.lag
  );
}
