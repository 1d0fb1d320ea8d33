/** Names that the platform knows, for a shell that waits: quickly, or not at all. */
import type { KubeObject } from '../../kinds/object.ts';
import type { ResourceRef } from '../../kube/client.ts';
import {
  CONFIGMAPS,
  EVENT_SOURCES,
  FUNCTION_ALIASES,
  KSERVICES,
  NAMESPACES,
  PODS,
  REVISIONS,
  RUNTIMES,
  SECRETS,
  TRIGGERS,
} from '../../kube/refs.ts';
import type { HomePaths } from '../../platform/home.ts';
import { connect } from '../session.ts';
import type { Wanted } from './words.ts';

/** Longest time that somebody who has pressed Tab waits for names, milliseconds. */
const LIMIT_MS = 1000;
/** Most names of one kind. */
const MOST = 500;

interface Row {
  resource: ResourceRef;
  namespaced: boolean;
  /** Words of an object that are proposed. */
  word?(name: string, of: string): string;
  /** Of the function that the line names. */
  selector?(of: string): string;
}

const ofService = (of: string) => `serving.knative.dev/service=${of}`;
const ROWS: Partial<Record<NonNullable<Wanted['names']>, Row | readonly Row[]>> = {
  // Every function has a Service of its name, and services are named in the same places.
  functions: { resource: KSERVICES, namespaced: true },
  revisions: { resource: REVISIONS, namespaced: true, selector: ofService },
  instances: { resource: PODS, namespaced: true, selector: ofService },
  settings: [
    { resource: SECRETS, namespaced: true, word: (name) => `secret/${name}` },
    { resource: CONFIGMAPS, namespaced: true, word: (name) => `configmap/${name}` },
  ],
  aliases: {
    resource: FUNCTION_ALIASES,
    namespaced: true,
    word: (name, of) => (name.startsWith(`${of}-`) ? name.slice(of.length + 1) : ''),
  },
  namespaces: { resource: NAMESPACES, namespaced: false },
  runtimes: { resource: RUNTIMES, namespaced: false },
  triggers: { resource: TRIGGERS, namespaced: true },
  sources: { resource: EVENT_SOURCES, namespaced: true },
};

/** The names; none where no platform runs or it takes too long. */
export async function namesOf(home: HomePaths, { names, positionals, values }: Wanted): Promise<string[]> {
  const rows = [(names && ROWS[names]) ?? []].flat();
  if (rows.length === 0) return [];
  const [of = ''] = positionals;
  const look = async (): Promise<string[]> => {
    const session = await connect(home);
    try {
      const found = await Promise.all(
        rows.map(async ({ resource, namespaced, selector, word }) => {
          const { items } = await session.client.list<KubeObject>(resource, {
            ...(namespaced ? { namespace: values.get('namespace') ?? 'default' } : {}),
            ...(selector && of !== '' ? { labelSelector: selector(of) } : {}),
          });
          return items.slice(0, MOST).map(({ metadata }) => word?.(metadata.name, of) ?? metadata.name);
        }),
      );
      return found.flat();
    } finally {
      session.transport.close();
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => resolve([]), LIMIT_MS);
  });
  const found = await Promise.race([look().catch(() => []), late]);
  clearTimeout(timer);
  return found.filter((name) => name !== '').sort();
}
