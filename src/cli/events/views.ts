/** Triggers and sources as people see them. */
import { WISH_GROUP } from '../../kinds/eventing/wishes.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import {
  API_SERVER_SOURCES,
  CONTAINER_SOURCES,
  EVENT_SOURCES,
  KAFKA_SOURCES,
  PING_SOURCES,
  SINK_BINDINGS,
  TRIGGERS,
} from '../../kube/refs.ts';
import { readyCondition } from '../conditions.ts';
import { showDestination, trouble } from './destination.ts';

/** Kinds of sources and what they are called in lists. */
const KINDS: [resource: ResourceRef, word: (spec: UntypedObject) => string][] = [
  [EVENT_SOURCES, (spec) => String(spec.type)],
  [PING_SOURCES, (spec) => `ping ${spec.schedule}`],
  [API_SERVER_SOURCES, () => 'apiserver'],
  [KAFKA_SOURCES, () => 'kafka'],
  [CONTAINER_SOURCES, () => 'container'],
  [SINK_BINDINGS, () => 'binding'],
];

/** A trigger as lists show it. */
export function triggerView(trigger: UntypedObject) {
  const { metadata, spec, status } = trigger;
  const attributes = spec?.filter?.attributes as Record<string, string> | undefined;
  const filters = (spec?.filters ?? []) as Record<string, Json>[];
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    broker: String(spec?.broker ?? ''),
    filter:
      filters.length > 0
        ? filters.map(showFilter).join(' and ')
        : Object.entries(attributes ?? {})
            .map(([key, value]) => `${key}=${value}`)
            .join(' '),
    to: showDestination(spec?.subscriber),
    uri: (status?.subscriberUri as string | undefined) ?? null,
    paused: metadata.annotations?.[`${WISH_GROUP}paused`] === 'true',
    ready: readyCondition(trigger)?.status ?? 'Unknown',
    message: trouble(trigger),
  };
}

const MARKS: Record<string, [before: string, after: string]> = {
  exact: ['', ''],
  prefix: ['', '*'],
  suffix: ['*', ''],
};

function showFilter(filter: Record<string, Json>): string {
  return Object.entries(filter)
    .map(([dialect, value]) => {
      const [before, after] = MARKS[dialect] ?? [];
      if (before === undefined || value === null || typeof value !== 'object' || Array.isArray(value))
        return dialect === 'cesql' ? String(value) : `${dialect}(…)`;
      return Object.entries(value)
        .map(([name, text]) => `${name}=${text === '' ? '*' : `${before}${text}${after}`}`)
        .join(' ');
    })
    .join(' ');
}

/** The views of all objects of a kind; none where a cluster does not have it. */
async function viewsOf<T>(
  client: KubeClient,
  resource: ResourceRef,
  where: { namespace?: string },
  view: (object: UntypedObject) => T,
): Promise<T[]> {
  try {
    const { items } = await client.list<UntypedObject>(resource, where);
    return items.map(view);
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return [];
    throw error;
  }
}

/** All sources of a namespace, or of all, by name; `key` is what the engine calls each. */
export async function allSources(client: KubeClient, namespace: string | undefined) {
  const where = namespace === undefined ? {} : { namespace };
  const lists = await Promise.all(
    KINDS.map(([resource, word]) =>
      viewsOf(client, resource, where, (item) => {
        const view = sourceView(item, word(item.spec));
        return { ...view, key: `${resource.kind.toLowerCase()}/${view.namespace}/${view.name}` };
      }),
    ),
  );
  return lists.flat().sort((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
}

/** What a source that works says of itself: `reads stream jobs as …`. */
function doing({ status }: UntypedObject): string {
  const conditions = (status?.conditions ?? []) as { type: string; status: string; message?: string }[];
  const own = conditions.find(({ type }) => type === 'SourceReady');
  return own?.status === 'True' ? (own.message ?? '') : '';
}

/** A source as lists show it. */
export function sourceView(source: UntypedObject, kind: string) {
  const { metadata, spec } = source;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    kind,
    to: showDestination(spec?.sink),
    address: (source.status?.address?.url as string | undefined) ?? null,
    paused: spec?.paused === true,
    ready: readyCondition(source)?.status ?? 'Unknown',
    message: trouble(source),
    doing: doing(source),
  };
}

/** How a destination that is deployed is shown. */
const CALLED = ['function', 'service'];

/** What brings events to a function or service. */
export interface Caller {
  kind: 'trigger' | 'source';
  name: string;
  /** Which events. */
  events: string;
  ready: string;
  message: string;
}

/** What brings events to the function or service of that name. */
export async function callersOf(client: KubeClient, namespace: string, name: string): Promise<Caller[]> {
  const [triggers, sources] = await Promise.all([
    viewsOf(client, TRIGGERS, { namespace }, triggerView),
    allSources(client, namespace),
  ]);
  const calls = ({ to }: { to: string }) => CALLED.some((word) => to === `${word}/${name}`);
  return [
    ...triggers.filter(calls).map(({ name: trigger, broker, filter, ...row }) => ({
      kind: 'trigger' as const,
      name: trigger,
      events: `${filter === '' ? 'every event' : filter} of broker/${broker}`,
      ready: row.paused ? 'Paused' : row.ready,
      message: row.message,
    })),
    ...sources.filter(calls).map(({ name: source, kind, address, ...row }) => ({
      kind: 'source' as const,
      name: source,
      events: address === null ? kind : `${kind} ${address}`,
      ready: row.paused ? 'Paused' : row.ready,
      message: row.message,
    })),
  ];
}
