/** Streams on disk: one directory for each, opened when something is set. */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { storageError } from '../../base/sqlite.ts';
import { createAlarm } from '../../durable/alarm.ts';
import type { StreamSpec } from '../model.ts';
import type { EventLog, Stream } from './contract.ts';
import { DedupMemory } from './dedup.ts';
import { type Files, systemFiles } from './files.ts';
import { Handles } from './handles.ts';
import { HotMemory } from './hot.ts';
import { firstOffsetOf } from './segment.ts';
import { Segments } from './segments.ts';
import { LogStream } from './stream.ts';

/** Files that stay open while nobody reads or writes them. */
const OPEN_FILES = 64;
/** Newest entries in memory, over all streams, bytes. */
const HOT_BYTES = 16 * 1024 * 1024;
/** Form of the files; a newer one is refused. */
const FORMAT = 1;

export interface EventLogOptions {
  /** Made when it is not there and something is to be kept. */
  dir: string;
  clock: Clock;
  log: Logger;
  files?: Files;
  /** Bound on the newest entries kept in memory, over all streams, bytes. */
  hotBytes?: number;
}

/** What says whose a directory is. */
interface Label {
  format: number;
  key: string;
  uid: string;
}

/** Opens the log of one home; nothing is made before the first stream. */
export async function openLog(options: EventLogOptions): Promise<EventLog> {
  const { clock, log, files = systemFiles, hotBytes = HOT_BYTES } = options;
  const root = join(options.dir, 'streams');
  const handles = new Handles(files, OPEN_FILES);
  const memory = new HotMemory(hotBytes);
  const dedup = new DedupMemory();
  const streams = new Map<string, LogStream>();
  /** What is done to a key, one after the other. */
  const turns = new Map<string, Promise<unknown>>();
  const alarm = createAlarm(clock, () => {
    for (const stream of streams.values()) void stream.expire();
  });
  let discarded = 0;
  let closed = false;

  const inTurn = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(key) ?? Promise.resolve()).then(work, work);
    turns.set(key, turn);
    const done = () => {
      if (turns.get(key) === turn) turns.delete(key);
    };
    turn.then(done, done);
    return turn;
  };

  /** Out of the way at once and whole; a crash leaves a name that the next start takes away. */
  const discard = async (directory: string) => {
    const away = join(root, `.gone-${process.pid}-${Date.now()}-${discarded++}`);
    await files.rename(directory, away);
    await files.syncDirectory(root);
    await files.removeDirectory(away);
  };

  const labelOf = async (directory: string): Promise<Label | undefined> => {
    const bytes = await files.load(join(directory, 'stream.json'));
    try {
      return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as Label);
    } catch {
      return undefined;
    }
  };

  /** What is above the streams' own directories has been synced. */
  let rooted = false;

  const make = async (directory: string, { key, uid }: StreamSpec) => {
    await files.makeDirectory(directory);
    const label: Label = { format: FORMAT, key, uid };
    await files.save(join(directory, 'stream.json'), Buffer.from(JSON.stringify(label)));
    await files.syncDirectory(directory);
    await files.syncDirectory(root);
    if (rooted) return;
    for (const above of [options.dir, dirname(options.dir)]) await files.syncDirectory(above);
    rooted = true;
  };

  const open = async (spec: StreamSpec): Promise<Stream> => {
    if (closed) throw new PetrelError('NotReady', 'the event log is closed', { fix: 'Try again.' });
    const there = streams.get(spec.key);
    if (there !== undefined && there.spec.uid === spec.uid) {
      there.update(spec);
      return there;
    }
    if (there !== undefined) {
      streams.delete(spec.key);
      await there.close(false);
    }
    const directory = join(root, directoryName(spec.key));
    try {
      const label = await labelOf(directory);
      if (label !== undefined && label.format > FORMAT)
        throw new PetrelError('StartFailed', `${directory} was written by a newer version of Petrel`, {
          why: `Its format is ${label.format}, this version knows ${FORMAT}.`,
          fix: 'Use the newer version again, or another PETREL_HOME.',
        });
      if (label?.uid !== spec.uid) {
        const names = await files.list(directory);
        if (label === undefined && names.some((name) => firstOffsetOf(name) !== undefined))
          log.error('whose an event log is cannot be read; its events are kept', { directory });
        else if (names.length > 0) await discard(directory);
        await make(directory, spec);
      }
      const storage = { files, handles, log };
      const stream = new LogStream({
        spec,
        storage,
        segments: await Segments.open(storage, directory),
        memory,
        dedup,
        clock,
        expireAt: (at) => alarm.by(at),
      });
      streams.set(spec.key, stream);
      return stream;
    } catch (error) {
      throw storageError(error, directory);
    }
  };

  for (const name of await files.list(root)) {
    if (!name.startsWith('.gone-')) continue;
    files.removeDirectory(join(root, name)).catch((error: unknown) => {
      log.warn('a removed event stream could not be taken away', { name, error: messageOf(error) });
    });
  }

  return {
    open: (spec) => inTurn(spec.key, () => open(spec)),
    remove: (key) =>
      inTurn(key, async () => {
        const stream = streams.get(key);
        streams.delete(key);
        await stream?.close(false);
        const directory = join(root, directoryName(key));
        try {
          if ((await files.list(directory)).length > 0) await discard(directory);
        } catch (error) {
          throw storageError(error, directory);
        }
      }),
    async keys() {
      const names = (await files.list(root)).filter((name) => !name.startsWith('.'));
      const labels = await Promise.all(names.map((name) => labelOf(join(root, name))));
      return labels.flatMap((label) => (label === undefined ? [] : [label.key]));
    },
    async close() {
      closed = true;
      alarm.cancel();
      await Promise.allSettled(turns.values());
      await Promise.all([...streams.values()].map((stream) => stream.close(true)));
      streams.clear();
      await handles.close();
    },
  };
}

/** Longest name that is made of the key itself; file systems know 255 bytes. */
const LONGEST_NAME = 200;

/** A key as the name of a directory: what a file name cannot hold is written in per cent, a long one is cut and ends in its digest. */
function directoryName(key: string): string {
  const name = encodeURIComponent(key).replace(/^\./, '%2E').replaceAll('%2F', '~');
  if (name.length <= LONGEST_NAME) return name;
  return `${name.slice(0, LONGEST_NAME - 33)}~${createHash('sha256').update(key).digest('hex').slice(0, 32)}`;
}
