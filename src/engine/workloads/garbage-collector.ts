/**
 * Deletes what has lost all its owners, and carries out foreground and orphaning deletions.
 * Source of the rules: kubernetes `pkg/controller/garbagecollector`.
 *
 * Runs beside the store, whose changes tell it everything; it writes through the API like any other client.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '../../base/log.ts';
import type { OwnerReference } from '../../kinds/object.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import type { Store, Stored, StoreEvent } from '../store/contract.ts';
import { idOf, type ObjectId, OwnerIndex, ownersOf, parseId } from './owners.ts';

export interface WorkloadController {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface GarbageCollectorOptions {
  store: Store;
  registry: Registry;
  client: KubeClient;
  log: Logger;
}

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';

export function createGarbageCollector(options: GarbageCollectorOptions): WorkloadController {
  const { store, registry, client, log } = options;
  const index = new OwnerIndex();
  const definitions = new Map<string, ResourceDefinition>(
    registry.all.filter((d) => d.storedAs === undefined).map((d) => [`${d.group}/${d.plural}`, d]),
  );

  /** The owner as it is now; `absent` when it is gone or another of the same name; `unknown` when nobody can tell. */
  const ownerState = (owner: OwnerReference, dependent: Stored): Stored | 'absent' | 'unknown' => {
    const slash = owner.apiVersion.indexOf('/');
    const group = slash < 0 ? '' : owner.apiVersion.slice(0, slash);
    const definition = registry.byKind(group, owner.apiVersion.slice(slash + 1), owner.kind);
    if (definition === undefined) return 'unknown';
    if (definition.namespaced && dependent.namespace === '') return 'unknown';
    const namespace = definition.namespaced ? dependent.namespace : '';
    const found = store.get(`${definition.group}/${definition.plural}`, namespace, owner.name);
    return found?.object.metadata.uid === owner.uid ? found : 'absent';
  };

  const write = async (object: Stored, finalizers?: string[], owners?: OwnerReference[]) => {
    const { uid, resourceVersion } = object.object.metadata;
    const metadata: Record<string, unknown> = { uid, resourceVersion };
    if (finalizers !== undefined) metadata.finalizers = finalizers;
    if (owners !== undefined) metadata.ownerReferences = owners;
    const definition = definitions.get(object.resource);
    if (definition === undefined) return;
    await client.patch(
      definition,
      object.namespace,
      object.name,
      'merge',
      JSON.parse(JSON.stringify({ metadata })),
    );
  };

  const without = (object: Stored, finalizer: string) =>
    (object.object.metadata.finalizers ?? []).filter((f) => f !== finalizer);

  /** An owner that waits: its dependents are released, or gone first. */
  const settleDependents = async (owner: Stored): Promise<void> => {
    const { metadata } = owner.object;
    if (metadata.deletionTimestamp === undefined) return;
    const uid = metadata.uid ?? '';
    const dependents = [...index.dependents(uid)].flatMap((id) => find(id) ?? []);
    if (metadata.finalizers?.includes(ORPHAN)) {
      for (const dependent of dependents) {
        await write(
          dependent,
          undefined,
          ownersOf(dependent).filter((o) => o.uid !== uid),
        );
      }
      await write(owner, without(owner, ORPHAN));
    } else if (metadata.finalizers?.includes(FOREGROUND)) {
      for (const dependent of dependents) controller.enqueue(idOf(dependent));
      const blocked = dependents.some((d) =>
        ownersOf(d).some((o) => o.uid === uid && o.blockOwnerDeletion === true),
      );
      if (!blocked) await write(owner, without(owner, FOREGROUND));
    }
  };

  /** A dependent: deleted when no owner is left, freed of the owners that are gone when others are. */
  const settleOwners = async (object: Stored): Promise<void> => {
    const owners = ownersOf(object);
    if (owners.length === 0 || object.object.metadata.deletionTimestamp !== undefined) return;
    const gone: OwnerReference[] = [];
    const waiting: OwnerReference[] = [];
    for (const owner of owners) {
      const state = ownerState(owner, object);
      if (state === 'absent') gone.push(owner);
      else if (state !== 'unknown' && waitsForDependents(state)) waiting.push(owner);
    }
    if (gone.length === 0 && waiting.length === 0) return;
    if (gone.length + waiting.length < owners.length) {
      await write(
        object,
        undefined,
        owners.filter((o) => !gone.includes(o) && !waiting.includes(o)),
      );
      return;
    }
    const definition = definitions.get(object.resource);
    if (definition === undefined) return;
    const { uid, resourceVersion, finalizers = [] } = object.object.metadata;
    const hasDependents = [...index.dependents(uid ?? '')].length > 0;
    const foreground = finalizers.includes(FOREGROUND) || (waiting.length > 0 && hasDependents);
    await client.delete(definition, object.namespace, object.name, {
      propagationPolicy: finalizers.includes(ORPHAN) ? 'Orphan' : foreground ? 'Foreground' : 'Background',
      preconditions: { uid, resourceVersion },
    });
  };

  const find = (id: ObjectId): Stored | undefined => {
    const { resource, namespace, name } = parseId(id);
    return store.get(resource, namespace, name);
  };

  const controller = createController({
    name: 'garbage-collector',
    log,
    async reconcile(id) {
      const object = find(id);
      if (object === undefined) return undefined;
      try {
        await settleDependents(object);
        await settleOwners(object);
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      }
      return undefined;
    },
  });

  const observe = (event: StoreEvent): void => {
    const { type, current, previous } = event;
    const changed = index.apply(event);
    if (type === 'DELETED') {
      for (const id of index.dependents(current.object.metadata.uid ?? '')) controller.enqueue(id);
      for (const owner of ownersOf(current)) {
        const state = ownerState(owner, current);
        if (typeof state === 'object' && waitsForDependents(state)) controller.enqueue(idOf(state));
      }
      return;
    }
    const dying = current.text.includes('"deletionTimestamp"');
    if (changed || (dying && current.object.metadata.finalizers !== previous?.object.metadata.finalizers)) {
      controller.enqueue(idOf(current));
    }
  };

  let unsubscribe: (() => void) | undefined;
  return {
    async start() {
      unsubscribe = store.onCommit((events) => events.forEach(observe));
      // What happened while nothing ran: one resource per turn, so that a start is not held up by it.
      for (const resource of definitions.keys()) {
        for (const current of store.list(resource).items) {
          const owned = index.apply({ type: 'ADDED', current });
          if (owned || current.text.includes('"deletionTimestamp"')) controller.enqueue(idOf(current));
        }
        await nextTurn();
      }
      controller.start();
    },
    async stop() {
      unsubscribe?.();
      await controller.stop();
    },
  };
}

function waitsForDependents({ object }: Stored): boolean {
  return (
    object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).includes(FOREGROUND)
  );
}
