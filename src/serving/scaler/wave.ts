/** How many starts a report of the load allows: a storm of requests is met in waves, each twice as large as the one before. */

/** Starts allowed at once on account of one report. */
const FIRST_WAVE = 16;

export interface Wave {
  /** Takes permission for up to so many starts; returns how many may begin. */
  take(wanted: number): number;
  /** One more start, in the place of an instance that has gone: that is no growth. */
  replace(): void;
  /** A report has come; `lacking`: there is still less than is wanted. */
  reported(lacking: boolean): void;
  /** Time has passed without a report. */
  rest(): void;
  /** Nothing is wanted any more. */
  reset(): void;
}

/** Of one revision. */
export function createWave(): Wave {
  let size = FIRST_WAVE;
  let left = FIRST_WAVE;
  return {
    take(wanted) {
      const taken = Math.min(wanted, left);
      left -= taken;
      return taken;
    },
    replace() {
      left++;
    },
    reported(lacking) {
      size = lacking && left === 0 ? size * 2 : FIRST_WAVE;
      left = size;
    },
    rest() {
      left = Math.max(left, FIRST_WAVE);
    },
    reset() {
      left = size = FIRST_WAVE;
    },
  };
}
