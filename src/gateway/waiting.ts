/** The requests of one revision that wait for an instance, in their order; any of them can leave at any time. */
import type { Exchange } from './exchange.ts';

export class WaitingLine {
  first: Exchange | null = null;
  #last: Exchange | null = null;

  push(x: Exchange): void {
    x.previous = this.#last;
    if (this.#last === null) this.first = x;
    else this.#last.next = x;
    this.#last = x;
  }

  /** Before all others: it has waited before. */
  unshift(x: Exchange): void {
    x.next = this.first;
    if (this.first === null) this.#last = x;
    else this.first.previous = x;
    this.first = x;
  }

  remove(x: Exchange): void {
    if (x.previous === null) this.first = x.next;
    else x.previous.next = x.next;
    if (x.next === null) this.#last = x.previous;
    else x.next.previous = x.previous;
    x.previous = x.next = null;
  }
}
