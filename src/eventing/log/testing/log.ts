/** Logs in directories of their own, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Clock, systemClock } from '../../../base/clock.ts';
import { createLogger, type Logger } from '../../../base/log.ts';
import type { StreamSpec } from '../../model.ts';
import type { Entry, EventLog, Stream } from '../contract.ts';
import type { Files } from '../files.ts';
import { openLog } from '../index.ts';

export const MIB = 1024 * 1024;

export function spec(change: Partial<StreamSpec> = {}): StreamSpec {
  return {
    key: 'broker/default/orders',
    uid: 'u1',
    maxAgeMs: 3_600_000,
    maxBytes: 100 * MIB,
    hardMaxBytes: 200 * MIB,
    dedupMs: 0,
    maxEventBytes: MIB,
    ttl: true,
    reportTypes: true,
    ...change,
  };
}

export function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pl-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Where the files of the stream of `spec()` are. */
export const filesOf = (dir: string): string => join(dir, 'streams', 'broker~default~orders');

export interface Opened {
  log: EventLog;
  /** What was logged, one message each. */
  said: string[];
}

export async function opened(
  t: TestContext,
  dir: string,
  options: { clock?: Clock; files?: Files; hotBytes?: number } = {},
): Promise<Opened> {
  const said: string[] = [];
  const logger: Logger = createLogger('debug', (line) => said.push(JSON.parse(line).message));
  const log = await openLog({ dir, clock: systemClock, log: logger, ...options });
  t.after(() => log.close());
  return { log, said };
}

export const text = (entries: readonly Entry[]): string[] => entries.map(({ record }) => record.toString());

/** All from that offset on, in pieces. */
export async function all(stream: Stream, from = 0, piece = 64 * 1024): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let next = from; ; ) {
    const some = await stream.read(next, piece);
    const last = some.at(-1);
    if (last === undefined) return entries;
    entries.push(...some);
    next = last.offset + 1;
  }
}
