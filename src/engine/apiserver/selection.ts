/** Which objects a list, watch or deletecollection is about. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import {
  checkFieldSelector,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
} from '../../kinds/selectors.ts';
import type { Stored } from '../store/contract.ts';
import { badRequest } from './errors.ts';
import type { Target } from './target.ts';

export interface Selection {
  /** Absent: all namespaces. */
  namespace: string | undefined;
  /** Absent: everything in the namespace. */
  matches: ((object: Stored) => boolean) | undefined;
}

/** From the query's selectors and the target; throws 400 for what is no selector. */
export function parseSelection(target: Target, query: URLSearchParams): Selection {
  const { definition } = target;
  try {
    const labels = parseLabelSelector(query.get('labelSelector') ?? '');
    const fields = parseFieldSelector(query.get('fieldSelector') ?? '');
    checkFieldSelector(definition, fields);
    if (target.name !== '') fields.push({ field: 'metadata.name', equal: true, value: target.name });
    // Name and namespace are known without parsing the object.
    const quick = fields.filter(({ field }) => field in QUICK);
    const slow = fields.filter(({ field }) => !(field in QUICK));
    const slowMatch =
      labels.length === 0 && slow.length === 0
        ? undefined
        : (object: UntypedObject) =>
            matchesLabels(labels, object.metadata.labels) && matchesFields(definition, slow, object);
    const matches =
      fields.length === 0 && labels.length === 0
        ? undefined
        : (stored: Stored) =>
            quick.every(({ field, equal, value }) => (QUICK[field]?.(stored) === value) === equal) &&
            (slowMatch?.(stored.object) ?? true);
    return { namespace: namespaceOf(target, definition), matches };
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

const QUICK: Record<string, (object: Stored) => string> = {
  'metadata.name': (o) => o.name,
  'metadata.namespace': (o) => o.namespace,
};

const namespaceOf = (target: Target, definition: ResourceDefinition): string | undefined =>
  definition.namespaced && target.namespace !== '' ? target.namespace : undefined;

/** Whether an object is in the namespace and meets the selectors. */
export const selects = ({ namespace, matches }: Selection, object: Stored): boolean =>
  (namespace === undefined || object.namespace === namespace) && (matches?.(object) ?? true);
