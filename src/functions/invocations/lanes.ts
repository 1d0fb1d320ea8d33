/**
 * Which invocation is next. Every target has a lane with a bounded window of ids that are due; the file holds the rest. Lanes take
 * turns, and none has more than its share in flight, so one slow function holds up nobody else.
 */

/** Ids of one lane that are kept in memory. */
export const WINDOW = 256;
/** Attempts under way: of one lane unless its function says less, and in all. */
export const IN_FLIGHT = { lane: 32, all: 512 } as const;
/** Attempts of a lane that are over but not written yet, as a multiple of its share: a disk that does not keep up slows it down. */
const UNWRITTEN = 8;

export interface Lane {
  readonly target: string;
  /** Due, in order. */
  readonly ready: Set<string>;
  /** The file has due ones that are not in `ready`. */
  more: boolean;
  /** Under way, or over and not written yet. */
  readonly active: Map<string, AbortController>;
  /** Under way. */
  running: number;
  /** Queued in all, in the file and here. */
  queued: number;
}

export interface LanesOptions {
  /** Most attempts of a target at once. */
  share(target: string): number;
  /** Ids of a target that are due, the earliest first. */
  due(target: string, limit: number): string[];
  /** Begins an attempt: it is `running` until `answered`, and in `lane.active` until `ended`. */
  begin(lane: Lane, id: string, abort: AbortController): void;
  /** Whether another attempt may begin, besides all counts. */
  room(): boolean;
}

export interface Lanes {
  lane(target: string): Lane;
  /** An id that is due. One that is known already changes nothing. */
  push(target: string, id: string): void;
  /** There are due ones in the file. */
  look(target: string): void;
  /** The attempt is over; what came of it is to be written. */
  answered(lane: Lane): void;
  ended(lane: Lane, id: string): void;
  /** Begins what may begin. */
  pump(): void;
  readonly all: IterableIterator<Lane>;
  /** Under way, or over and not written yet. */
  readonly active: number;
}

export function createLanes({ share, due, begin, room }: LanesOptions): Lanes {
  const lanes = new Map<string, Lane>();
  /** Lanes that may have something to begin, in the order of their turns. */
  const turns = new Set<Lane>();
  let running = 0;
  let active = 0;

  const lane = (target: string): Lane => {
    let found = lanes.get(target);
    if (found === undefined) {
      found = { target, ready: new Set(), more: false, active: new Map(), running: 0, queued: 0 };
      lanes.set(target, found);
    }
    return found;
  };

  const refill = (one: Lane) => {
    if (one.ready.size > 0 || !one.more) return;
    // Those under way are still queued in the file.
    const limit = WINDOW + one.active.size;
    const found = due(one.target, limit);
    for (const id of found) if (!one.active.has(id)) one.ready.add(id);
    one.more = found.length === limit;
  };

  /** Begins one of a lane; false when there is none. */
  const step = (one: Lane): boolean => {
    const most = share(one.target);
    if (one.running >= most || one.active.size >= most * UNWRITTEN) return false;
    refill(one);
    const [id] = one.ready;
    if (id === undefined) return false;
    one.ready.delete(id);
    const abort = new AbortController();
    one.active.set(id, abort);
    one.running++;
    running++;
    active++;
    begin(one, id, abort);
    return true;
  };

  const pump = () => {
    for (const one of turns) {
      if (running >= IN_FLIGHT.all || !room()) return;
      turns.delete(one);
      if (step(one)) turns.add(one); // behind the others
    }
  };

  return {
    lane,
    push(target, id) {
      const one = lane(target);
      if (one.active.has(id) || one.ready.has(id)) return;
      // Behind those in the file, or it would overtake them.
      if (one.more || one.ready.size >= WINDOW) one.more = true;
      else one.ready.add(id);
      turns.add(one);
    },
    look(target) {
      const one = lane(target);
      one.more = true;
      turns.add(one);
    },
    answered(one) {
      one.running--;
      running--;
      turns.add(one);
    },
    ended(one, id) {
      if (one.active.delete(id)) active--;
      if (one.active.size === 0 && one.ready.size === 0 && !one.more && one.queued <= 0)
        lanes.delete(one.target);
      else turns.add(one);
    },
    pump,
    get all() {
      return lanes.values();
    },
    get active() {
      return active;
    },
  };
}
