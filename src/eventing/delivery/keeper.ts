/** Writes positions down some time after they have moved, and tells streams what is needed of them. Idle, it does nothing and has no timer. */
import type { Clock, Timer } from '../../base/clock.ts';
import type { EngineState } from '../log/state/contract.ts';
import type { Head } from './head.ts';
import type { Subscription } from './subscription.ts';

/** Between a delivery and its position being written, ms: at first, and while there is one after the other. What a kill repeats. */
const WRITE_MS = { first: 20, apart: 200 } as const;
/** Positions that moved only because nothing matched are written less often, in rounds: nothing but a look is repeated after a crash. */
const SELDOM = 25;

export class Keeper {
  readonly #state: EngineState;
  readonly #clock: Clock;
  readonly #changed = new Set<Subscription>();
  readonly #moved = new Set<Head>();
  #timer: Timer | undefined;
  #round = 0;
  /** When it last wrote, on the monotonic clock. */
  #written = Number.NEGATIVE_INFINITY;
  #closed = false;
  #allSet = false;

  constructor(state: EngineState, clock: Clock) {
    this.#state = state;
    this.#clock = clock;
  }

  /** Something of a subscription is resolved. */
  changed(subscription: Subscription): void {
    this.#changed.add(subscription);
    this.#arm();
  }

  /** A head has told of something. */
  moved(head: Head): void {
    this.#moved.add(head);
    this.#arm();
  }

  forget(subscription: Subscription): void {
    this.#changed.delete(subscription);
  }

  #arm(): void {
    if (this.#closed) return;
    if (this.#timer !== undefined) return;
    const wait = Math.max(WRITE_MS.first, this.#written + WRITE_MS.apart - this.#clock.monotonic());
    this.#timer = this.#clock.after(wait, () => {
      this.#timer = undefined;
      this.#written = this.#clock.monotonic();
      this.#write(++this.#round % SELDOM === 0);
      // It says by itself when it cannot, and tries again.
      this.#state.flush().catch(() => {});
      if (this.#changed.size + this.#moved.size > 0) this.#arm();
    });
  }

  #write(all: boolean): void {
    const heads = new Set<Head>();
    for (const one of this.#changed) {
      this.#state.savePosition(one.position());
      heads.add(one.head);
    }
    this.#changed.clear();
    if (all) {
      for (const head of this.#moved) {
        for (const one of head.subscriptions) this.#state.savePosition(one.position());
        heads.add(head);
      }
      this.#moved.clear();
    }
    for (const head of heads) this.need(head);
  }

  /** All subscriptions have been set: from now on it is known what nobody needs. */
  allSet(): void {
    this.#allSet = true;
  }

  /** Tells the stream what is needed of it. */
  need(head: Head): void {
    if (!this.#allSet) return;
    head.stream.need(head.needed ?? Number.MAX_SAFE_INTEGER);
  }

  /** Everything, now. */
  write(): void {
    this.#write(true);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
