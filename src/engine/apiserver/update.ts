/** PUT and PATCH on an object or its `/status`. Source of the rules: apiserver `registry/rest/update.go`. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { Stored } from '../store/contract.ts';
import { admit } from './admission.ts';
import type { ApiContext } from './context.ts';
import { isCustom } from './decode.ts';
import { removable } from './delete.ts';
import { conflict, invalid, notFound } from './errors.ts';
import { storeKey, type Target } from './target.ts';
import { checkIdentity, dropServerFields, sameDesire, sameObject, simulated } from './write.ts';

export interface UpdateOptions {
  dryRun: boolean;
  /** Name of who asks. */
  user: string;
  /** A patch names the object it changes by being applied to it; a PUT of our kinds must say which version it saw. */
  patch: boolean;
  /** What admission warns of is added here. */
  warnings: string[];
}

/**
 * Replaces an object by what `change` makes of it. Runs without waiting between reading and writing, so no other write
 * can come between the two; a conflict is only ever with what the client saw.
 */
export async function updateObject(
  context: ApiContext,
  target: Target,
  change: (old: Stored) => UntypedObject,
  options: UpdateOptions,
): Promise<Stored> {
  const { definition, namespace, name } = target;
  const { store } = context;
  const resource = storeKey(definition);
  const stored = store.latest(resource, namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  const old = stored.object;
  const object = change(stored);
  checkIdentity(target, object);
  checkVersion(target, object, old, options);
  dropServerFields(object);
  keepIdentity(target, object, old);

  if (target.subresource === 'status') keepAllBut('status', object, old);
  else if (target.subresource === 'finalize') keepAllBut('spec', object, old);
  else if (definition.subresources.includes('status')) keep(object, old, 'status');
  options.warnings.push(
    ...admit(
      { user: options.user, config: context.config(), eventing: context.eventing },
      target,
      object,
      old,
    ),
  );
  const meta = object.metadata;
  if (definition.hasGeneration) {
    const generation = old.metadata.generation ?? 1;
    meta.generation = sameDesire(object, old) ? generation : generation + 1;
  } else keep(meta, old.metadata, 'generation');

  meta.resourceVersion = old.metadata.resourceVersion;
  if (sameObject(object, old)) return stored;
  if (target.subresource === '' && context.quotas.has(namespace))
    context.quotas.admit(definition, object, old);
  if (options.dryRun) return simulated(resource, object);
  return removable(object) ? store.remove(resource, object) : store.put(resource, object);
}

function checkVersion(
  { definition, name }: Target,
  object: UntypedObject,
  old: UntypedObject,
  { patch }: UpdateOptions,
): void {
  const { uid, resourceVersion } = object.metadata;
  if (uid && uid !== old.metadata.uid) {
    throw conflict(
      definition,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  if (resourceVersion) {
    if (resourceVersion !== old.metadata.resourceVersion) throw conflict(definition, name);
    return;
  }
  // Built-in kinds allow an unconditional update, custom resources do not.
  if (!patch && isCustom(definition)) {
    throw invalid(definition, name, [
      {
        field: 'metadata.resourceVersion',
        reason: 'FieldValueInvalid',
        message: 'Invalid value: 0x0: must be specified for an update',
      },
    ]);
  }
}

/** What a client may leave out but not change (validation compares), and what it cannot set at all. */
function keepIdentity(
  { definition, namespace, name }: Target,
  object: UntypedObject,
  old: UntypedObject,
): void {
  const meta = object.metadata;
  meta.name ||= name;
  if (definition.namespaced) meta.namespace ||= namespace;
  meta.uid ||= old.metadata.uid;
  meta.creationTimestamp ||= old.metadata.creationTimestamp;
  keep(meta, old.metadata, 'deletionTimestamp');
  keep(meta, old.metadata, 'deletionGracePeriodSeconds');
}

function keepAllBut(field: 'status' | 'spec', object: UntypedObject, old: UntypedObject): void {
  const value = object[field];
  for (const other of Object.keys(object)) delete object[other];
  Object.assign(object, structuredClone(old), { [field]: value });
  if (value === undefined) delete object[field];
}

function keep<T extends object>(object: T, old: T, field: keyof T): void {
  if (old[field] === undefined) delete object[field];
  else object[field] = old[field];
}
