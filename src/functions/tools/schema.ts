/**
 * Checks a tool's arguments against its JSON Schema, so that who called wrongly reads what was wrong before a function is started for
 * it. The part of draft 2020-12 that describes arguments: types, bounds, objects, arrays, composition, references within the schema.
 * Other keywords (`format`, `unevaluatedProperties` …) say nothing here; the function has the last word.
 */
import { isDeepStrictEqual } from 'node:util';
import { linearPattern } from '../../base/linear-pattern.ts';

export type Schema = Record<string, unknown> | boolean;

/** What one check may cost: a schema may be written so that it would take for ever. */
const LIMITS = { depth: 64, steps: 100_000, problems: 10 } as const;

interface Run {
  root: Schema;
  steps: number;
}
interface Problem {
  path: string;
  message: string;
}
type Rule = (wanted: unknown, value: unknown, at: At) => Problem[];
interface At {
  path: string;
  depth: number;
  schema: Record<string, unknown>;
  run: Run;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TYPES: Record<string, (value: unknown) => boolean> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

const say = ({ path }: At, message: string): Problem[] => [{ path, message }];

/** A rule for one type of value with a bound. */
const bound =
  <T>(
    of: (value: unknown) => T | undefined,
    holds: (found: T, wanted: number) => boolean,
    text: string,
  ): Rule =>
  (wanted, value, at) => {
    const found = of(value);
    if (found === undefined || typeof wanted !== 'number' || holds(found, wanted)) return [];
    return say(at, `must ${text} ${wanted}`);
  };
const number = (value: unknown) => (typeof value === 'number' ? value : undefined);
const characters = (value: unknown) => (typeof value === 'string' ? [...value].length : undefined);
const elements = (value: unknown) => (Array.isArray(value) ? value.length : undefined);
const members = (value: unknown) => (isObject(value) ? Object.keys(value).length : undefined);
const atLeast = (found: number, wanted: number) => found >= wanted;
const atMost = (found: number, wanted: number) => found <= wanted;

const schemas = (wanted: unknown): Schema[] => (Array.isArray(wanted) ? (wanted as Schema[]) : []);
const passes = (schema: Schema, value: unknown, at: At): boolean => inspect(schema, value, at).length === 0;

const RULES: Record<string, Rule> = {
  type(wanted, value, at) {
    const types = (Array.isArray(wanted) ? wanted : [wanted]).map(String);
    return types.some((type) => TYPES[type]?.(value)) ? [] : say(at, `must be ${types.join(' or ')}`);
  },
  enum: (wanted, value, at) =>
    Array.isArray(wanted) && !wanted.some((one) => isDeepStrictEqual(one, value))
      ? say(at, `must be one of ${wanted.map((one) => JSON.stringify(one)).join(', ')}`)
      : [],
  const: (wanted, value, at) =>
    isDeepStrictEqual(wanted, value) ? [] : say(at, `must be ${JSON.stringify(wanted)}`),
  minimum: bound(number, atLeast, 'be at least'),
  maximum: bound(number, atMost, 'be at most'),
  exclusiveMinimum: bound(number, (found, wanted) => found > wanted, 'be more than'),
  exclusiveMaximum: bound(number, (found, wanted) => found < wanted, 'be less than'),
  multipleOf: bound(number, (found, wanted) => Number.isInteger(found / wanted), 'be a multiple of'),
  minLength: bound(characters, atLeast, 'have a length of at least'),
  maxLength: bound(characters, atMost, 'have a length of at most'),
  minItems: bound(elements, atLeast, 'have a number of elements of at least'),
  maxItems: bound(elements, atMost, 'have a number of elements of at most'),
  minProperties: bound(members, atLeast, 'have a number of members of at least'),
  maxProperties: bound(members, atMost, 'have a number of members of at most'),
  pattern: (wanted, value, at) =>
    typeof value !== 'string' || matches(wanted, value) ? [] : say(at, `must match ${wanted}`),
  uniqueItems: (wanted, value, at) =>
    wanted === true &&
    Array.isArray(value) &&
    new Set(value.map((one) => JSON.stringify(one))).size < value.length
      ? say(at, 'must not have an element twice')
      : [],
  required: (wanted, value, at) =>
    isObject(value) && Array.isArray(wanted)
      ? wanted
          .filter((name) => !Object.hasOwn(value, name))
          .map((name) => ({ path: `${at.path}.${name}`, message: 'is missing' }))
      : [],
  properties: (wanted, value, at) =>
    isObject(value) && isObject(wanted)
      ? Object.entries(wanted).flatMap(([name, schema]) =>
          Object.hasOwn(value, name) ? inspect(schema as Schema, value[name], below(at, `.${name}`)) : [],
        )
      : [],
  additionalProperties(wanted, value, at) {
    if (!isObject(value)) return [];
    const { properties, patternProperties } = at.schema;
    const known = isObject(properties) ? properties : {};
    const patterns = isObject(patternProperties) ? Object.keys(patternProperties) : [];
    return Object.keys(value)
      .filter((name) => !Object.hasOwn(known, name) && !patterns.some((pattern) => matches(pattern, name)))
      .flatMap((name) =>
        wanted === false
          ? [{ path: `${at.path}.${name}`, message: 'is not known' }]
          : inspect(wanted as Schema, value[name], below(at, `.${name}`)),
      );
  },
  patternProperties: (wanted, value, at) =>
    isObject(value) && isObject(wanted)
      ? Object.entries(wanted).flatMap(([pattern, schema]) =>
          Object.keys(value)
            .filter((name) => matches(pattern, name))
            .flatMap((name) => inspect(schema as Schema, value[name], below(at, `.${name}`))),
        )
      : [],
  propertyNames: (wanted, value, at) =>
    isObject(value)
      ? Object.keys(value).flatMap((name) => inspect(wanted as Schema, name, below(at, `.${name}`)))
      : [],
  prefixItems: (wanted, value, at) =>
    Array.isArray(value)
      ? schemas(wanted).flatMap((schema, i) =>
          i < value.length ? inspect(schema, value[i], below(at, `[${i}]`)) : [],
        )
      : [],
  items(wanted, value, at) {
    if (!Array.isArray(value) || Array.isArray(wanted)) return [];
    const skip = schemas(at.schema.prefixItems).length;
    return value.slice(skip).flatMap((one, i) => inspect(wanted as Schema, one, below(at, `[${i + skip}]`)));
  },
  contains: (wanted, value, at) =>
    !Array.isArray(value) || value.some((one) => passes(wanted as Schema, one, at))
      ? []
      : say(at, 'must contain an element of the kind wanted'),
  allOf: (wanted, value, at) => schemas(wanted).flatMap((schema) => inspect(schema, value, below(at, ''))),
  anyOf: (wanted, value, at) =>
    schemas(wanted).some((schema) => passes(schema, value, below(at, '')))
      ? []
      : say(at, 'must be one of the kinds that anyOf allows'),
  oneOf: (wanted, value, at) =>
    schemas(wanted).filter((schema) => passes(schema, value, below(at, ''))).length === 1
      ? []
      : say(at, 'must be exactly one of the kinds that oneOf allows'),
  not: (wanted, value, at) =>
    passes(wanted as Schema, value, below(at, '')) ? say(at, 'must not be of the kind that is excluded') : [],
  if(wanted, value, at) {
    const branch = passes(wanted as Schema, value, below(at, '')) ? at.schema.then : at.schema.else;
    return branch === undefined ? [] : inspect(branch as Schema, value, below(at, ''));
  },
  $ref(wanted, value, at) {
    const found = resolve(at.run.root, String(wanted));
    // What lies elsewhere is not fetched, and what is not understood must not pass for allowed.
    if (found === undefined) return say(at, `cannot be checked: the schema refers to ${wanted}`);
    return inspect(found, value, below(at, ''));
  },
};

const below = (at: At, path: string): At => ({ ...at, path: at.path + path, depth: at.depth + 1 });

function matches(pattern: unknown, text: string): boolean {
  try {
    // A schema's pattern may match anywhere in the text; ours match the whole.
    return linearPattern(`(?:[^]*?)(?:${pattern})(?:[^]*)`).test(text);
  } catch {
    return true; // not one that can be checked in linear time
  }
}

/** A JSON pointer within the schema. */
function resolve(root: Schema, reference: string): Schema | undefined {
  if (!reference.startsWith('#')) return undefined;
  let found: unknown = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  }
  return isObject(found) || typeof found === 'boolean' ? found : undefined;
}

function inspect(schema: Schema, value: unknown, at: At): Problem[] {
  if (schema === true || (!isObject(schema) && schema !== false)) return [];
  if (schema === false) return say(at, 'is not allowed');
  if (at.depth > LIMITS.depth || ++at.run.steps > LIMITS.steps)
    return say(at, 'cannot be checked: the schema is too deep');
  const here = { ...at, schema };
  return Object.entries(schema).flatMap(([keyword, wanted]) =>
    Object.hasOwn(RULES, keyword) ? (RULES[keyword] as Rule)(wanted, value, here) : [],
  );
}

/** What is wrong with a value, one sentence each with its path, the first few; empty when nothing is. */
export function violations(schema: Schema, value: unknown): string[] {
  const root = isObject(schema) ? schema : {};
  const problems = inspect(schema, value, {
    path: '',
    depth: 0,
    schema: root,
    run: { root: schema, steps: 0 },
  });
  return problems
    .slice(0, LIMITS.problems)
    .map(({ path, message }) => `${path === '' ? 'arguments' : path.replace(/^\./, '')} ${message}`);
}
