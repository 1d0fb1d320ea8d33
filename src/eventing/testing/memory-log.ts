/** The log and the state of an engine in memory, for tests: what is "on disk" outlives a crash that a test makes up. */
import type { Clock, Timer } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Entry, EventLog, Stream } from '../log/contract.ts';
import type { DeadRow, EngineState, Parked, Position } from '../log/state/contract.ts';
import type { StreamSpec } from '../model.ts';

/** What outlives a crash. */
export interface Disk {
  streams: Map<string, { spec: StreamSpec; entries: Entry[]; start: number }>;
  positions: Map<string, Position>;
  parked: Map<number, Parked>;
  dead: Map<number, DeadRow>;
  checkpoints: Map<string, unknown>;
  ids: number;
}

export const newDisk = (): Disk => ({
  streams: new Map(),
  positions: new Map(),
  parked: new Map(),
  dead: new Map(),
  checkpoints: new Map(),
  ids: 0,
});

/** Faults that a test may switch on. */
export interface Faults {
  /** Nothing can be written. */
  full?: boolean;
  /** The process is gone: whatever is asked never comes to an end. */
  crashed?: boolean;
}

const never = <T>(): Promise<T> => new Promise(() => {});

function guard<T>(faults: Faults, work: () => T): Promise<T> {
  if (faults.crashed) return never();
  // On disk some turns later, as with a real one; nothing of it when the crash comes before.
  return new Promise((resolve, reject) =>
    setImmediate(() => {
      if (faults.crashed) return;
      if (faults.full) reject(new PetrelError('DiskFull', 'the disk is full'));
      else resolve(work());
    }),
  );
}

/** A stream that keeps everything; `read` answers at once, or later where `slow`. */
class MemoryStream implements Stream {
  spec: StreamSpec;
  needed = 0;
  readonly #disk: { entries: Entry[]; start: number };
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>();
  readonly #keys = new Map<string, number>();
  readonly #faults: Faults;

  constructor(spec: StreamSpec, disk: { entries: Entry[]; start: number }, faults: Faults) {
    this.spec = spec;
    this.#disk = disk;
    this.#faults = faults;
  }

  get start(): number {
    return this.#disk.start;
  }

  get end(): number {
    return this.#disk.start + this.#disk.entries.length;
  }

  get bytes(): number {
    return this.#disk.entries.reduce((sum, { record }) => sum + record.length, 0);
  }

  update(spec: StreamSpec): void {
    this.spec = spec;
  }

  append(record: Buffer, at: number, dedupKey?: string): Promise<{ offset: number; duplicate: boolean }> {
    return guard(this.#faults, () => {
      const known = dedupKey === undefined ? undefined : this.#keys.get(dedupKey);
      if (known !== undefined) return { offset: known, duplicate: true };
      const offset = this.end;
      const entry = { offset, at, record };
      this.#disk.entries.push(entry);
      if (dedupKey !== undefined) this.#keys.set(dedupKey, offset);
      for (const listener of this.#listeners) listener([entry]);
      return { offset, duplicate: false };
    });
  }

  read(from: number, maxBytes: number): Entry[] | Promise<Entry[]> {
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#disk.entries.slice(Math.max(0, from - this.start))) {
      if (found.length > 0 && bytes + entry.record.length > maxBytes) break;
      bytes += entry.record.length;
      found.push(entry);
    }
    // What is older comes from the disk.
    return from < this.end - 8 ? guard(this.#faults, () => found) : found;
  }

  onAppend(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  need(offset: number): void {
    this.needed = offset;
  }

  async seek(at: number): Promise<number> {
    return this.#disk.entries.find((entry) => entry.at >= at)?.offset ?? this.end;
  }
}

export interface MemoryLog extends EventLog {
  readonly opened: Map<string, MemoryStream>;
}

export function memoryEventLog(disk: Disk, faults: Faults = {}): MemoryLog {
  const opened = new Map<string, MemoryStream>();
  return {
    opened,
    async open(spec) {
      if (faults.full) throw new PetrelError('DiskFull', 'the disk is full');
      let kept = disk.streams.get(spec.key);
      if (kept === undefined || kept.spec.uid !== spec.uid) {
        kept = { spec, entries: [], start: 0 };
        disk.streams.set(spec.key, kept);
      }
      const stream = new MemoryStream(spec, kept, faults);
      opened.set(spec.key, stream);
      return stream;
    },
    async remove(key) {
      opened.delete(key);
      disk.streams.delete(key);
    },
    keys: async () => [...disk.streams.keys()],
    close: async () => {},
  };
}

/** Positions are written a second after they were saved, or with a flush: as with the real one, a crash before that loses them. */
export function memoryEngineState(disk: Disk, faults: Faults, clock: Clock): EngineState {
  let unsaved = new Map<string, Position>();
  let timer: Timer | undefined;
  const write = () => {
    timer?.cancel();
    timer = undefined;
    for (const position of unsaved.values()) disk.positions.set(position.uid, position);
    unsaved = new Map();
  };
  const put = (position: Position | undefined) => {
    if (position === undefined) return;
    unsaved.delete(position.uid);
    disk.positions.set(position.uid, position);
  };
  const rowsOf = (subscription: string) =>
    [...disk.parked.values()]
      .filter((row) => row.subscription === subscription)
      .sort((a, b) => a.due - b.due || a.id - b.id);
  return {
    positions: () => [...disk.positions.values()].map((one) => structuredClone(one)),
    savePosition(position) {
      unsaved.set(position.uid, structuredClone(position));
      timer ??= clock.after(1000, () => {
        timer = undefined;
        if (!faults.crashed && !faults.full) write();
      });
    },
    dropPosition(uid) {
      unsaved.delete(uid);
      disk.positions.delete(uid);
    },
    park: (rows, position) =>
      guard(faults, () => {
        put(position);
        return rows.map((row) => {
          const id = ++disk.ids;
          disk.parked.set(id, { id, ...row });
          return id;
        });
      }),
    repark: (id, change) =>
      guard(faults, () => {
        const row = disk.parked.get(id);
        if (row !== undefined) disk.parked.set(id, { ...row, ...change });
      }),
    unpark: (ids) =>
      guard(faults, () => {
        for (const id of ids) disk.parked.delete(id);
      }),
    due: (subscription, until, limit) =>
      rowsOf(subscription)
        .filter((row) => row.due <= until)
        .slice(0, limit),
    nextDue: (subscription) => rowsOf(subscription)[0]?.due,
    parkedCount: (subscription) => rowsOf(subscription).length,
    bury: (deaths, position) =>
      guard(faults, () => {
        put(position);
        return deaths.map(({ row, parked }) => {
          if (parked !== undefined) disk.parked.delete(parked);
          const id = ++disk.ids;
          disk.dead.set(id, { id, ...row });
          return id;
        });
      }),
    dead: ({ subscription, namespace, after = 0, limit, ids }) =>
      [...disk.dead.values()]
        .filter(
          (row) =>
            row.id > after &&
            (subscription === undefined || row.subscription === subscription) &&
            (namespace === undefined || row.subscription.split('/')[1] === namespace) &&
            (ids === undefined || ids.includes(row.id)),
        )
        .slice(0, limit),
    exhume: (ids) => guard(faults, () => ids.filter((id) => disk.dead.delete(id)).length),
    checkpoint: (key) => disk.checkpoints.get(key),
    saveCheckpoint: (key, value) => guard(faults, () => void disk.checkpoints.set(key, value)),
    dropCheckpoint: (key) => void disk.checkpoints.delete(key),
    sweep: async () => {},
    flush: () => guard(faults, write),
    close: async () => {},
  };
}
