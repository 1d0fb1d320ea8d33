/** The instances that one revision holds, and what the gateway is told of them. */
import type { Gateway } from '../../gateway/contract.ts';
import type { Instance } from '../contract.ts';

/** Why an instance takes no requests now. */
type Absence = 'source' | 'gateway' | 'unready';

interface Held {
  instance: Instance;
  /** Since when it has been up, milliseconds. */
  since: number;
  down?: { by: Absence; at: number; asked: boolean };
  /** Times in a row that the gateway lost it. */
  strikes: number;
}

export interface FleetOptions {
  key: string;
  gateway: Gateway;
  now: () => number;
  /** Ends the instance; it takes no requests any more. */
  release(instanceId: string): Promise<void>;
  /** How long requests may go on after an instance has left the gateway, milliseconds. */
  graceMs: number;
}

export interface Fleet {
  /** Instances that take requests. */
  readonly ready: number;
  /** Instances that are expected back. */
  readonly absent: number;
  /** Those of them that run, and only say that they can take no requests. */
  readonly unready: number;
  /** When the oldest ready instance came up; undefined when there is none. */
  readonly oldest: number | undefined;
  /** Ids of the ready ones. */
  readonly ids: string[];
  has(id: string): boolean;
  add(instance: Instance): void;
  /**
   * It no longer takes requests. Returns how long it lived, milliseconds; undefined when it was not up. `asked`: it is being asked
   * whether it is well, and is not tried again before `answered`.
   */
  down(id: string, by: Absence, asked?: boolean): number | undefined;
  /** The answer to what it was asked is there; that it is gone would have been told by `down`. */
  answered(id: string): void;
  /** Milliseconds until something is due: an absent one that is to be tried again, or to be given up. */
  dueIn(): number | undefined;
  /** Does what is due. */
  settle(): void;
  /** Gives up what is absent and, beyond that, the `count` youngest: they leave the gateway, drain, and are released. */
  shed(count: number): void;
  /**
   * Takes the youngest ready one out of service for another use. Resolves to its id when no request is on it any more; to
   * undefined when there is none, or when its requests take longer than `withinMs`: then it is given up as usual.
   */
  give(withinMs: number): Promise<string | undefined>;
  /** One that is of no use any more: it leaves and is released. False when it is not held. */
  discard(id: string): boolean;
  /** Gives up everything. Resolves when all has drained. */
  dissolve(): Promise<void>;
}

/** A crashed instance that its source has not brought back by then is replaced. */
const RETURN_MS = 5000;
/**
 * An instance that is not ready keeps its place for so long, even while requests wait: its readiness is to hold them back, not to
 * have one instance after the other started. Upstream keeps its place for ever.
 */
const UNREADY_MS = 10_000;
/** After how long one that is absent is given up. */
const GIVEN_UP_MS: Record<Absence, number> = { gateway: 0, source: RETURN_MS, unready: UNREADY_MS };
const RETRY_MS = 100;
const MAX_STRIKES = 5;

export function createFleet(options: FleetOptions): Fleet {
  const { key, gateway, now } = options;
  const held = new Map<string, Held>();
  const leaving = new Set<Promise<void>>();

  const push = () => {
    const up = [...held.values()].filter(({ down }) => !down);
    gateway.setEndpoints(
      key,
      up.map(({ instance }) => ({
        id: instance.id,
        address: instance.address,
        ...(instance.zone && { zone: instance.zone }),
      })),
    );
  };

  const release = (id: string) => {
    const leave = gateway
      .drained(key, id, options.graceMs)
      .then(() => options.release(id))
      .finally(() => leaving.delete(leave));
    leaving.add(leave);
  };

  const letGo = (ids: string[]) => {
    if (ids.length === 0) return;
    for (const id of ids) held.delete(id);
    push();
    for (const id of ids) release(id);
  };

  const dueAt = ({ down, strikes }: Held): number | undefined => {
    if (!down || down.asked) return undefined;
    if (down.by === 'gateway' && strikes < MAX_STRIKES) return down.at + RETRY_MS * 2 ** (strikes - 1);
    return down.at + GIVEN_UP_MS[down.by];
  };

  return {
    get ready() {
      let count = 0;
      for (const { down } of held.values()) if (!down) count++;
      return count;
    },
    get absent() {
      let count = 0;
      for (const { down } of held.values()) if (down) count++;
      return count;
    },
    get unready() {
      let count = 0;
      for (const { down } of held.values()) if (down?.by === 'unready') count++;
      return count;
    },
    get oldest() {
      let oldest: number | undefined;
      for (const { down, since } of held.values()) if (!down) oldest = Math.min(oldest ?? since, since);
      return oldest;
    },
    get ids() {
      return [...held].filter(([, { down }]) => !down).map(([id]) => id);
    },
    has: (id) => held.has(id),
    add(instance) {
      held.set(instance.id, { instance, since: now(), strikes: 0 });
      push();
    },
    down(id, by, asked = false) {
      const entry = held.get(id);
      if (!entry) return undefined;
      if (entry.down) {
        // The source knows best: what it calls gone is not to be tried.
        if (by !== 'gateway') {
          entry.down.by = by;
          entry.down.asked = false;
        }
        return undefined;
      }
      entry.down = { by, at: now(), asked };
      if (by === 'gateway') entry.strikes++;
      push();
      return now() - entry.since;
    },
    answered(id) {
      const entry = held.get(id);
      if (entry?.down) entry.down.asked = false;
    },
    dueIn() {
      let first: number | undefined;
      for (const entry of held.values()) {
        const at = dueAt(entry);
        if (at !== undefined) first = Math.min(first ?? at, at);
      }
      return first === undefined ? undefined : Math.max(0, first - now());
    },
    settle() {
      const lost: string[] = [];
      let changed = false;
      for (const [id, entry] of held) {
        const at = dueAt(entry);
        if (at === undefined || at > now()) continue;
        if (entry.down?.by === 'gateway' && entry.strikes < MAX_STRIKES) {
          entry.down = undefined;
          changed = true;
        } else lost.push(id);
      }
      if (changed) push();
      letGo(lost);
    },
    shed(count) {
      const absent = [...held].filter(([, { down }]) => down).map(([id]) => id);
      const up = [...held].filter(([, { down }]) => !down).map(([id]) => id);
      letGo([...absent, ...up.slice(up.length - Math.min(count, up.length))]);
    },
    async give(withinMs) {
      const id = [...held].findLast(([, { down }]) => !down)?.[0];
      if (id === undefined) return undefined;
      held.delete(id);
      push();
      const begun = now();
      await gateway.drained(key, id, withinMs);
      if (now() - begun < withinMs) return id;
      release(id);
      return undefined;
    },
    discard(id) {
      if (!held.has(id)) return false;
      letGo([id]);
      return true;
    },
    async dissolve() {
      letGo([...held.keys()]);
      await Promise.all(leaving);
    },
  };
}
