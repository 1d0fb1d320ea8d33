/**
 * One subscription of a stream: it takes what the matcher finds for it at the stream's head, and when it cannot keep up (or begins with the
 * past) reads the log by itself from its own position until it is at the head again.
 */

import { messageOf } from '../../base/errors.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { compileFilters, type Filter, type FilterSpec, type Wanted } from '../../cloudevents/filter.ts';
import { MAX_BATCH } from '../../cloudevents/json.ts';
import type { Entry, Stream } from '../log/contract.ts';
import type { Position } from '../log/state/contract.ts';
import type { SubscriptionSpec, SubscriptionState } from '../model.ts';
import { Cursor } from './cursor.ts';
import type { LaneEnvironment } from './environment.ts';
import type { Head } from './head.ts';
import { Lane, type LaneSpec } from './lane.ts';
import { type Item, itemOf, itemOfUnreadable, type Task, taskOf } from './task.ts';

/** Events of one subscription in memory: as many as keep its deliveries busy, within these. */
const WINDOW = { least: 64, most: 1024, bytes: 1024 * 1024 } as const;
/** Events in memory for all subscriptions, bytes; beyond, each keeps no more than it has under way. */
const ALL_BYTES = 64 * 1024 * 1024;
/** What is read at a time, bytes. */
const CHUNK = 64 * 1024;

/** What is known of how far it came. */
export type Beginning = Pick<Position, 'low' | 'above' | 'since'>;

export interface SubscriptionHost {
  /** What is to be written or reported has changed. */
  changed(subscription: Subscription): void;
}

export class Subscription {
  readonly cursor: Cursor;
  readonly #since: number;
  readonly lane: Lane;
  #spec: SubscriptionSpec;
  readonly head: Head;
  readonly #host: SubscriptionHost;
  readonly #env: LaneEnvironment;
  #wanted: Wanted = {};
  #matches: Filter = () => true;
  /** Why its filters cannot be used. */
  problem: string | undefined;
  /** It is at the head. */
  #live = false;
  #started = false;
  #closed = false;
  #filling = false;
  #filteredBehind = 0;
  /** Matched since it is live, and what the head had told when it became so. */
  #matchedLive = 0;
  #liveSince = 0;
  #rooms: (() => void)[] = [];

  constructor(
    spec: SubscriptionSpec,
    head: Head,
    position: Beginning,
    env: LaneEnvironment,
    host: SubscriptionHost,
  ) {
    this.#spec = spec;
    this.head = head;
    this.#host = host;
    this.#env = env;
    this.cursor = new Cursor(position);
    this.#since = position.since;
    this.lane = new Lane(laneSpec(spec, head.stream), env, {
      resolved: (task) => this.#resolved(task),
      position: (tasks) => this.position(tasks),
      full: () => !this.#hasRoom,
      changed: () => host.changed(this),
    });
    this.#compile();
  }

  get spec(): SubscriptionSpec {
    return this.#spec;
  }

  get live(): boolean {
    return this.#live;
  }

  /** Everything below is looked at. */
  get seen(): number {
    return this.#live ? Math.max(this.cursor.seen, this.head.seen) : this.cursor.seen;
  }

  /** Everything below is resolved. */
  get low(): number {
    return this.cursor.low(this.seen);
  }

  /** Accepted and not delivered; what it has not looked at counts, whether it will match or not. */
  get waiting(): number {
    return this.cursor.unresolved + this.lane.parked.count + (this.#live ? 0 : this.#behind);
  }

  get #behind(): number {
    const { stream } = this.head;
    return Math.max(0, stream.end - Math.max(this.cursor.seen, stream.start));
  }

  get state(): SubscriptionState {
    const { delivered, failed, retried, dead, lastError } = this.lane.stats;
    const live = this.#live ? this.head.told - this.#liveSince - this.#matchedLive : 0;
    const state: SubscriptionState = {
      delivered,
      failed,
      retried,
      dead,
      filteredOut: this.#filteredBehind + live,
      waiting: this.waiting,
    };
    if (lastError !== undefined) state.lastError = lastError;
    return state;
  }

