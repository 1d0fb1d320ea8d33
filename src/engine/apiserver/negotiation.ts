/** What form an answer takes, from the `Accept` header. Source: apiserver `endpoints/handlers/negotiation`. */
import { notAcceptable } from './errors.ts';
import { JSON_TYPE } from './reply.ts';

export interface Form {
  /** `Table` for kubectl's columns, `PartialObjectMetadata` for metadata alone, undefined for the object itself. */
  as: 'Table' | 'PartialObjectMetadata' | undefined;
  /** Version of `meta.k8s.io` for either. */
  version: 'v1' | 'v1beta1';
}

const PLAIN: Form = { as: undefined, version: 'v1' };
const JSON_RANGES = new Set([JSON_TYPE, 'application/*', '*/*']);

/** The first form in the header that is served; throws 406 when there is none. Weights are not read: clients write them in order. */
export function acceptedForm(accept: string | undefined): Form {
  if (accept === undefined || accept.trim() === '') return PLAIN;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    if (!JSON_RANGES.has(type.toLowerCase())) continue;
    const values = Object.fromEntries(parameters.map((p) => p.split('=', 2)));
    if (values.as === undefined) return PLAIN;
    if (values.g !== 'meta.k8s.io' || (values.v !== 'v1' && values.v !== 'v1beta1')) continue;
    if (values.as === 'Table') return { as: 'Table', version: values.v };
    if (values.as === 'PartialObjectMetadata' || values.as === 'PartialObjectMetadataList') {
      return { as: 'PartialObjectMetadata', version: values.v };
    }
  }
  throw notAcceptable([JSON_TYPE]);
}
