/**
 * Metadata of Knative's objects: names, owners, who wrote them. Source: knative.dev/pkg `apis/metadata_validation.go`,
 * knative.dev/serving `pkg/apis/serving/metadata_validation.go`.
 */
import { isDeepStrictEqual } from 'node:util';
import { dns1035Label, forPrefix } from '../../name.ts';
import type { UntypedObject } from '../../object.ts';
import { badValue, type KnativeProblem, missing, problem } from './errors.ts';

const CREATOR = 'serving.knative.dev/creator';
const LAST_MODIFIER = 'serving.knative.dev/lastModifier';

const labels = (messages: string[]): string => `[${messages.join(' ')}]`;

/** `metadata.name` and `metadata.generateName`. */
export function validateName({ metadata }: UntypedObject): KnativeProblem[] {
  const { name, generateName } = metadata;
  const prefix = generateName ? forPrefix(dns1035Label)(generateName) : [];
  if (prefix.length > 0)
    return [problem(`not a DNS 1035 label prefix: ${labels(prefix)}`, 'metadata.generateName')];
  const messages = name ? dns1035Label(name) : [];
  return messages.length > 0 ? [problem(`not a DNS 1035 label: ${labels(messages)}`, 'metadata.name')] : [];
}

/** A label that names an owner must name one that the object has. */
export function validateOwnerLabel(
  { metadata }: UntypedObject,
  label: string,
  kind: string,
): KnativeProblem[] {
  const name = metadata.labels?.[label];
  if (name === undefined) return [];
  const owned = metadata.ownerReferences?.some((owner) => owner.kind === kind && owner.name === name);
  return owned ? [] : [missing(`metadata.labels.${label}`)];
}

const isOwned = ({ metadata }: UntypedObject): boolean => (metadata.ownerReferences?.length ?? 0) > 0;
/** Configurations and Routes that something owns copy the owner's annotations. */
const copies = (object: UntypedObject): boolean =>
  isOwned(object) && (object.kind === 'Configuration' || object.kind === 'Route');

/** Who created the object, and who changed its spec last. */
export function recordUser(
  object: UntypedObject,
  old: UntypedObject | undefined,
  user: string | undefined,
): void {
  if (user === undefined || copies(object)) return;
  if (old !== undefined && isDeepStrictEqual(object.spec, old.spec)) return;
  const annotations: Record<string, string> = object.metadata.annotations ?? {};
  if (old === undefined) annotations[CREATOR] = user;
  annotations[LAST_MODIFIER] = user;
  object.metadata.annotations = annotations;
}

/** The creator stays, and the last modifier changes only with the spec. */
export function validateUsers(object: UntypedObject, old: UntypedObject | undefined): KnativeProblem[] {
  if (old === undefined || copies(object)) return [];
  const value = (of: UntypedObject, key: string): string => of.metadata.annotations?.[key] ?? '';
  const problems: KnativeProblem[] = [];
  if (value(object, CREATOR) !== value(old, CREATOR)) {
    problems.push(problem('annotation value is immutable', `metadata.annotations.${CREATOR}`));
  }
  const modifier = value(object, LAST_MODIFIER);
  if (modifier !== value(old, LAST_MODIFIER) && isDeepStrictEqual(object.spec, old.spec)) {
    problems.push(badValue(modifier, `metadata.annotations.${LAST_MODIFIER}`));
  }
  return problems;
}
