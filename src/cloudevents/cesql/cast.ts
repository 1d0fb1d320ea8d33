/** CESQL's casts. Source: cloudevents/spec, `cesql/spec.md` 3.7. Undefined: the value cannot be cast. */
import type { CesqlValue } from './parser.ts';

const INTEGER = /^[+-]?[0-9]+$/;

export function toInteger(value: CesqlValue): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  // The longest that can be in range has a sign and ten digits, behind any number of zeros.
  if (!INTEGER.test(value)) return undefined;
  const number = Number(value);
  return number >= -2147483648 && number <= 2147483647 ? number | 0 : undefined;
}

export function toBoolean(value: CesqlValue): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return value !== 0;
  const lower = value.length <= 5 ? value.toLowerCase() : '';
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

/** Every value is some text. */
export const toText = (value: CesqlValue): string => (typeof value === 'string' ? value : String(value));

/** `value` as the type of `like`. */
export function castLike(value: CesqlValue, like: CesqlValue): CesqlValue | undefined {
  switch (typeof like) {
    case 'string':
      return toText(value);
    case 'number':
      return toInteger(value);
    default:
      return toBoolean(value);
  }
}
