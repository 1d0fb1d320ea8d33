/** Logs of all instances of a function, those that are gone included, in the order in which the lines were written. */
import type { Pod } from '../../kinds/pod.ts';
import type { KubeClient } from '../client.ts';
import { PODS } from '../refs.ts';
import type { KubeTransport } from '../transport.ts';
import { entriesOf, type LogEntry, lastOf, merge, type ReadOptions } from './entries.ts';
import { goneSources, type LogScope, type LogSource, lastEnded, sourcesOf } from './sources.ts';

export interface LogRequest extends Omit<ReadOptions, 'follow'> {
  client: KubeClient;
  transport: KubeTransport;
  scope: LogScope;
  /** Only one instance, by its name or the end of it. */
  instance?: string | undefined;
  /** Only the run that broke last, else the one that ended last. */
  previous?: boolean | undefined;
}

/** A moment's view of all logs. */
export interface LogView {
  sources: LogSource[];
  /** Pods that exist. */
  pods: Pod[];
  /** From where changes of them are to be watched. */
  resourceVersion: string;
}

export async function findLogs({
  client,
  transport,
  scope,
  instance,
  previous,
}: LogRequest): Promise<LogView> {
  const { namespace, labelSelector } = scope;
  const [list, gone] = await Promise.all([
    client.list<Pod>(PODS, { namespace, labelSelector }),
    goneSources(client, transport, scope),
  ]);
  const pods = list.items.filter(({ metadata }) => isNamed(metadata.name, instance));
  const all = [
    ...gone.filter((source) => isNamed(source.instance, instance)),
    ...pods.flatMap((pod) => sourcesOf(pod)),
  ];
  const last = previous ? lastEnded(all) : undefined;
  const sources = !previous ? all : last === undefined ? [] : [last];
  return { sources, pods, resourceVersion: list.resourceVersion };
}

const isNamed = (name: string, asked: string | undefined): boolean =>
  asked === undefined || name.endsWith(asked);

/** What was read so far of a run: the last time, and the lines that have it. */
type Seen = Map<string, { time: string; lines: number }>;

/** Lines that are there. `seen` is told what was read. */
export function readLogs(request: LogRequest, { sources }: LogView, seen?: Seen): AsyncGenerator<LogEntry> {
  const { transport, since, tail } = request;
  const wanted = sources.filter(
    ({ endedAt }) => since === undefined || endedAt === undefined || endedAt === 0 || endedAt + 1000 >= since,
  );
  const read = wanted.map((source) => {
    const entries = entriesOf(transport, source, request);
    return seen ? noting(entries, seen) : entries;
  });
  return lastOf(merge(read), tail);
}

async function* noting(entries: AsyncGenerator<LogEntry>, seen: Seen): AsyncGenerator<LogEntry> {
  for await (const entry of entries) {
    const { key } = entry.source;
    const before = seen.get(key);
    if (before?.time === entry.time) before.lines++;
    else seen.set(key, { time: entry.time, lines: 1 });
    yield entry;
  }
}

/**
 * What is there, and then what comes, also from instances that start later; lines of different instances as they arrive. Ends when
 * `signal` aborts; throws when the API is gone.
 */
export async function followLogs(
  request: LogRequest,
  view: LogView,
  print: (entry: LogEntry) => void | Promise<void>,
): Promise<void> {
  const { client, transport, scope, since, tail, signal, instance } = request;
  const { namespace, labelSelector } = scope;
  const seen: Seen = new Map();
  for await (const entry of readLogs(request, view, seen)) await print(entry);
  const following = new Set<string>();
  for (const { key, endedAt } of view.sources) if (endedAt !== undefined) following.add(key);
  const old = new Set(view.sources.map(({ key }) => key));

  const begin = (pod: Pod): void => {
    if (!isNamed(pod.metadata.name, instance)) return;
    for (const source of sourcesOf(pod)) {
      if (following.has(source.key)) continue;
      following.add(source.key);
      void follow(source).catch((error: Error) => {
        following.delete(source.key);
        if (!signal?.aborted) request.refused?.(source, 0, error.message);
      });
    }
  };
  const follow = async (source: LogSource): Promise<void> => {
    const before = seen.get(source.key);
    const known = old.has(source.key);
    let skip = before?.lines ?? 0;
    const options: ReadOptions = {
      signal,
      keep: request.keep,
      follow: true,
      since: before ? Date.parse(before.time) : known ? since : undefined,
      tail: known && !before && tail === 0 ? 0 : undefined,
      refused(refused, status, message) {
        // Not begun: the next news of its Pod may say otherwise.
        following.delete(refused.key);
        if (status !== 400 && status !== 404) request.refused?.(refused, status, message);
      },
    };
    for await (const entry of entriesOf(transport, source, options)) {
      if (skip > 0 && entry.time === before?.time) skip--;
      else await print(entry);
    }
  };

  view.pods.forEach(begin);
  let { resourceVersion } = view;
  // A server ends a watch now and then.
  while (!signal?.aborted) {
    const watch = client.watch<Pod>(PODS, {
      namespace,
      labelSelector,
      resourceVersion,
      ...(signal ? { signal } : {}),
    });
    for await (const event of watch)
      if (event.type === 'ADDED' || event.type === 'MODIFIED') begin(event.object);
    if (signal?.aborted) return;
    const list = await client.list<Pod>(PODS, { namespace, labelSelector });
    list.items.forEach(begin);
    resourceVersion = list.resourceVersion;
  }
}

export type { LogEntry } from './entries.ts';
export type { LogScope, LogSource } from './sources.ts';
