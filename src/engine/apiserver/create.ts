/** POST on a collection. Source of the rules: apiserver `registry/rest/create.go`, `registry/generic/registry/store.go`. */

import { timestamp } from '../../base/clock.ts';
import { required } from '../../kinds/field.ts';
import { generateName } from '../../kinds/name.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Stored } from '../store/contract.ts';
import { admit } from './admission.ts';
import { bindJob } from './bindings.ts';
import type { ApiContext } from './context.ts';
import { alreadyExists, badRequest, forbidden, invalid } from './errors.ts';
import { prepareNamespace, requireNamespace } from './namespaces.ts';
import { storeKey, type Target } from './target.ts';
import { checkIdentity, dropServerFields, simulated } from './write.ts';

/** Tries at a generated name before giving up; a collision among 27^5 suffixes is rare. */
const NAME_TRIES = 8;

/**
 * A Node registers itself together with its status, and what serving writes only to tell of something has nothing else to say;
 * elsewhere status is written through `/status` alone.
 */
const STATUS_AT_CREATE = new Set([
  '/nodes',
  'autoscaling.internal.knative.dev/podautoscalers',
  'networking.internal.knative.dev/ingresses',
  'networking.internal.knative.dev/serverlessservices',
]);

/** Writes a new object. `object` becomes the server's; what admission warns of is added to `warnings`. */
export async function createObject(
  context: ApiContext,
  target: Target,
  object: UntypedObject,
  options: { dryRun: boolean; user: string; warnings: string[] },
): Promise<Stored> {
  const { definition, namespace } = target;
  const resource = storeKey(definition);
  checkIdentity(target, object);
  if (definition.namespaced && namespace === '') {
    throw badRequest('an empty namespace may not be set during creation');
  }
  const meta = object.metadata;
  if (meta.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
  dropServerFields(object);
  delete meta.deletionTimestamp;
  delete meta.deletionGracePeriodSeconds;
  if (definition.namespaced) meta.namespace = namespace;
  meta.uid = context.uid();
  meta.creationTimestamp = timestamp(context.clock.now());
  if (definition.hasGeneration) meta.generation = 1;
  else delete meta.generation;

  const generated = !meta.name && Boolean(meta.generateName);
  if (generated) meta.name = freeName(context, target, meta.generateName ?? '');
  requireNamespace(context, target, meta.name ?? '');
  // Defaults build on the name; the rest of validation follows them.
  if (!meta.name) {
    throw invalid(definition, '', [required('metadata.name', 'name or generateName is required')]);
  }

  if (definition.subresources.includes('status') && !STATUS_AT_CREATE.has(resource)) delete object.status;
  definition.strategy.prepareForCreate?.(object);
  prepareNamespace(definition, object);
  bindJob(context.store, resource, namespace, object);
  options.warnings.push(
    ...admit({ user: options.user, config: context.config(), eventing: context.eventing }, target, object),
  );

  const existing = context.store.latest(resource, namespace, meta.name);
  if (existing !== undefined) {
    const dying = existing.object.metadata.deletionTimestamp !== undefined;
    throw alreadyExists(definition, meta.name, dying ? 'object is being deleted: ' : '');
  }
  if (context.quotas.has(namespace)) context.quotas.admit(definition, object);
  if (options.dryRun) return simulated(resource, object);
  return context.store.put(resource, object);
}

function freeName(context: ApiContext, { definition, namespace }: Target, prefix: string): string {
  for (let i = 0; i < NAME_TRIES; i++) {
    const name = generateName(prefix, context.random);
    if (context.store.latest(storeKey(definition), namespace, name) === undefined) return name;
  }
  throw forbidden(definition, prefix, 'unable to generate a name that is free; try again');
}
