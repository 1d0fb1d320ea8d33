/**
 * The harness that all controllers of eventing share: one pass over an object at a time; what it looked at brings the next; conditions,
 * generation and status are written once, at its end. A kind is what its `reconcile` does with a `Pass`.
 */
import { messageOf } from '../../base/errors.ts';
import { type ConditionManager, conditionOf, conditionSet } from '../../kinds/conditions.ts';
import type { Destination, EventingObject } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceRef } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import type { ControlContext } from './context.ts';
import type { Observer, Reader } from './objects.ts';
import { type Resolution, resolve } from './resolver.ts';

/** One look at one object. */
export interface Pass<T extends EventingObject> {
  /** Shared: must not be changed. */
  object: T;
  namespace: string;
  name: string;
  /** What will be written: a copy of the present status, without conditions and generation. */
  status: NonNullable<T['status']>;
  conditions: ConditionManager;
  /** What is read with it brings the next pass when it changes. */
  reader: Reader;
  resolve(destination: Destination | undefined): Promise<Resolution>;
}

export interface Kind<T extends EventingObject> {
  resource: ResourceRef;
  /** Conditions whose sum is `Ready`. */
  dependents: readonly string[];
  /**
   * Tells the engine, marks conditions, fills the status. `foreign`: the object is somebody else's, nothing of it is written. `later`: the
   * object was changed itself, which brings the next pass, and that one writes the status. A number is
   * milliseconds after which to look again. Throwing means again, with back-off; what was marked until then is written all the same.
   */
  reconcile(pass: Pass<T>): Promise<'foreign' | 'later' | number | undefined>;
  /** The object is being deleted, and waits for a finalizer: takes away what there is elsewhere, then the finalizer. Throwing means again. */
  leaving?(object: T): Promise<void>;
  /** The object is gone, or going: the engine is to forget it. */
  gone(namespace: string, name: string): void;
  /** Changes that somebody else sees to, by the object's key; returns the way to stop. */
  alsoOn?(enqueue: (namespace: string, name: string) => void): () => void;
  /** Ends what it runs itself; its objects are not looked at any more. */
  stop?(): Promise<void>;
}

export interface KindController {
  readonly resource: ResourceRef;
  /** Begins, and resolves when every object that exists has been looked at once. */
  start(): Promise<void>;
  enqueue(namespace: string, name: string): void;
  /** Looks at all of them again: what all depend on has changed. */
  enqueueAll(): void;
  stop(): Promise<void>;
}

export function createKind<T extends EventingObject>(context: ControlContext, kind: Kind<T>): KindController {
  const { objects, clock, log, events } = context;
  const { resource } = kind;
  const set = conditionSet(...kind.dependents);
  const observers = new Map<string, Observer>();
  /** Objects that existed at the start and were not looked at yet. */
  const unseen = new Set<string>();
  const first = Promise.withResolvers<void>();
  let undo = () => {};

  const observerOf = (key: string): Observer => {
    let observer = observers.get(key);
    if (observer === undefined) {
      observer = { changed: () => controller.enqueue(key) };
      observers.set(key, observer);
    }
    return observer;
  };

  const forget = (key: string) => {
    const observer = observers.get(key);
    if (observer) objects.forget(observer);
    observers.delete(key);
  };

  const seen = (key: string) => {
    if (unseen.delete(key) && unseen.size === 0) first.resolve();
  };

  const look = async (key: string, object: T): Promise<number | undefined> => {
    const { namespace = '', name } = object.metadata;
    const reader = objects.reader(observerOf(key));
    const conditions = set.manage(object.status?.conditions, clock.now());
    conditions.initialize();
    const { conditions: _, observedGeneration: __, ...status } = structuredClone(object.status ?? {});
    const pass: Pass<T> = {
      object,
      namespace,
      name,
      status: status as NonNullable<T['status']>,
      conditions,
      reader,
      resolve(destination) {
        const { features, mapping } = context.config();
        const mapped = features.kreferenceMapping === 'Enabled' ? mapping : undefined;
        return resolve(destination, namespace, reader, mapped);
      },
    };
    let again: 'foreign' | 'later' | number | undefined;
    let failure: { error: unknown } | undefined;
    try {
      again = await kind.reconcile(pass);
      reader.done();
    } catch (error) {
      failure = { error };
    }
    if (again === 'foreign' || again === 'later') return undefined;
    // Who reads Ready may send an event at once.
    if (!failure && conditions.get('Ready')?.status === 'True' && !isReady(object))
      await context.engine.applied();
    tellOfFailure(object, conditions);
    const written = await context.writeStatus(resource, object, {
      ...pass.status,
      conditions: conditions.conditions,
      observedGeneration: object.metadata.generation,
    });
    if (failure) throw failure.error;
    return again ?? written;
  };

  /** An Event when what was ready, or not known, has failed. */
  const tellOfFailure = (object: T, conditions: ConditionManager) => {
    const now = conditions.get('Ready');
    const before = conditionOf(object, 'Ready');
    if (now?.status !== 'False' || (before?.status === 'False' && before.reason === now.reason)) return;
    events.record(object, 'Warning', eventReason(now.reason), now.message || `${resource.kind} is not ready`);
  };

  const controller = createController({
    name: `eventing-${resource.plural}`,
    log,
    clock,
    random: context.random,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const object = objects.informer(resource).get(namespace, name) as unknown as T | undefined;
      try {
        if (object !== undefined && object.metadata.deletionTimestamp === undefined)
          return await look(key, object);
        if (object?.metadata.finalizers?.length) await kind.leaving?.(object);
        forget(key);
        kind.gone(namespace ?? '', name);
        return undefined;
      } finally {
        seen(key);
      }
    },
  });

  const informer = () => objects.informer(resource);
  return {
    resource,
    async start() {
      await informer().synced;
      for (const object of informer().list()) unseen.add(keyOf(object));
      const enqueue = (object: UntypedObject) => controller.enqueue(keyOf(object));
      undo = informer().addHandler({
        add: enqueue,
        update: enqueue,
        delete: enqueue,
      });
      const stopAlso = kind.alsoOn?.((namespace, name) => controller.enqueue(`${namespace}/${name}`));
      const undoHandler = undo;
      undo = () => {
        undoHandler();
        stopAlso?.();
      };
      controller.start();
      if (unseen.size === 0) first.resolve();
      await first.promise;
    },
    enqueue: (namespace, name) => controller.enqueue(`${namespace}/${name}`),
    enqueueAll() {
      for (const object of informer().list()) controller.enqueue(keyOf(object));
    },
    async stop() {
      undo();
      await controller.stop();
      await kind.stop?.();
    },
  };
}

const isReady = (object: EventingObject): boolean => conditionOf(object, 'Ready')?.status === 'True';

/** Conditions of upstream have reasons with spaces; Events must not. */
function eventReason(reason: string | undefined): string {
  const words = (reason || 'NotReady').replace(/[^A-Za-z0-9]+(.)?/g, (_, next = '') => next.toUpperCase());
  return words.slice(0, 128);
}

/** Logs what a background write could not do; a race with somebody else is no news. */
export function logFailure({ log }: ControlContext, what: string): (error: unknown) => void {
  return (error) => log.warn(what, { error: messageOf(error) });
}
