/**
 * What controllers know of objects: a cache of each kind that anybody has asked for, begun with the first question, and who is told when what
 * he looked at changes. Level-triggered: whoever is told looks again at everything.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import { createInformer, type Informer } from '../../kube/informer.ts';

/** The API has no such kind, as far as it can be told. */
export class NoSuchKind extends Error {}

type Matches = (object: UntypedObject) => boolean;

/** One who looks, over all his passes. */
export interface Observer {
  changed(): void;
}

/** Looks at objects on behalf of an observer, who is told from then on when they change, or come, or go. */
export interface Reader {
  /** Throws `NoSuchKind`. What it hands out is shared and must not be changed. */
  get(resource: ResourceRef, namespace: string, name: string): Promise<UntypedObject | undefined>;
  /** Those of a namespace that match (`''`: of a kind without). Throws `NoSuchKind`. */
  list(resource: ResourceRef, namespace: string, matches?: Matches): Promise<UntypedObject[]>;
  /** The pass is over: what earlier ones looked at and this one did not is forgotten. */
  done(): void;
}

export interface Objects {
  /** The cache of a kind; begins to follow it. */
  informer(resource: ResourceRef): Informer<UntypedObject>;
  reader(observer: Observer): Reader;
  /** The observer will not look again. */
  forget(observer: Observer): void;
  stop(): void;
}

/** How long it is believed that the API has no such kind, milliseconds. */
const UNKNOWN_MS = 10_000;

interface Look {
  pass: number;
  matches: Matches | undefined;
}

interface Seen {
  pass: number;
  /** What is looked at: one object, or a namespace of a kind. */
  looks: Map<string, Look>;
}

const resourceKey = ({ group, plural }: ResourceRef): string => `${group}/${plural}`;
const one = (resource: ResourceRef, namespace: string, name: string): string =>
  `${resourceKey(resource)} ${namespace}/${name}`;
const all = (resource: ResourceRef, namespace: string): string => `${resourceKey(resource)} ${namespace}/*`;

export function createObjects(options: {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Kinds that the API is known to have; others are asked for first. */
  known: ReadonlySet<string>;
}): Objects {
  const { client, clock, log, known } = options;
  const informers = new Map<string, Informer<UntypedObject>>();
  const unknown = new Map<string, number>();
  /** What is looked at → by whom. */
  const watched = new Map<string, Set<Observer>>();
  const observers = new Map<Observer, Seen>();

  const tell = (key: string, object: UntypedObject, old?: UntypedObject) => {
    for (const observer of [...(watched.get(key) ?? [])]) {
      const matches = observers.get(observer)?.looks.get(key)?.matches;
      if (matches === undefined || matches(object) || (old !== undefined && matches(old))) observer.changed();
    }
  };

  const follow = (resource: ResourceRef): Informer<UntypedObject> => {
    const informer = createInformer<UntypedObject>({ client, resource, log, clock });
    const changed = (object: UntypedObject, old?: UntypedObject) => {
      const { namespace = '', name } = object.metadata;
      tell(one(resource, namespace, name), object, old);
      tell(all(resource, namespace), object, old);
    };
    informer.addHandler({ add: (o) => changed(o), update: changed, delete: (o) => changed(o) });
    informer.start();
    return informer;
  };

  const informerOf = (resource: ResourceRef): Informer<UntypedObject> => {
    const key = resourceKey(resource);
    let informer = informers.get(key);
    if (informer === undefined) {
      informer = follow(resource);
      informers.set(key, informer);
    }
    return informer;
  };

  const synced = async (resource: ResourceRef): Promise<Informer<UntypedObject>> => {
    const key = resourceKey(resource);
    if (!informers.has(key) && !known.has(key)) await probe(resource);
    const informer = informerOf(resource);
    if (!informer.hasSynced) await informer.synced;
    return informer;
  };

  const probe = async (resource: ResourceRef): Promise<void> => {
    const key = resourceKey(resource);
    const missing = () =>
      new NoSuchKind(`no matches for kind "${resource.kind}" in group "${resource.group}"`);
    const since = unknown.get(key);
    if (since !== undefined && clock.monotonic() - since < UNKNOWN_MS) throw missing();
    try {
      await client.list(resource, { limit: 1 });
      unknown.delete(key);
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 404) throw error;
      unknown.set(key, clock.monotonic());
      throw missing();
    }
  };

  const look = (observer: Observer, seen: Seen, key: string, matches?: Matches) => {
    seen.looks.set(key, { pass: seen.pass, matches });
    const those = watched.get(key);
    if (those) those.add(observer);
    else watched.set(key, new Set([observer]));
  };

  const unlook = (observer: Observer, key: string) => {
    const those = watched.get(key);
    those?.delete(observer);
    if (those?.size === 0) watched.delete(key);
  };

  return {
    informer: informerOf,
    reader(observer) {
      let seen = observers.get(observer);
      if (seen === undefined) {
        seen = { pass: 0, looks: new Map() };
        observers.set(observer, seen);
      }
      const mine = seen;
      mine.pass++;
      return {
        async get(resource, namespace, name) {
          look(observer, mine, one(resource, namespace, name));
          return (await synced(resource)).get(namespace || undefined, name);
        },
        async list(resource, namespace, matches) {
          look(observer, mine, all(resource, namespace), matches);
          const found = (await synced(resource)).list(resource.namespaced ? namespace : undefined);
          return matches === undefined ? found : found.filter(matches);
        },
        done() {
          for (const [key, { pass }] of mine.looks) {
            if (pass === mine.pass) continue;
            mine.looks.delete(key);
            unlook(observer, key);
          }
        },
      };
    },
    forget(observer) {
      for (const key of observers.get(observer)?.looks.keys() ?? []) unlook(observer, key);
      observers.delete(observer);
    },
    stop() {
      for (const informer of informers.values()) informer.stop();
    },
  };
}
