/** DELETE on an object or a collection. Source of the rules: apiserver `registry/rest/delete.go`, `generic/registry/store.go`. */
import { timestamp } from '../../base/clock.ts';
import type { Status, UntypedObject } from '../../kinds/object.ts';
import type { Stored } from '../store/contract.ts';
import type { ApiContext } from './context.ts';
import type { DeleteOptions } from './decode.ts';
import { badRequest, conflict, invalid, notFound } from './errors.ts';
import { refuseSystemNamespace } from './namespaces.ts';
import { success } from './reply.ts';
import { storeKey, type Target } from './target.ts';
import { simulated } from './write.ts';

/** What a deletion is asked to be. */
export interface DeleteRequest extends Omit<DeleteOptions, 'dryRun'> {
  dryRun: boolean;
}

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';
const POLICY_FINALIZERS: Record<string, string | undefined> = {
  Orphan: ORPHAN,
  Foreground: FOREGROUND,
  Background: undefined,
};
/** Source: core/v1 `DefaultTerminationGracePeriodSeconds`. */
const POD_GRACE_SECONDS = 30;
/** Further away is no date any more. */
const MAX_GRACE_SECONDS = 2 ** 31;

/** An object that is being deleted and that nothing holds any more. */
export function removable({ metadata, kind, spec }: UntypedObject): boolean {
  if (metadata.deletionTimestamp === undefined) return false;
  if ((metadata.finalizers?.length ?? 0) > 0 || (metadata.deletionGracePeriodSeconds ?? 0) > 0) return false;
  return kind !== 'Namespace' || !spec?.finalizers?.length;
}

/**
 * Deletes an object, or begins to: a Pod on a node ends gracefully and the node agent confirms, finalizers are waited
 * for. The answer is a Status when it is gone, else the object as it is now.
 */
export async function deleteObject(
  context: ApiContext,
  target: Target,
  request: DeleteRequest,
): Promise<Status | Stored> {
  const { definition, namespace, name } = target;
  const { store, clock } = context;
  const resource = storeKey(definition);
  const stored = store.latest(resource, namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  refuseSystemNamespace(definition, name);
  checkPreconditions(target, stored.object, request);
  const object = stored.clone();
  const meta = object.metadata;
  applyPolicy(object, policyOf(target, request));

  const grace = graceSeconds(definition.group === '' ? definition.kind : '', object, request);
  const dying = meta.deletionTimestamp !== undefined;
  if (!dying) {
    meta.deletionTimestamp = timestamp(clock.now() + grace * 1000);
    meta.deletionGracePeriodSeconds = grace;
    if (definition.hasGeneration) meta.generation = (meta.generation ?? 1) + 1;
    if (object.kind === 'Namespace') object.status = { ...object.status, phase: 'Terminating' };
  } else if (grace < (meta.deletionGracePeriodSeconds ?? 0)) {
    // Only ever sooner: a second request does not extend what the first has promised.
    const old = Date.parse(meta.deletionTimestamp ?? '') - (meta.deletionGracePeriodSeconds ?? 0) * 1000;
    meta.deletionTimestamp = timestamp(old + grace * 1000);
    meta.deletionGracePeriodSeconds = grace;
  }
  if (removable(object)) {
    if (!request.dryRun) await store.remove(resource, object);
    const { group, plural } = definition;
    return success({ name, ...(group === '' ? {} : { group }), kind: plural, uid: meta.uid ?? '' });
  }
  if (JSON.stringify(object) === stored.text) return stored;
  return request.dryRun ? simulated(resource, object) : store.put(resource, object);
}

function checkPreconditions(
  { definition, name }: Target,
  object: UntypedObject,
  request: DeleteRequest,
): void {
  const { uid, resourceVersion } = request.preconditions ?? {};
  const meta = object.metadata;
  if (uid !== undefined && uid !== meta.uid) {
    throw conflict(
      definition,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${meta.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== meta.resourceVersion) {
    throw conflict(
      definition,
      name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${meta.resourceVersion}`,
    );
  }
}

function policyOf(
  { name }: Target,
  { propagationPolicy, orphanDependents }: DeleteRequest,
): string | undefined {
  if (propagationPolicy === undefined) {
    return orphanDependents === undefined ? undefined : orphanDependents ? 'Orphan' : 'Background';
  }
  if (orphanDependents !== undefined) {
    throw badRequest('orphanDependents and deletionPropagation cannot be both set');
  }
  if (!(propagationPolicy in POLICY_FINALIZERS)) {
    throw invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, name, [
      {
        field: 'propagationPolicy',
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: ${JSON.stringify(propagationPolicy)}: supported values: "Foreground", "Background", "Orphan", "nil"`,
      },
    ]);
  }
  return propagationPolicy;
}

/** What happens to dependents is remembered on the object as a finalizer, for the garbage collector to act on. */
function applyPolicy(object: UntypedObject, policy: string | undefined): void {
  if (policy === undefined) return;
  const meta = object.metadata;
  const others = (meta.finalizers ?? []).filter((f) => f !== ORPHAN && f !== FOREGROUND);
  const own = POLICY_FINALIZERS[policy];
  const finalizers = own === undefined ? others : [...others, own];
  if (finalizers.length > 0) meta.finalizers = finalizers;
  else delete meta.finalizers;
}

/** Seconds until a deletion may complete: Pods on a node alone have any. */
function graceSeconds(kind: string, { spec, status }: UntypedObject, request: DeleteRequest): number {
  if (kind !== 'Pod' || !spec?.nodeName) return 0;
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return 0;
  const asked = request.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? POD_GRACE_SECONDS;
  return asked < 0 ? 1 : Math.min(asked, MAX_GRACE_SECONDS);
}
