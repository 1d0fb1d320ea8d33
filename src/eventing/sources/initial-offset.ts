/** Where a reader of a log begins that has read nothing of it: the field `initialOffset` of sources. Pure. */
import type { FieldError, Json } from '../../kinds/object.ts';
import { invalid } from '../connectors/fields.ts';

/** What the text says; a time is milliseconds since the epoch. Undefined: it says nothing. */
export function startOf(text: string): 'latest' | 'earliest' | number | undefined {
  if (text === 'latest' || text === 'earliest') return text;
  const at = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** What is wrong with the field; that it is a text at all is the table's to say. */
export const checkStart = ({ initialOffset }: Record<string, Json>): FieldError[] =>
  typeof initialOffset === 'string' && startOf(initialOffset) === undefined
    ? [
        invalid(
          'initialOffset',
          initialOffset,
          'must be latest, earliest or a time like 2026-11-21T09:00:00Z',
        ),
      ]
    : [];
