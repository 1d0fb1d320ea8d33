/** Deliveries of one subscription that wait in the state: when the next is due, which are under way, what is written of them. */
import { type Alarm, createAlarm } from '../../durable/alarm.ts';
import type { Parked, Position } from '../log/state/contract.ts';
import type { LaneEnvironment } from './environment.ts';
import { persist } from './persist.ts';
import { itemOf, type Task, taskOf } from './task.ts';

/** Rows that are fetched at a time. */
const AT_A_TIME = 32;

/** When to look again where the state could not say, ms. */
const LOOK_AGAIN_MS = 1000;

type Environment = Pick<LaneEnvironment, 'state' | 'clock' | 'log'>;

export class ParkedRows {
  /** Something may be due. */
  ready = false;
  /** Rows in the state. */
  count: number;
  readonly #key: string;
  readonly #env: Environment;
  readonly #to: { take(tasks: readonly Task[]): void; due(): void };
  readonly #alarm: Alarm;
  /** Rows that are in memory, and those whose end is not written yet. */
  readonly #out = new Set<number>();
  #done: number[] = [];
  #closed = false;

  /** `take` gets what is due; `due` is told that there is something. */
  constructor(key: string, env: Environment, to: { take(tasks: readonly Task[]): void; due(): void }) {
    this.#key = key;
    this.#env = env;
    this.#to = to;
    this.#alarm = createAlarm(env.clock, () => this.#look());
    this.count = env.state.parkedCount(key);
    if (this.count > 0) this.#watch(env.state.nextDue(key));
  }

  #look(): void {
    if (this.#closed) return;
    this.ready = true;
    this.#to.due();
  }

  #watch(at: number | undefined): void {
    if (at !== undefined && !this.#closed) this.#alarm.by(at);
  }

  /** Takes up to `most` that are due. */
  fetch(most: number): void {
    const { state, clock, log } = this.#env;
    const limit = Math.min(most, AT_A_TIME) + this.#out.size;
    const rows = state.due(this.#key, clock.now(), limit);
    const tasks: Task[] = [];
    for (const row of rows) {
      if (this.#out.has(row.id)) continue;
      this.#out.add(row.id);
      try {
        tasks.push(taskOfRow(row));
      } catch (error) {
        // It stays where it is: bytes that we cannot read now are not ours to throw away.
        log.error('a parked event cannot be read', { key: this.#key, id: row.id, error: String(error) });
      }
    }
    if (rows.length < limit) {
      this.ready = false;
      if (rows.length === 0) this.count = state.parkedCount(this.#key);
      // Those under way are still in the state, with the time at which they were due.
      const coming = state.due(this.#key, Number.MAX_SAFE_INTEGER, this.#out.size + 1);
      const next = coming.find(({ id }) => !this.#out.has(id))?.due;
      // An answer may be cut short by its bytes.
      this.#watch(next ?? (this.count > this.#out.size ? clock.now() + LOOK_AGAIN_MS : undefined));
    }
    if (tasks.length > 0) this.#to.take(tasks);
  }

  async park(rows: readonly Omit<Parked, 'id'>[], position?: Position): Promise<void> {
    await this.#env.state.park(rows, position);
    this.count += rows.length;
    for (const { due } of rows) this.#watch(due);
  }

  /** After another failed attempt. */
  async again(
    id: number,
    change: Pick<Parked, 'attempts' | 'due' | 'phase' | 'lastStatus' | 'lastBody' | 'lastError'>,
  ): Promise<void> {
    await this.#env.state.repark(id, change);
    this.#out.delete(id);
    this.#watch(change.due);
  }

  /** It was delivered. Those of one turn are written together. */
  done(id: number): void {
    this.count--;
    this.#done.push(id);
    if (this.#done.length > 1) return;
    queueMicrotask(() => {
      const ids = this.#done;
      this.#done = [];
      const write = () => this.#env.state.unpark(ids);
      void persist(this.#env, write, () => this.#closed).then((written) => {
        if (written) for (const one of ids) this.#out.delete(one);
      });
    });
  }

  /** It was taken away together with something else that was written. */
  forget(id: number): void {
    this.count--;
    this.#out.delete(id);
  }

  /** Takes all rows out of the state. */
  async clear(): Promise<void> {
    const { state } = this.#env;
    for (;;) {
      const rows = state.due(this.#key, Number.MAX_SAFE_INTEGER, 500);
      if (rows.length === 0) return;
      await state.unpark(rows.map(({ id }) => id));
    }
  }

  close(): void {
    this.#closed = true;
    this.#alarm.cancel();
  }
}

function taskOfRow(row: Parked): Task {
  const task = taskOf(itemOf(row.offset, row.at, row.record), undefined, false);
  task.parked = row.id;
  task.phase = row.phase;
  task.failures = row.attempts;
  if (row.lastError !== undefined || row.lastStatus !== undefined) {
    task.last = { destination: '', message: row.lastError ?? '' };
    if (row.lastStatus !== undefined) task.last.status = row.lastStatus;
    if (row.lastBody !== undefined) task.last.body = row.lastBody;
  }
  return task;
}
