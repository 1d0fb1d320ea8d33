/**
 * The way of what is accepted: into the journal, which is what the caller waits for, and from there into the file in groups, in order. The
 * file's own flushes, which would get in the way of the journal's, come twice a second at most; the journal is kept until then.
 * What the journal does not take (it is large, or the file is behind) is acknowledged when it is in the file.
 */
import { deserialize, serialize } from 'node:v8';
import { type Clock, sleep, type Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CommandTerms } from '../../durable/committer.ts';
import { type Journal, openJournal } from '../../durable/journal.ts';
import type { InvocationCommand, NewInvocation } from './types.ts';

/** What is larger gains nothing from the journal, bytes of all bodies. */
const JOURNAL_BYTES = 128 * 1024;
/** Bounds of one commit. */
const GROUP = { invocations: 1000, bytes: 16 * 1024 * 1024 } as const;
/** What is in the file is flushed after this time at the latest, ms. */
const SYNC_MS = 500;
/** What was acknowledged and could not be put into the file is tried again after this time, ms. */
const AGAIN_MS = 1000;

export interface Accepted {
  /** The id that stands for the request now. */
  id: string;
  /** It was known already. */
  duplicate: boolean;
}

export interface AcceptingOptions {
  /** The file; the journal's begin with its name. */
  path: string;
  /** Identity of the file, and the last of the journal's records that is in it. */
  journal: { id: number; upTo: number };
  clock: Clock;
  log: Logger;
  /** Carries out the command on the file; see `Committer.run`. */
  write(command: InvocationCommand, terms: CommandTerms): Promise<unknown>;
  /** The id remembered for a de-duplication key in the file, at that time. */
  known(target: string, key: string, at: number): string | undefined;
  /** It is in the file now. */
  stored(invocation: NewInvocation): void;
}

export interface Accepting {
  /** Resolves when they are on disk, with one answer for each. Rejects with `PetrelError` when they are not. */
  accept(invocations: readonly NewInvocation[]): Promise<Accepted[]>;
  /** Resolves when what was accepted under that id is in the file; undefined: it is, or was never accepted. */
  arriving(id: string): Promise<void> | undefined;
  /** Resolves when everything accepted so far is in the file. */
  settled(): Promise<void>;
  /** Something was written to the file without waiting for the disk: it is flushed soon. */
  syncSoon(): void;
  /** What is accepted is put into the file, if the disk lets it: else it stays in the journal. */
  close(): Promise<void>;
}

interface Entry {
  invocations: NewInvocation[];
  bytes: number;
  /** Of its record in the journal. */
  number?: number;
  /** On disk, in the journal. */
  safe: boolean;
  acknowledged: PromiseWithResolvers<void>;
  stored: PromiseWithResolvers<void>;
}

const keyOf = ({ target, dedup }: NewInvocation): string | undefined => dedup && `${target}\n${dedup.key}`;

