/** Which logs there are of a function's instances: of those that run, of what they were before, and of those that are gone. */
import type { KubeObject } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import { type KubeClient, orUndefined } from '../client.ts';
import { NAMESPACES, NODES, PODS, pathOf } from '../refs.ts';
import type { KubeTransport } from '../transport.ts';
import { GONE_LOGS, type GoneRun } from './gone.ts';

/** Instances that belong together. */
export interface LogScope {
  namespace: string;
  /** Of those that exist. */
  labelSelector: string;
  /** Of those that are gone: what `logGroup` says. Absent: they are of no interest. */
  group?: string;
}

/** One run of a container. */
export interface LogSource {
  instance: string;
  revision: string;
  container: string;
  /** Counts from 0 within the instance. */
  run: number;
  /** Names the run among all. */
  key: string;
  /** Milliseconds since the epoch; absent while it runs. */
  endedAt?: number;
  /** Of the API, without a query. */
  path: string;
  query: Record<string, string>;
}

const REVISION = 'serving.knative.dev/revision';

/** Those of Pods that exist: what runs, and what ran before it. */
export function sourcesOf(pod: Pod): LogSource[] {
  const { name, namespace, uid, labels } = pod.metadata;
  const path = pathOf(PODS, namespace, name, 'log');
  return pod.spec.containers.flatMap(({ name: container }) => {
    const status = pod.status?.containerStatuses?.find((each) => each.name === container);
    const runs = status?.restartCount ?? 0;
    const of = { instance: name, revision: labels?.[REVISION] ?? '', container, path };
    const { state, lastState } = status ?? {};
    const lastEnd = endOf(lastState?.terminated?.finishedAt);
    const end = endOf(state?.terminated?.finishedAt) ?? (state?.waiting ? lastEnd : undefined);
    const current: LogSource = {
      ...of,
      run: runs,
      key: `${uid}/${container}/${runs}`,
      query: { container },
      ...(end === undefined ? {} : { endedAt: end }),
    };
    if (runs === 0) return [current];
    const before: LogSource = {
      ...of,
      run: runs - 1,
      key: `${uid}/${container}/${runs - 1}`,
      query: { container, previous: 'true' },
      endedAt: (state?.waiting ? undefined : lastEnd) ?? 0,
    };
    return [before, current];
  });
}

const endOf = (time: string | undefined): number | undefined =>
  time === undefined ? undefined : Date.parse(time);

/**
 * The run that broke last: one that its instance has begun another after, or that waits for it. Where there is none, the one that
 * ended last. Undefined when none has ended.
 */
export function lastEnded(sources: LogSource[]): LogSource | undefined {
  const place = ({ instance, container }: LogSource) => `${instance}/${container}`;
  const newest = new Map<string, number>();
  for (const source of sources)
    newest.set(place(source), Math.max(source.run, newest.get(place(source)) ?? 0));
  const broke = (source: LogSource) =>
    source.run < newest.get(place(source))! || source.query.container !== undefined;
  return sources
    .filter(({ endedAt }) => endedAt !== undefined)
    .sort((a, b) => Number(broke(b)) - Number(broke(a)) || b.endedAt! - a.endedAt!)[0];
}

/** Those of instances that are gone. A node that keeps none, or cannot be asked, has none. */
export async function goneSources(
  client: KubeClient,
  transport: KubeTransport,
  { namespace, group }: LogScope,
): Promise<LogSource[]> {
  if (group === undefined) return [];
  const [{ items }, home] = await Promise.all([
    client.list<KubeObject>(NODES),
    orUndefined(client.get<KubeObject>(NAMESPACES, undefined, namespace)),
  ]);
  // What ran in a namespace of the same name before this one was somebody else's.
  const since = Date.parse(home?.metadata.creationTimestamp ?? '') || 0;
  const found = await Promise.all(
    items.map(async ({ metadata }) => {
      const path = `${pathOf(NODES, undefined, metadata.name, 'proxy')}/${GONE_LOGS}/${namespace}/${group}`;
      const runs = await runsAt(transport, path).catch(() => []);
      return runs
        .filter(({ endedAt }) => endedAt >= since)
        .map(
          ({ id, pod, container, run, revision, endedAt }): LogSource => ({
            instance: pod,
            revision,
            container,
            run,
            key: `${id}/${container}/${run}`,
            endedAt,
            path: `${path}/${id}/${container}/${run}`,
            query: {},
          }),
        );
    }),
  );
  return found.flat();
}

async function runsAt(transport: KubeTransport, path: string): Promise<GoneRun[]> {
  const response = await transport.request({ method: 'GET', path });
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return response.status === 200 ? (JSON.parse(Buffer.concat(chunks).toString()) as GoneRun[]) : [];
}
