/** How many retries a route may make, so that retries never multiply an overload. */
import { RollingWindow } from './window.ts';

/** Retries in one second that are allowed however few requests there are. Each worker has its own. */
const MIN_PER_SECOND = 3;

export class RetryBudget {
  readonly #percent: number;
  readonly #window = new RollingWindow();

  constructor(percent: number) {
    this.#percent = percent;
  }

  /** A request has come. */
  request(now: number): void {
    this.#window.add(now, 1, 0);
  }

  /** Takes one retry; false when the budget of the last ten seconds is used up. */
  take(now: number): boolean {
    const { first, second } = this.#window.sums(now);
    const allowed =
      (second + 1) * 100 <= first * this.#percent ||
      (this.#percent > 0 && this.#window.secondNow(now) < MIN_PER_SECOND);
    if (allowed) this.#window.add(now, 0, 1);
    return allowed;
  }
}
