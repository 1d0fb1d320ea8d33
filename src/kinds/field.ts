/** Field problems with the texts that clients print and compare. Source: apimachinery `util/validation/field`. */
import type { FieldError } from './object.ts';

/** A value as Go's `%v` / `%q` shows it inside a message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === undefined) return 'null';
  return JSON.stringify(value) ?? 'null';
}

function error(field: string, reason: string, body: string, detail: string): FieldError {
  return { field, reason, message: detail === '' ? body : `${body}: ${detail}` };
}

/** The field must be set. */
export const required = (field: string, detail = ''): FieldError =>
  error(field, 'FieldValueRequired', 'Required value', detail);

/** The field's value breaks a rule. */
export const invalid = (field: string, value: unknown, detail: string): FieldError =>
  error(field, 'FieldValueInvalid', `Invalid value: ${shown(value)}`, detail);

/** The field's value is not one of a closed list. */
export const notSupported = (field: string, value: unknown, supported: readonly string[]): FieldError =>
  error(
    field,
    'FieldValueNotSupported',
    `Unsupported value: ${shown(value)}`,
    supported.length === 0 ? '' : `supported values: ${supported.map((v) => JSON.stringify(v)).join(', ')}`,
  );

/** The field may not be set (or changed) here. */
export const forbidden = (field: string, detail: string): FieldError =>
  error(field, 'FieldValueForbidden', 'Forbidden', detail);

/** The value occurs twice where it must be unique. */
export const duplicate = (field: string, value: unknown): FieldError =>
  error(field, 'FieldValueDuplicate', `Duplicate value: ${shown(value)}`, '');

/** The field refers to something that is not there. */
export const notFound = (field: string, value: unknown): FieldError =>
  error(field, 'FieldValueNotFound', `Not found: ${shown(value)}`, '');

/** The value has more bytes than `max`. */
export const tooLong = (field: string, max: number): FieldError =>
  error(field, 'FieldValueTooLong', 'Too long', `may not be more than ${max} bytes`);

/** What upstream says of every field that may not change. */
export const IMMUTABLE = 'field is immutable';
