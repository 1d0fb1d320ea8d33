/** Tasks of one key one after the other, of different keys side by side. */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>();

  /** Keys whose tasks are under way. */
  get size(): number {
    return this.#tails.size;
  }

  /** Runs `task` when those before it with the same key have come to their end. `task` must not reject. */
  run(key: string, task: () => Promise<void>): Promise<void> {
    const before = this.#tails.get(key);
    const mine: Promise<void> = (before === undefined ? task() : before.then(task)).then(() => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    });
    this.#tails.set(key, mine);
    return mine;
  }
}