  /** The position; with `without`, as it is when those are resolved. */
  position(without?: ReadonlySet<Task>): Position {
    const { uid, key, stream } = this.#spec;
    const since = this.#since;
    return { uid, subscription: key, stream, since, ...this.cursor.snapshot(this.seen, without) };
  }

  /** Whether it has looked at an offset, and whether nothing is to be done about it any more. */
  looked(offset: number): boolean {
    return offset >= this.#since && offset < this.seen;
  }

  resolved(offset: number): boolean {
    return this.looked(offset) && this.cursor.isResolved(offset);
  }

  matches(event: CloudEvent): boolean {
    return this.problem === undefined && this.#matches(event);
  }

  update(spec: SubscriptionSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    this.lane.update(laneSpec(spec, this.head.stream));
    const filters = JSON.stringify([spec.filters, spec.attributes]);
    if (filters !== JSON.stringify([before.filters, before.attributes])) {
      this.#compile();
      // What it was live for has been told by the old ones.
      if (this.#live) this.head.attend(this, this.#wanted);
    }
    if ((spec.paused || this.problem !== undefined) && this.#live) this.#fallBehind(this.head.seen);
    this.fill();
  }

  #compile(): void {
    const { filters, attributes } = this.#spec;
    this.#wanted = { filters: filters as FilterSpec[] | undefined, attributes };
    try {
      this.#matches = compileFilters(this.#wanted).matches;
      this.problem = undefined;
    } catch (error) {
      // Admission refuses such; whatever waits is kept until the filter is corrected.
      this.problem = `its filter cannot be used: ${messageOf(error)}`;
      this.lane.stats.lastError = { at: this.#env.clock.now(), message: this.problem };
    }
  }

  /** Deliveries begin. */
  start(): void {
    this.#started = true;
    this.lane.pump();
    this.fill();
    // A paused one moves nothing that would tell what waited when the engine began.
    if (this.waiting > 0) this.#host.changed(this);
  }

  get #hasRoom(): boolean {
    const { lane } = this;
    if (!lane.takes) return false;
    const { concurrency, batch } = this.#spec;
    const busy = concurrency * (batch?.size ?? 1);
    if (this.#env.budget.bytes >= ALL_BYTES) return lane.size === 0;
    return (
      lane.size < Math.min(WINDOW.most, Math.max(WINDOW.least, 2 * busy)) &&
      (lane.bytes < WINDOW.bytes || lane.size < Math.min(busy, 4))
    );
  }

  /** The matcher has found an event for it at the head. */
  push(item: Item): void {
    if (!this.#live || item.offset < this.cursor.seen) return;
    if (!this.#hasRoom) {
      this.#fallBehind(item.offset);
      return;
    }
    this.#matchedLive++;
    const first = this.cursor.unresolved === 0;
    this.#add(item);
    if (first) this.#host.changed(this);
    this.lane.pump();
  }

  #add(item: Item): void {
    const task = this.lane.task(item, true);
    this.cursor.add(task);
    this.lane.add(task);
  }

  /** An event that is delivered once more, whatever its position says. */
  again(item: Item): void {
    this.lane.add(this.lane.task(item, false));
    this.lane.pump();
  }

  /** Resolves when there is room for another event, or it is closed. */
  room(): Promise<void> {
    if (this.#closed || this.#hasRoom) return Promise.resolve();
    return new Promise((resolve) => this.#rooms.push(resolve));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** From that offset on it reads by itself. */
  fallBehind(at: number): void {
    if (!this.#live) return;
    this.#fallBehind(at);
    this.head.hungry(this);
  }

  #fallBehind(at: number): void {
    this.#filteredBehind += this.head.told - this.#liveSince - this.#matchedLive;
    this.cursor.seen = at;
    this.#live = false;
    this.head.attend(this, undefined);
  }

  #catchUp(): void {
    this.#live = true;
    this.#liveSince = this.head.told;
    this.#matchedLive = 0;
    this.head.attend(this, this.#wanted);
    this.#host.changed(this);
  }

  #resolved(task: Task): void {
    if (task.counts) this.cursor.resolve(task);
    this.#host.changed(this);
    if (this.#rooms.length > 0 && this.#hasRoom) for (const resolve of this.#rooms.splice(0)) resolve();
    if (!this.#live && !this.#filling) this.fill();
  }

  /** Reads on from its own position, as long as there is room. */
  fill(): void {
    if (this.#filling || this.#live || !this.#mayRead || !this.#hasRoom) return;
    this.#filling = true;
    void this.#fill().then((more) => {
      this.#filling = false;
      // Who was told of room meanwhile has asked in vain.
      if (more) this.fill();
    });
  }

  get #mayRead(): boolean {
    return this.#started && !this.#closed && !this.#spec.paused && this.problem === undefined;
  }

  /** True: it ended because there was no room. */
  async #fill(): Promise<boolean> {
    const { stream } = this.head;
    while (this.#mayRead && this.#hasRoom) {
      if (this.cursor.seen >= this.head.seen) {
        this.#catchUp();
        return false;
      }
      let entries: Entry[];
      try {
        entries = await stream.read(this.cursor.seen, CHUNK);
      } catch (error) {
        this.lane.stats.lastError = {
          at: this.#env.clock.now(),
          message: `the stream cannot be read: ${messageOf(error)}`,
        };
        this.#env.log.error('a stream cannot be read', { stream: stream.spec.key, error: String(error) });
        await new Promise<void>((resolve) => this.#env.clock.after(1000, resolve));
        continue;
      }
      if (this.#closed) return false;
      if (entries.length === 0) {
        // Retention has taken what was between, or what the head has told of cannot be read yet.
        if (this.cursor.seen < stream.start) this.cursor.seen = stream.start;
        else {
          this.head.hungry(this);
          return false;
        }
        continue;
      }
      for (const entry of entries) {
        if (entry.offset < this.cursor.seen) continue;
        if (!this.#hasRoom) break;
        this.#look(entry);
      }
      this.lane.pump();
      this.#host.changed(this);
    }
    return true;
  }

  #look(entry: Entry): void {
    const { offset, at, record } = entry;
    const { cursor } = this;
    cursor.seen = offset + 1;
    if (cursor.skips(offset)) return;
    let item: Item;
    let matches: boolean;
    try {
      item = itemOf(offset, at, record);
      matches = this.#matches(item.event);
    } catch (error) {
      // A newer form of records, or a defect: nobody can be called with it, and it must not get lost.
      this.#env.log.error('an event in a stream cannot be read', {
        stream: this.#spec.stream,
        offset,
        error: String(error),
      });
      const task = taskOf(itemOfUnreadable(offset, at, record), undefined, true);
      cursor.add(task);
      this.lane.bury(task, `it cannot be read: ${messageOf(error)}`);
      return;
    }
    if (matches) this.#add(item);
    else this.#filteredBehind++;
  }

  /** Takes no part any more. Resolves when nothing is under way. */
  close(): Promise<void> {
    if (this.#live) this.#fallBehind(this.head.seen);
    this.#closed = true;
    for (const resolve of this.#rooms.splice(0)) resolve();
    return this.lane.close();
  }
}

function laneSpec(spec: SubscriptionSpec, stream: Stream): LaneSpec {
  const { batch } = spec;
  return {
    ...spec,
    ...(batch && { batch: { ...batch, size: Math.min(batch.size, MAX_BATCH) } }),
    stream: stream.spec.key,
    broker: stream.spec.ttl,
  };
}
