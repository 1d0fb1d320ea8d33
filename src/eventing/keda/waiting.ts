/** What waits for each subscription and source, and who is told when that becomes more or less than a bound. */
import type { LagReport } from '../model.ts';

interface Watch {
  above: number;
  active: boolean;
  tell(active: boolean): void;
}

export class Waiting {
  /** Only what is more than 0: as many as there are subscriptions and sources at most. */
  readonly #counts = new Map<string, number>();
  readonly #watches = new Map<string, Set<Watch>>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  report({ key, waiting }: LagReport): void {
    if (waiting > 0) this.#counts.set(key, waiting);
    else this.#counts.delete(key);
    for (const watch of this.#watches.get(key) ?? []) {
      const active = waiting > watch.above;
      if (active === watch.active) continue;
      watch.active = active;
      watch.tell(active);
    }
  }

  /** Tells whether more than `above` wait: now, and whenever that changes, until the function that it returns is called. */
  watch(key: string, above: number, tell: (active: boolean) => void): () => void {
    const watch: Watch = { above, active: this.of(key) > above, tell };
    const all = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, all.add(watch));
    tell(watch.active);
    return () => {
      all.delete(watch);
      if (all.size === 0 && this.#watches.get(key) === all) this.#watches.delete(key);
    };
  }
}
