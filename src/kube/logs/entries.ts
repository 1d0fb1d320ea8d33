/** Lines of logs with their times, merged over many instances. */

import type { KubeTransport } from '../transport.ts';
import { LineDecoder } from './lines.ts';
import type { LogSource } from './sources.ts';

/** A line that an instance wrote. */
export interface LogEntry {
  /** RFC 3339, nanoseconds. */
  time: string;
  source: LogSource;
  text: string;
}

export interface ReadOptions {
  /** Only lines of this time (milliseconds since the epoch) or later. */
  since?: number | undefined;
  /** Only the last lines. */
  tail?: number | undefined;
  follow?: boolean;
  signal?: AbortSignal | undefined;
  /** Keeps a line as what it returns, or leaves it out. Made for each source anew: lines may depend on those before. */
  keep?: (() => (line: string) => string | undefined) | undefined;
  /** A log that cannot be shown; absent: it is left out. */
  refused?: (source: LogSource, status: number, message: string) => void;
}

/** Lines of one source as they are told. Throws where there is no answer at all. */
export async function* entriesOf(
  transport: KubeTransport,
  source: LogSource,
  options: ReadOptions,
): AsyncGenerator<LogEntry> {
  const { since, tail, follow, signal } = options;
  const keep = options.keep?.();
  const query = new URLSearchParams({ ...source.query, timestamps: 'true' });
  if (since !== undefined) query.set('sinceTime', new Date(since).toISOString());
  // What is left out here must not count as one of the last.
  if (tail !== undefined && (keep === undefined || tail === 0)) query.set('tailLines', String(tail));
  if (follow) query.set('follow', 'true');
  const request = { method: 'GET', path: `${source.path}?${query}`, ...(signal ? { signal } : {}) } as const;
  const response = await transport.request(request);
  const lines = new LineDecoder();
  if (response.status !== 200) {
    let text = '';
    for await (const chunk of response.body) if (text.length < 4096) text += Buffer.from(chunk).toString();
    return options.refused?.(source, response.status, messageIn(text));
  }
  let time = '';
  const entry = (line: string, begins: boolean): LogEntry | undefined => {
    const cut = begins ? line.indexOf(' ') : -1;
    if (begins) time = line.slice(0, cut);
    const text = line.slice(cut + 1);
    const kept = keep ? keep(text) : text;
    return kept === undefined ? undefined : { time, source, text: kept };
  };
  for await (const chunk of response.body)
    for (const [line, begins] of lines.push(chunk)) {
      const found = entry(line, begins);
      if (found) yield found;
    }
  for (const [line, begins] of lines.end()) {
    const found = entry(line, begins);
    if (found) yield found;
  }
}

/** What an answer says that is no success: a Status, or words. */
function messageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: string }).message ?? text);
  } catch {
    return text.trim();
  }
}

/** Entries of several sources by their times; each source is in order already. Lines of one source that have the same time stay together. */
export async function* merge(sources: AsyncGenerator<LogEntry>[]): AsyncGenerator<LogEntry> {
  try {
    const heads = (
      await Promise.all(sources.map(async (source) => ({ source, head: await source.next() })))
    ).filter(({ head }) => !head.done);
    let turn = heads[0];
    while (turn !== undefined) {
      for (const each of heads) if (each.head.value!.time < turn.head.value!.time) turn = each;
      yield turn.head.value!;
      turn.head = await turn.source.next();
      if (!turn.head.done) continue;
      heads.splice(heads.indexOf(turn), 1);
      turn = heads[0];
    }
  } finally {
    await Promise.all(sources.map((source) => source.return(undefined).catch(() => {})));
  }
}

/** The last `count` entries, all when it is undefined. */
export async function* lastOf(
  entries: AsyncGenerator<LogEntry>,
  count: number | undefined,
): AsyncGenerator<LogEntry> {
  if (count === undefined) return yield* entries;
  const ring: LogEntry[] = [];
  let seen = 0;
  for await (const entry of entries) if (count > 0) ring[seen++ % count] = entry;
  const from = seen > count ? seen % count : 0;
  for (let at = 0; at < ring.length; at++) yield ring[(from + at) % ring.length]!;
}
