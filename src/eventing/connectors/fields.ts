/**
 * The configuration of a source or a sink as a table of its fields: what admission refuses, what the module reads with its defaults, and
 * what the documentation lists come from the same rows. Pure.
 */
import type { FieldError, Json } from '../../kinds/object.ts';

interface Common {
  /** One line for the documentation. */
  what: string;
  required?: true;
}

export type Field =
  | (Common & { is: 'text'; default?: string; form?: RegExp; formHint?: string })
  | (Common & { is: 'count'; default?: number; min: number; max: number })
  | (Common & { is: 'flag'; default?: boolean })
  | (Common & { is: 'choice'; of: readonly string[]; default?: string })
  | (Common & { is: 'texts'; default?: readonly string[] })
  /** Any JSON object. */
  | (Common & { is: 'object' })
  | (Common & { is: 'group'; fields: Fields });

export interface Fields {
  readonly [name: string]: Field;
}

type Value<F extends Field> = F extends { is: 'text' }
  ? string
  : F extends { is: 'count' }
    ? number
    : F extends { is: 'flag' }
      ? boolean
      : F extends { is: 'choice'; of: readonly (infer Choice)[] }
        ? Choice
        : F extends { is: 'texts' }
          ? readonly string[]
          : F extends { is: 'group'; fields: infer Inner extends Fields }
            ? Read<Inner>
            : { [key: string]: Json };

/** What `readFields` makes of a table: fields that are required or have a default are there. */
export type Read<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends { required: true } | { default: unknown }
    ? Value<F[K]>
    : Value<F[K]> | undefined;
};

/** Everything wrong with a configuration, with paths relative to it. */
export function checkFields(config: Record<string, Json>, fields: Fields, under = ''): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of Object.keys(config)) {
    if (!Object.hasOwn(fields, name))
      errors.push({
        field: under + name,
        reason: 'FieldValueForbidden',
        message: `Forbidden: there is no such field; known are ${Object.keys(fields).join(', ')}`,
      });
  }
  for (const [name, field] of Object.entries(fields)) {
    const value = config[name];
    if (value === undefined || value === null) {
      if (field.required)
        errors.push({
          field: under + name,
          reason: 'FieldValueRequired',
          message: `Required value: ${field.what}`,
        });
    } else if (field.is === 'group' && isObject(value)) {
      errors.push(...checkFields(value, field.fields, `${under}${name}.`));
    } else {
      const problem = problemOf(value, field);
      if (problem !== undefined) errors.push(invalid(under + name, value, problem));
    }
  }
  return errors;
}

/** The error of a configuration that has not exactly one of two fields; at the first of them. */
export function exactlyOne(config: Record<string, Json>, first: string, second: string): FieldError[] {
  if ((config[first] === undefined) !== (config[second] === undefined)) return [];
  return [
    {
      field: first,
      reason: 'FieldValueRequired',
      message: `Required value: exactly one of ${first} and ${second}`,
    },
  ];
}

/** The error of a field whose value cannot be used. */
export function invalid(field: string, value: Json, problem: string): FieldError {
  return {
    field,
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${JSON.stringify(value)}: ${problem}`,
  };
}

/** The typed configuration with defaults, of one that has no errors. */
export function readFields<const F extends Fields>(config: Record<string, Json>, fields: F): Read<F> {
  const read: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = config[name] ?? ('default' in field ? field.default : undefined);
    if (field.is === 'texts' && typeof value === 'string') read[name] = listOf(value);
    else
      read[name] =
        field.is === 'group' && (isObject(value) || field.required)
          ? readFields(isObject(value) ? value : {}, field.fields)
          : value;
  }
  return read as Read<F>;
}

/** A list may be typed as one text, its items separated by commas. */
const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const isObject = (value: unknown): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function problemOf(value: Json, field: Field): string | undefined {
  switch (field.is) {
    case 'text':
      if (typeof value !== 'string' || (field.required && value === '')) return 'must be a text';
      return field.form && !field.form.test(value)
        ? (field.formHint ?? `must match ${field.form.source}`)
        : undefined;
    case 'count':
      return typeof value === 'number' && Number.isInteger(value) && value >= field.min && value <= field.max
        ? undefined
        : `must be an integer from ${field.min} to ${field.max}`;
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
    case 'choice':
      return typeof value === 'string' && field.of.includes(value)
        ? undefined
        : `must be one of ${field.of.join(', ')}`;
    case 'texts':
      if (typeof value === 'string') value = listOf(value);
      return Array.isArray(value) &&
        value.length >= (field.required ? 1 : 0) &&
        value.every((item) => typeof item === 'string' && item !== '')
        ? undefined
        : `must be a list of texts${field.required ? ', at least one' : ''}`;
    default:
      return isObject(value) ? undefined : 'must be an object';
  }
}
