/** Stored events delivered once more, whatever the position says. In memory only: a restart ends a replay. */
import type { Entry, Stream } from '../log/contract.ts';
import type { Subscription } from './subscription.ts';
import { type Item, itemOf } from './task.ts';

const CHUNK = 256 * 1024;

/** What is replayed. */
export interface Range {
  /** Offsets, the second exclusive. */
  from: number;
  to: number;
  id?: string;
  /** When they were accepted: before that time, ms since the epoch. */
  until?: number;
}

/** Calls `each` with the entries of a range, as they can be read; waits for it. It may end the reading with false. */
export async function readRange(
  stream: Stream,
  { from, to, id, until }: Range,
  each: (item: Item) => Promise<boolean> | boolean,
): Promise<void> {
  let at = Math.max(from, stream.start);
  // An event of that id has it in its record: looking for bytes is cheaper than reading all of them.
  const needle = id === undefined ? undefined : Buffer.from(id);
  while (at < to) {
    const entries: Entry[] = await stream.read(at, CHUNK);
    if (entries.length === 0) {
      if (at >= stream.start) return;
      at = stream.start;
      continue;
    }
    for (const entry of entries) {
      if (entry.offset < at) continue;
      if (entry.offset >= to) return;
      at = entry.offset + 1;
      if (until !== undefined && entry.at >= until) return;
      if (needle !== undefined && !entry.record.includes(needle)) continue;
      const item = itemOf(entry.offset, entry.at, entry.record);
      if (id !== undefined && item.event.id !== id) continue;
      const more = each(item);
      if (!(typeof more === 'boolean' ? more : await more)) return;
    }
    // What came from memory came at once: let others have their turn.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/**
 * Begins to deliver a range again to those of the subscriptions that it matches, each at its own pace. Resolves with how many deliveries
 * that are.
 */
export async function replay(
  stream: Stream,
  subscriptions: readonly Subscription[],
  range: Range,
): Promise<number> {
  let count = 0;
  const last = new Map<Subscription, number>();
  await readRange(stream, range, ({ event, offset }) => {
    for (const one of subscriptions) {
      if (!one.matches(event)) continue;
      count++;
      last.set(one, offset);
    }
    return true;
  });
  for (const [one, offset] of last)
    void readRange(stream, { ...range, to: offset + 1 }, async (item) => {
      if (!one.matches(item.event)) return true;
      await one.room();
      if (one.closed) return false;
      one.again(item);
      return true;
    }).catch(() => {});
  return count;
}
