/** Attempts under way in all. Each subscription has a few for certain, so that those whose targets hang leave the others theirs. */

/** Most attempts at once in all, beyond what each has for certain. */
const MOST = 4096;
/** What each subscription has for certain. */
const CERTAIN = 2;

interface Taker {
  readonly active: number;
  pump(): void;
}

export class Slots {
  #taken = 0;
  readonly #waiting = new Set<Taker>();

  /** Whether one more may begin; if not, `taker.pump` is called when it may. */
  take(taker: Taker): boolean {
    if (this.#taken >= MOST && taker.active >= CERTAIN) {
      this.#waiting.add(taker);
      return false;
    }
    this.#taken++;
    return true;
  }

  release(): void {
    this.#taken--;
  }

  /** Lets one who waits begin; they take turns. */
  next(): void {
    for (const one of this.#waiting) {
      if (this.#taken >= MOST) return;
      this.#waiting.delete(one);
      one.pump();
    }
  }
}
