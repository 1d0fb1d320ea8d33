/** The head of a stream, where all subscriptions are that keep up: each new event is looked at once, for all subscriptions that keep up. */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Wanted } from '../../cloudevents/filter.ts';
import { createFilterIndex } from '../../cloudevents/filter-index.ts';
import type { Entry, Stream } from '../log/contract.ts';
import type { Subscription } from './subscription.ts';
import { itemOf } from './task.ts';

export class Head {
  readonly stream: Stream;
  /** The next offset that it tells of. */
  seen: number;
  /** Events that it has told of. */
  told = 0;
  readonly subscriptions = new Set<Subscription>();
  readonly #index = createFilterIndex<Subscription>();
  #hungry = new Set<Subscription>();
  readonly #found: Subscription[] = [];
  readonly #log: Logger;
  readonly #moved: () => void;
  readonly #stop: () => void;

  /** `moved`: something was told of. */
  constructor(stream: Stream, log: Logger, moved: () => void) {
    this.stream = stream;
    this.#log = log;
    this.#moved = moved;
    this.seen = stream.end;
    this.#stop = stream.onAppend((entries) => this.#tell(entries));
  }

  /** It wants to be asked to `fill` with the next event. */
  hungry(subscription: Subscription): void {
    this.#hungry.add(subscription);
  }

  /** It takes part in the matching, or not. */
  attend(subscription: Subscription, wanted: Wanted | undefined): void {
    if (wanted === undefined) this.#index.delete(subscription);
    else this.#index.set(subscription, wanted);
  }

  #tell(entries: readonly Entry[]): void {
    for (const entry of entries) {
      // Appended before and written after this began: who wants it reads it.
      if (entry.offset < this.seen) continue;
      if (this.#index.size > 0) {
        try {
          this.#match(entry);
        } catch (error) {
          // None may miss it: each looks at it by itself.
          this.#log.error('an event cannot be matched', { offset: entry.offset, error: messageOf(error) });
          this.#found.length = 0;
          for (const one of this.subscriptions) one.fallBehind(entry.offset);
        }
      }
      this.seen = entry.offset + 1;
      this.told++;
    }
    if (this.#hungry.size > 0) {
      const hungry = this.#hungry;
      this.#hungry = new Set();
      for (const one of hungry) one.fill();
    }
    this.#moved();
  }

  #match(entry: Entry): void {
    const item = itemOf(entry.offset, entry.at, entry.record);
    const found = this.#found;
    this.#index.match(item.event, found);
    for (let i = 0; i < found.length; i++) found[i]!.push(item);
    found.length = 0;
  }

  /** The lowest offset that a subscription needs; none: there is no subscription. */
  get needed(): number | undefined {
    let least: number | undefined;
    for (const one of this.subscriptions) if (least === undefined || one.low < least) least = one.low;
    return least;
  }

  close(): void {
    this.#stop();
  }
}
