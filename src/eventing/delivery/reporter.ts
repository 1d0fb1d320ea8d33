/** Reports of subscriptions: at most one a second for each, but at once when something begins to wait. No timer while nothing changes. */
import type { Clock, Timer } from '../../base/clock.ts';
import type { EngineReports } from '../model.ts';
import type { Head } from './head.ts';
import type { Subscription } from './subscription.ts';

const EVERY_MS = 1000;

export class Reporter {
  readonly #reports: Pick<EngineReports, 'subscription' | 'lag'>;
  readonly #clock: Clock;
  readonly #changed = new Set<Subscription>();
  readonly #moved = new Set<Head>();
  /** The lag told last, of those who are told of. */
  readonly #told = new Map<Subscription, number>();
  #timer: Timer | undefined;

  constructor(reports: Pick<EngineReports, 'subscription' | 'lag'>, clock: Clock) {
    this.#reports = reports;
    this.#clock = clock;
  }

  changed(subscription: Subscription): void {
    if ((this.#told.get(subscription) ?? 0) === 0) {
      const { waiting } = subscription;
      if (waiting > 0) this.#lag(subscription, waiting);
    }
    this.#changed.add(subscription);
    this.#arm();
  }

  #lag(subscription: Subscription, waiting: number): void {
    const { key, subscriber } = subscription.spec;
    this.#told.set(subscription, waiting);
    this.#reports.lag({ key, route: subscriber?.route, waiting });
  }

  #tell(): void {
    this.#timer = undefined;
    for (const head of this.#moved)
      for (const one of head.subscriptions) if (!one.live) this.#changed.add(one);
    this.#moved.clear();
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const one of changed) {
      const { state } = one;
      this.#reports.subscription(one.spec.key, state);
      if (state.waiting !== (this.#told.get(one) ?? 0)) this.#lag(one, state.waiting);
    }
  }

  /** A head has told of something: what waits for those who are behind it is more. */
  moved(head: Head): void {
    this.#moved.add(head);
    this.#arm();
  }

  #arm(): void {
    this.#timer ??= this.#clock.after(EVERY_MS, () => this.#tell());
  }

  /** Nothing waits for it any more: it is gone. */
  forget(subscription: Subscription): void {
    this.#changed.delete(subscription);
    const told = this.#told.get(subscription) ?? 0;
    this.#told.delete(subscription);
    const { key, subscriber } = subscription.spec;
    if (told > 0) this.#reports.lag({ key, route: subscriber?.route, waiting: 0 });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#changed.clear();
    this.#moved.clear();
  }
}
