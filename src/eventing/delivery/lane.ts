/**
 * Deliveries of one subscription: what is next, how many at once, in which order, when again, and where it goes in the end. Where events
 * come from is not its concern.
 */
import type { Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { attribute } from '../../cloudevents/event.ts';
import type { DeadRow, Position } from '../log/state/contract.ts';
import type { SubscriptionSpec } from '../model.ts';
import type { LaneEnvironment } from './environment.ts';
import { type Attempted, attempt, bringToDeadLetters, headersOf, type Party, pass } from './exchange.ts';
import { ParkedRows } from './parked.ts';
import { Ready } from './ready.ts';
import { Settler } from './settler.ts';
import { type Item, owned, recordOf, type Task, taskOf } from './task.ts';
import { type Failure, KEPT_BODY, next } from './verdict.ts';

/** A wait up to this stays in memory, ms; a longer one goes to the state, so that the position moves on. */
const SHORT_MS = 5000;
/** The platform itself was not there: again after this time, ms. */
const POSTPONED_MS = 1000;
/** Deliveries at once that a subscription begins with; it gets more as they succeed. */
const AT_FIRST = 16;
/** What remains to one whose target does not answer. */
const AT_LEAST = 2;
/** Parked deliveries of a subscription beyond which it takes nothing new: its stream keeps the rest. */
const MOST_PARKED = 10_000;

/** What a lane is told by. */
export type LaneSpec = Pick<
  SubscriptionSpec,
  'key' | 'subscriber' | 'reply' | 'terms' | 'orderedBy' | 'concurrency' | 'batch' | 'paused'
> & {
  /** Address of the stream, for what is written. */
  stream: string;
  /** See `Party.broker`. */
  broker: boolean;
};

export interface LaneStats {
  delivered: number;
  failed: number;
  retried: number;
  dead: number;
  lastError: { at: number; message: string } | undefined;
}

/** Who owns a lane. */
export interface LaneHost {
  /** The task is resolved: delivered, dead, or waiting in the state. */
  resolved(task: Task): void;
  /** The position as it is when these are resolved; undefined: it has none. */
  position(tasks: ReadonlySet<Task>): Position | undefined;
  /** It will get nothing more before something of it is resolved: waiting for more is of no use. */
  full(): boolean;
  /** Something has changed that reports tell of. */
  changed(): void;
}

export class Lane {
  readonly stats: LaneStats = { delivered: 0, failed: 0, retried: 0, dead: 0, lastError: undefined };
  /** Tasks in memory, and what they weigh. */
  size = 0;
  bytes = 0;
  /** Attempts under way. */
  active = 0;
  readonly parked: ParkedRows;
  #spec: LaneSpec;
  #party: Party;
  readonly #env: LaneEnvironment;
  readonly #host: LaneHost;
  readonly #ready: Ready;
  readonly #timers = new Set<Timer>();
  readonly #settler: Settler;
  #allowed: number;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(spec: LaneSpec, env: LaneEnvironment, host: LaneHost) {
    this.#spec = spec;
    this.#party = partyOf(spec);
    this.#env = env;
    this.#host = host;
    this.#allowed = Math.min(AT_FIRST, spec.concurrency);
    this.#ready = new Ready(env.clock, () => this.pump());
    this.#settler = new Settler(env, {
      position: (tasks) => host.position(tasks),
      park: (rows, position) => this.parked.park(rows, position),
      parked: (task) => this.#leave(task),
      buried: (task, row) => this.#buried(task, row),
      failed: (error) => {
        this.#note(`it could not be written: ${messageOf(error)}`);
        host.changed();
      },
      moved: () => this.pump(),
    });
    this.parked = new ParkedRows(spec.key, env, {
      take: (tasks) => this.#take(tasks),
      due: () => this.pump(),
    });
  }

  get spec(): LaneSpec {
    return this.#spec;
  }

  /** Whether it may be given more than it has. */
  get takes(): boolean {
    return !this.#closed && this.parked.count < MOST_PARKED;
  }

  update(spec: LaneSpec): void {
    this.#spec = spec;
    this.#party = partyOf(spec);
    this.#allowed = Math.min(Math.max(this.#allowed, AT_LEAST), Math.max(1, spec.concurrency));
    this.pump();
  }

  /** A task for an event, with what orders it. */
  task(item: Item, counts: boolean): Task {
    const { orderedBy } = this.#spec;
    if (orderedBy === undefined) return taskOf(item, undefined, counts);
    if (orderedBy === '') return taskOf(item, '', counts);
    const value = attribute(item.event, orderedBy);
    return taskOf(item, value === undefined ? undefined : String(value), counts);
  }

  add(task: Task): void {
    this.#count(task, 1);
    this.#ready.add(task);
  }

  /** Gives a task up that was never added. */
  bury(task: Task, reason: string): void {
    this.#count(task, 1);
    this.#bury(task, reason);
  }

  /** Rows of the state that are due. */
  #take(tasks: readonly Task[]): void {
    for (const task of tasks) {
      this.#count(task, 1);
      this.#ready.again(task);
    }
  }

  /** Nothing is to be had by waiting for a larger batch: there is no room for more, and nothing is about to make some. */
  readonly #full = (): boolean =>
    this.active === 0 && this.#ready.length * 2 >= this.size && this.#host.full();

  #count({ item: { bytes } }: Task, one: 1 | -1): void {
    this.size += one;
    // What is held when it closes is given back then.
    if (this.#closed) return;
    this.bytes += one * bytes;
    this.#env.budget.bytes += one * bytes;
  }

  /** Begins what may begin. */
  pump(): void {
    if (this.#closed || this.#spec.paused) return;
    const { batch } = this.#spec;
    for (;;) {
      const most = Math.min(this.#allowed, this.#spec.concurrency);
      if (this.active >= most) return;
      if (this.parked.ready && this.#ready.length < most) this.parked.fetch(most - this.active);
      if (!this.#ready.startable(batch, this.#full) || !this.#env.slots.take(this)) return;
      this.active++;
      void this.#run(this.#ready.take(batch));
    }
  }

  async #run(tasks: readonly Task[]): Promise<void> {
    const { sender, clock, log, slots } = this.#env;
    const [first] = tasks;
    const { deadLetter } = this.#party.terms;
    let result: Attempted;
    try {
      if (first!.phase === 'deadLetter' && deadLetter !== undefined)
        result = await bringToDeadLetters(sender, clock, this.#party, deadLetter, first!);
      else if (first!.replies !== undefined)
        result = await pass(sender, clock, this.#party, first!, first!.replies);
      else result = await attempt(sender, clock, this.#party, tasks);
    } catch (error) {
      log.error('a delivery failed inside', { key: this.#spec.key, error: String((error as Error).stack) });
      const failure = { retryable: true, body: Buffer.alloc(0), message: 'the platform failed; see its log' };
      result = { is: 'failed', failure, destination: this.#party.subscriber?.url ?? '' };
    }
    this.active--;
    slots.release();
    if (this.#closed) {
      if (this.active === 0) this.#idle?.();
      // What was delivered is; the rest is for the next start.
      if (result.is !== 'done') return;
    }
    this.#learn(result);
    this.#remember(tasks, result);
    for (const task of tasks) this.#conclude(task, result);
    this.pump();
    slots.next();
  }

  /** A target that answers gets more at once, one that does not gets less: it would only hold what others could use. */
  #learn(result: Attempted): void {
    const answered =
      result.is !== 'postponed' && (result.is !== 'failed' || result.failure.status !== undefined);
    if (answered) {
      if (this.#allowed < this.#spec.concurrency) this.#allowed++;
    } else this.#allowed = Math.min(this.#spec.concurrency, Math.max(AT_LEAST, this.#allowed >> 1));
  }

  /** Keeps what the subscriber has answered when it could not be passed on: the subscriber is not asked again. */
  #remember(tasks: readonly Task[], result: Attempted): void {
    const replies = result.is === 'unpassed' || result.is === 'postponed' ? result.replies : undefined;
    const [task] = tasks;
    // Replies of a batch belong to no event of it: all is repeated. Without a subscriber, nobody has answered.
    if (replies === undefined || tasks.length > 1 || this.#party.subscriber === undefined) return;
    if (task!.phase === 'subscriber') task!.failures = 0;
    task!.phase = 'reply';
    task!.replies = replies;
  }

  #conclude(task: Task, result: Attempted): void {
    if (result.is === 'postponed') {
      this.#note(result.message);
      this.#again(task, POSTPONED_MS);
    } else if (result.is === 'done') this.#succeeded(task, result.status, result.replied);
    else if (result.is === 'partial' && !result.failed.has(task.item.event.id))
      this.#succeeded(task, result.failure.status, 0);
    else this.#failed(task, result.failure, result.destination);
  }

  #succeeded(task: Task, status: number | undefined, replied: number): void {
    const { paths } = this.#env;
    const { key, stream } = this.#spec;
    const { offset } = task.item;
    const dead = task.phase === 'deadLetter';
    if (dead) {
      this.stats.dead++;
      paths.note(stream, offset, key, 'dead', { status: task.last?.status, message: task.last?.message });
    } else {
      this.stats.delivered++;
      paths.delivered(stream, offset, key, status, task.failures + 1);
      if (replied > 0) paths.note(stream, offset, key, 'replied', { status });
    }
    if (task.parked !== 0) this.parked.done(task.parked);
    this.#finish(task, dead ? 'dead' : 'delivered');
  }

  #failed(task: Task, failure: Failure, destination: string): void {
    const { terms, subscriber } = this.#party;
    const { paths, random } = this.#env;
    const { key, stream } = this.#spec;
    task.failures++;
    this.stats.failed++;
    this.#note(failure.message);
    // Dead letters keep why the subscriber failed, not why their sink did.
    if (task.phase !== 'deadLetter') {
      task.last = { destination, message: failure.message };
      if (failure.status !== undefined) task.last.status = failure.status;
      if (failure.body.length > 0) task.last.body = Buffer.from(failure.body.subarray(0, KEPT_BODY));
    }
    const what = next(terms, task.failures, failure, random());
    if ('wait' in what) {
      this.stats.retried++;
      paths.note(stream, task.item.offset, key, 'retried', {
        status: failure.status,
        attempt: task.failures,
        message: failure.message,
      });
      if (this.#mayPark(task) && (task.parked !== 0 || what.wait > SHORT_MS)) this.#park(task, what.wait);
      else this.#again(task, what.wait);
      return;
    }
    if (task.phase !== 'deadLetter' && terms.deadLetter !== undefined) {
      task.phase = 'deadLetter';
      task.replies = undefined;
      if (task.last !== undefined) task.last.message = what.giveUp;
      task.failures = 0;
      this.#ready.again(task);
      return;
    }
    const reason =
      task.phase !== 'deadLetter'
        ? what.giveUp
        : `${task.last?.message ?? `it could not be delivered to ${subscriber?.url}`}; its dead letter sink: ${what.giveUp}`;
    this.#bury(task, reason);
  }

  /** What is ordered holds up what is behind it; a reply is in memory alone. */
  #mayPark(task: Task): boolean {
    return task.order === undefined && task.phase !== 'reply';
  }

  /** Tries again after a wait in memory. */
  #again(task: Task, ms: number): void {
    if (task.parked !== 0 && this.#mayPark(task)) {
      this.#park(task, ms);
      return;
    }
    if (ms > 0) task.item = owned(task.item);
    // Not in this turn even when it is due at once: the caller may be in the middle of its tasks.
    const timer = this.#env.clock.after(ms, () => {
      this.#timers.delete(timer);
      this.#ready.again(task);
      this.pump();
    });
    this.#timers.add(timer);
    this.#host.changed();
  }

  /** Lets the state keep it until it is due. */
  #park(task: Task, wait: number): void {
    const { item, last } = task;
    const { key, stream } = this.#spec;
    const change = {
      attempts: task.failures,
      due: this.#env.clock.now() + wait,
      phase: task.phase === 'deadLetter' ? ('deadLetter' as const) : ('subscriber' as const),
      lastStatus: last?.status,
      lastBody: last?.body,
      lastError: last?.message,
    };
    if (task.parked !== 0)
      void this.#settler
        .write(() => this.parked.again(task.parked, change))
        .then((written) => {
          if (written) this.#leave(task);
        });
    else
      this.#settler.park(task, {
        subscription: key,
        stream,
        offset: item.offset,
        at: item.at,
        record: recordOf(item),
        ...change,
      });
  }

  /** Given up: its bytes go to the dead letters. */
  #bury(task: Task, reason: string): void {
    const { item, last } = task;
    const { key, stream } = this.#spec;
    this.#settler.bury(task, {
      subscription: key,
      stream,
      offset: item.offset,
      at: item.at,
      diedAt: this.#env.clock.now(),
      attempts: task.phase === 'deadLetter' ? this.#party.terms.retry + 1 : task.failures,
      status: last?.status,
      reason,
      record: recordOf(item),
    });
  }

  /** It is in the dead letters. */
  #buried(task: Task, { offset, status, attempts, reason }: Omit<DeadRow, 'id'>): void {
    if (task.parked !== 0) this.parked.forget(task.parked);
    this.stats.dead++;
    const { key, stream } = this.#spec;
    this.#env.paths.note(stream, offset, key, 'dead', { status, attempt: attempts, message: reason });
    this.#finish(task, 'dead');
  }

  #note(message: string): void {
    this.stats.lastError = { at: this.#env.clock.now(), message };
  }

  #finish(task: Task, how: 'delivered' | 'dead'): void {
    this.#leave(task);
    task.done?.(how);
  }

  /** It is out of memory. */
  #leave(task: Task): void {
    this.#count(task, -1);
    if (this.#ready.leave(task)) this.pump();
    this.#host.resolved(task);
  }

  /** Begins nothing any more. Resolves when nothing is under way. */
  close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#ready.close();
    this.#env.budget.bytes -= this.bytes;
    this.bytes = 0;
    this.parked.close();
    this.#settler.close();
    if (this.active === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle = resolve;
    });
  }
}

function partyOf({ key, subscriber, reply, terms, broker }: LaneSpec): Party {
  return { subscriber, reply, terms, broker, headers: headersOf(key) };
}