export function createAccepting(options: AcceptingOptions): Accepting {
  const { clock, log, write, known, stored } = options;
  const stopping = new AbortController();
  /** What is not in the file yet. */
  const queue: Entry[] = [];
  const entries = new Map<string, Entry>();
  const keys = new Map<string, { id: string; entry: Entry }>();
  let writing: Promise<void> | undefined;
  /** The last record of the journal that is in the file. */
  let inFile = options.journal.upTo;
  let timer: Timer | undefined;

  const entryOf = (invocations: NewInvocation[]): Entry => {
    const entry: Entry = {
      invocations,
      bytes: invocations.reduce((sum, { request }) => sum + request.body.length + 512, 0),
      safe: false,
      acknowledged: Promise.withResolvers(),
      stored: Promise.withResolvers(),
    };
    entry.acknowledged.promise.catch(() => {});
    entry.stored.promise.catch(() => {});
    return entry;
  };
  const note = (entry: Entry, invocation: NewInvocation) => {
    entries.set(invocation.id, entry);
    const key = keyOf(invocation);
    if (key !== undefined) keys.set(key, { id: invocation.id, entry });
  };
  const forget = (entry: Entry) => {
    for (const invocation of entry.invocations) {
      entries.delete(invocation.id);
      const key = keyOf(invocation);
      if (key !== undefined) keys.delete(key);
    }
  };

  const take = (): Entry[] => {
    let invocations = 0;
    let bytes = 0;
    let count = 0;
    for (const entry of queue) {
      invocations += entry.invocations.length;
      bytes += entry.bytes;
      if (count > 0 && (invocations > GROUP.invocations || bytes > GROUP.bytes)) break;
      count++;
    }
    return queue.splice(0, count);
  };

  const writeGroup = async (group: readonly Entry[]): Promise<void> => {
    const upTo = group.findLast(({ number }) => number !== undefined)?.number;
    const command: InvocationCommand = {
      do: 'accept',
      invocations: group.flatMap(({ invocations }) => invocations),
      ...(upTo === undefined ? {} : { upTo }),
    };
    const bytes = group.reduce((sum, entry) => sum + entry.bytes, 0);
    const unsynced = group.every(({ safe }) => safe);
    await write(command, { bytes, unsynced });
    if (upTo !== undefined) inFile = upTo;
    if (unsynced) syncSoon();
    else journal.release(inFile);
    for (const entry of group) {
      forget(entry);
      entry.acknowledged.resolve();
      entry.stored.resolve();
      for (const invocation of entry.invocations) stored(invocation);
    }
  };

  const sync = async () => {
    const upTo = inFile;
    try {
      await write({ do: 'sync', upTo }, {});
      journal.release(upTo);
    } catch (error) {
      log.warn('invocations could not be flushed to disk; they stay in the journal', {
        error: messageOf(error),
      });
      if (!stopping.signal.aborted) syncSoon();
    }
  };
  const syncSoon = () => {
    timer ??= clock.after(SYNC_MS, () => {
      timer = undefined;
      void sync();
    });
  };

  /** Who waits is told of the failure; what is acknowledged stays, in its order. */
  const refuse = (group: readonly Entry[], error: unknown) => {
    for (const entry of group) {
      if (entry.safe) continue;
      forget(entry);
      entry.acknowledged.reject(error);
      entry.stored.reject(error);
    }
    queue.unshift(...group.filter(({ safe }) => safe));
  };

  const drain = async () => {
    while (queue.length > 0) {
      const group = take();
      try {
        await writeGroup(group);
      } catch (error) {
        refuse(group, error);
        if (!group.some(({ safe }) => safe)) continue;
        log.error('accepted invocations could not be put into their file', { error: messageOf(error) });
        if (stopping.signal.aborted) break;
        await sleep(clock, AGAIN_MS, stopping.signal);
      }
    }
    writing = undefined;
  };
  const enter = (entry: Entry) => {
    queue.push(entry);
    writing ??= drain();
  };

  const keep = (entry: Entry) => {
    const record = entry.bytes > JOURNAL_BYTES ? undefined : journal.append(serialize(entry.invocations));
    if (record === undefined) return enter(entry);
    entry.number = record.number;
    record.written.then(
      () => {
        entry.safe = true;
        entry.acknowledged.resolve();
        enter(entry);
      },
      () => enter(entry),
    );
  };

  const opened = openJournal({
    path: `${options.path}-accepted`,
    id: options.journal.id,
    after: options.journal.upTo,
    failed: (error) =>
      log.warn('the journal of invocations cannot be used: accepting is slower', {
        error: messageOf(error),
      }),
  });
  const journal: Journal = opened.journal;
  for (const { number, record } of opened.left) {
    const entry = entryOf(deserialize(record) as NewInvocation[]);
    for (const invocation of entry.invocations) note(entry, invocation);
    enter(Object.assign(entry, { number, safe: true }));
  }

  const settled = async () => {
    await Promise.all([...new Set(entries.values())].map((entry) => entry.stored.promise));
  };

  return {
    async accept(invocations) {
      const fresh: NewInvocation[] = [];
      const entry = entryOf(fresh);
      const waits = new Set<Promise<void>>();
      const answers = invocations.map((invocation): Accepted => {
        const key = keyOf(invocation);
        const before = key === undefined ? undefined : keys.get(key);
        if (before !== undefined) {
          waits.add(before.entry.acknowledged.promise);
          return { id: before.id, duplicate: true };
        }
        const { target, dedup, acceptedAt } = invocation;
        const id = dedup && known(target, dedup.key, acceptedAt);
        if (id !== undefined) return { id, duplicate: true };
        fresh.push(invocation);
        note(entry, invocation);
        return { id: invocation.id, duplicate: false };
      });
      if (fresh.length > 0) {
        entry.bytes = fresh.reduce((sum, { request }) => sum + request.body.length + 512, 0);
        waits.add(entry.acknowledged.promise);
        keep(entry);
      }
      await Promise.all(waits);
      return answers;
    },
    arriving: (id) => entries.get(id)?.stored.promise,
    settled,
    syncSoon,
    async close() {
      stopping.abort();
      await journal.close();
      await writing;
      timer?.cancel();
    },
  };
}
