/** Rules for `metadata` that every kind shares. Source: apimachinery `api/validation.ValidateObjectMetaAccessor`. */
import { forbidden, IMMUTABLE, invalid, required, tooLong } from './field.ts';
import { dns1123Label, forPrefix, labelValue, type NameRule, qualifiedName } from './name.ts';
import type { FieldError, UntypedObject } from './object.ts';

const ANNOTATIONS_MAX_BYTES = 256 * 1024;

/** Problems of a label map at `path`. */
export function validateLabels(labels: Record<string, string> | undefined, path: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...qualifiedName(key).map((m) => invalid(path, key, m)),
    ...labelValue(value).map((m) => invalid(path, value, m)),
  ]);
}

/** Problems of an annotation map at `path`. */
function validateAnnotations(annotations: Record<string, string> | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...qualifiedName(key.toLowerCase()).map((m) => invalid(path, key, m)));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > ANNOTATIONS_MAX_BYTES) errors.push(tooLong(path, ANNOTATIONS_MAX_BYTES));
  return errors;
}

function validateOwners(object: UntypedObject, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  for (const [i, owner] of (object.metadata.ownerReferences ?? []).entries()) {
    const at = `${path}[${i}]`;
    if (!/^([^/]+\/)?[^/]+$/.test(owner.apiVersion ?? '')) {
      errors.push(invalid(`${at}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty'));
    }
    for (const field of ['kind', 'name', 'uid'] as const) {
      if (!owner[field])
        errors.push(invalid(`${at}.${field}`, owner[field] ?? '', `${field} must not be empty`));
    }
    if (!owner.controller) continue;
    if (controller !== undefined) {
      errors.push(
        invalid(
          path,
          object.metadata.ownerReferences,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.name}`,
        ),
      );
    }
    controller = owner.name;
  }
  return errors;
}

function validateFinalizers(finalizers: string[] | undefined, path: string): FieldError[] {
  const list = finalizers ?? [];
  const errors = list.flatMap((name) => {
    const problems = qualifiedName(name).map((m) => invalid(path, name, m));
    const bare = !name.includes('/') && name !== 'orphan' && name !== 'foregroundDeletion';
    return problems.length === 0 && bare
      ? [invalid(path, name, 'name is neither a standard finalizer name nor is it fully qualified')]
      : problems;
  });
  if (list.includes('orphan') && list.includes('foregroundDeletion')) {
    errors.push(invalid(path, list, 'finalizer orphan and foregroundDeletion cannot be both set'));
  }
  return errors;
}

/** Problems of an object's metadata. The name must already be generated where `generateName` was given. */
export function validateMetadata(
  object: UntypedObject,
  namespaced: boolean,
  nameRule: NameRule,
): FieldError[] {
  const meta = object.metadata;
  const errors: FieldError[] = [];
  if (meta.generateName) {
    errors.push(
      ...forPrefix(nameRule)(meta.generateName).map((m) =>
        invalid('metadata.generateName', meta.generateName, m),
      ),
    );
  }
  if (!meta.name) errors.push(required('metadata.name', 'name or generateName is required'));
  else errors.push(...nameRule(meta.name).map((m) => invalid('metadata.name', meta.name, m)));
  if (namespaced) {
    if (!meta.namespace) errors.push(required('metadata.namespace'));
    else
      errors.push(
        ...dns1123Label(meta.namespace).map((m) => invalid('metadata.namespace', meta.namespace, m)),
      );
  } else if (meta.namespace) errors.push(forbidden('metadata.namespace', 'not allowed on this type'));
  errors.push(
    ...validateLabels(meta.labels, 'metadata.labels'),
    ...validateAnnotations(meta.annotations, 'metadata.annotations'),
    ...validateOwners(object, 'metadata.ownerReferences'),
    ...validateFinalizers(meta.finalizers, 'metadata.finalizers'),
  );
  return errors;
}

/** Problems of a change of metadata: what identifies an object stays, and a dying object gets no new finalizers. */
export function validateMetadataUpdate(object: UntypedObject, old: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  const fixed = [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ] as const;
  for (const field of fixed) {
    if ((object.metadata[field] ?? '') !== (old.metadata[field] ?? '')) {
      errors.push(invalid(`metadata.${field}`, object.metadata[field] ?? null, IMMUTABLE));
    }
  }
  if (old.metadata.deletionTimestamp !== undefined) {
    const added = (object.metadata.finalizers ?? []).filter((f) => !old.metadata.finalizers?.includes(f));
    if (added.length > 0) {
      const list = `[]string{${added.map((f) => JSON.stringify(f)).join(', ')}}`;
      errors.push(
        forbidden(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`,
        ),
      );
    }
  }
  return errors;
}
