/**
 * Writes what becomes of deliveries that did not succeed: late retries and deaths, those of a moment together and each write after the
 * one before. A write carries the position as it is with what it writes; side by side, the later one could take back what the earlier said.
 */
import type { DeadRow, Parked, Position } from '../log/state/contract.ts';
import type { LaneEnvironment } from './environment.ts';
import { persist } from './persist.ts';
import type { Task } from './task.ts';

/** Rows of one write. */
const AT_A_TIME = 256;

type ParkedRow = Omit<Parked, 'id'>;
type DeathRow = Omit<DeadRow, 'id'>;

export interface SettlerHost {
  position(tasks: ReadonlySet<Task>): Position | undefined;
  park(rows: readonly ParkedRow[], position: Position | undefined): Promise<void>;
  parked(task: Task): void;
  buried(task: Task, row: DeathRow): void;
  /** A write failed; it is tried again. */
  failed(error: unknown): void;
  /** Something was written. */
  moved(): void;
}

export class Settler {
  readonly #env: Pick<LaneEnvironment, 'state' | 'clock' | 'log'>;
  readonly #host: SettlerHost;
  #parks = new Map<Task, ParkedRow>();
  #deaths = new Map<Task, DeathRow>();
  #writing = false;
  #closed = false;

  constructor(env: Pick<LaneEnvironment, 'state' | 'clock' | 'log'>, host: SettlerHost) {
    this.#env = env;
    this.#host = host;
  }

  park(task: Task, row: ParkedRow): void {
    this.#parks.set(task, row);
    void this.#write();
  }

  bury(task: Task, row: DeathRow): void {
    this.#deaths.set(task, row);
    void this.#write();
  }

  /** Something else that must be written. False: the end came first. */
  write(work: () => Promise<unknown>): Promise<boolean> {
    return persist(
      this.#env,
      work,
      () => this.#closed,
      (error) => this.#host.failed(error),
    );
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    // What comes in this turn goes together.
    await Promise.resolve();
    const host = this.#host;
    while (!this.#closed && this.#parks.size + this.#deaths.size > 0) {
      const parks = take(this.#parks);
      if (
        parks.size > 0 &&
        (await this.write(() => host.park([...parks.values()], host.position(new Set(parks.keys())))))
      )
        for (const task of parks.keys()) host.parked(task);
      const deaths = take(this.#deaths);
      if (deaths.size > 0 && (await this.write(() => this.#bury(deaths))))
        for (const [task, row] of deaths) host.buried(task, row);
      host.moved();
    }
    this.#writing = false;
  }

  #bury(deaths: ReadonlyMap<Task, DeathRow>): Promise<unknown> {
    const rows = [...deaths].map(([{ parked }, row]) => (parked === 0 ? { row } : { row, parked }));
    return this.#env.state.bury(rows, this.#host.position(new Set(deaths.keys())));
  }

  close(): void {
    this.#closed = true;
  }
}

function take<Row>(from: Map<Task, Row>): Map<Task, Row> {
  const taken = new Map<Task, Row>();
  for (const [task, row] of from) {
    if (taken.size === AT_A_TIME) break;
    taken.set(task, row);
    from.delete(task);
  }
  return taken;
}
