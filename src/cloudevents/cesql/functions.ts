/** CESQL's built-in functions. Source: cloudevents/spec, `cesql/spec.md` 3.5. Characters are code points. */
import { toBoolean, toInteger } from './cast.ts';
import type { CesqlValue } from './parser.ts';

export type ValueType = 'string' | 'integer' | 'boolean' | 'any';

/** What a function gives back where it cannot do what is asked: a value all the same, and what kind of error it is. */
export class Failed {
  readonly value: CesqlValue;
  readonly kind: 'cast' | 'math' | 'functionEvaluation';
  constructor(value: CesqlValue, kind: Failed['kind']) {
    this.value = value;
    this.kind = kind;
  }
}

/** A function of one arity; arguments are cast to `parameters` before `apply` sees them. */
export interface CesqlFunction {
  parameters: readonly ValueType[];
  /** The type of any number of arguments more. */
  rest?: ValueType;
  /** What the call is worth when an argument failed. */
  zero: CesqlValue;
  // biome-ignore lint/suspicious/noExplicitAny: arguments have the types that `parameters` names.
  apply: (...args: any[]) => CesqlValue | Failed;
}

const SURROGATE = /[\ud800-\udfff]/;

const characters = (text: string): number => (SURROGATE.test(text) ? [...text].length : text.length);

function slice(text: string, from: number, to?: number): string {
  return SURROGATE.test(text) ? [...text].slice(from, to).join('') : text.slice(from, to);
}

function substring(text: string, position: number, length?: number): string | Failed {
  const size = characters(text);
  if (position > size || position < -size || (length !== undefined && length < 0))
    return new Failed('', 'functionEvaluation');
  if (position === 0) return '';
  const from = position > 0 ? position - 1 : size + position;
  return slice(text, from, length === undefined ? undefined : from + length);
}

/** White space as Unicode defines it (the property White_Space). */
const SPACE = new Set('\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000');
for (let code = 0x2000; code <= 0x200a; code++) SPACE.add(String.fromCharCode(code));

function trim(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && SPACE.has(text[from]!)) from++;
  while (to > from && SPACE.has(text[to - 1]!)) to--;
  return text.slice(from, to);
}

const text = (apply: (text: string) => CesqlValue, zero: CesqlValue = ''): CesqlFunction => ({
  parameters: ['string'],
  zero,
  apply,
});

const cut = (apply: (text: string, count: number) => string): CesqlFunction => ({
  parameters: ['string', 'integer'],
  zero: '',
  apply: (of: string, count: number) => (count < 0 ? new Failed(of, 'functionEvaluation') : apply(of, count)),
});

const any = (zero: CesqlValue, apply: (value: CesqlValue) => CesqlValue | Failed): CesqlFunction => ({
  parameters: ['any'],
  zero,
  apply,
});

/** By name; several of one name differ in how many arguments they take. */
const FUNCTIONS: Readonly<Record<string, readonly CesqlFunction[]>> = {
  LENGTH: [text(characters, 0)],
  CONCAT: [{ parameters: [], rest: 'string', zero: '', apply: (...texts: string[]) => texts.join('') }],
  CONCAT_WS: [
    {
      parameters: ['string'],
      rest: 'string',
      zero: '',
      apply: (delimiter: string, ...texts: string[]) => texts.join(delimiter),
    },
  ],
  LOWER: [text((of) => of.toLowerCase())],
  UPPER: [text((of) => of.toUpperCase())],
  TRIM: [text(trim)],
  LEFT: [cut((of, count) => slice(of, 0, count))],
  RIGHT: [cut((of, count) => slice(of, Math.max(0, characters(of) - count)))],
  SUBSTRING: [
    { parameters: ['string', 'integer'], zero: '', apply: substring },
    { parameters: ['string', 'integer', 'integer'], zero: '', apply: substring },
  ],
  ABS: [
    {
      parameters: ['integer'],
      zero: 0,
      apply: (of: number) => (of === -2147483648 ? new Failed(2147483647, 'math') : Math.abs(of)),
    },
  ],
  INT: [any(0, (value) => toInteger(value) ?? new Failed(0, 'cast'))],
  BOOL: [any(false, (value) => toBoolean(value) ?? new Failed(false, 'cast'))],
  STRING: [any('', String)],
  IS_INT: [any(false, (value) => toInteger(value) !== undefined)],
  IS_BOOL: [any(false, (value) => toBoolean(value) !== undefined)],
};

/** The function of a name (in capitals) that takes so many arguments. */
export function functionOf(name: string, count: number): CesqlFunction | undefined {
  if (!Object.hasOwn(FUNCTIONS, name)) return undefined;
  return FUNCTIONS[name]?.find(({ parameters, rest }) =>
    rest === undefined ? parameters.length === count : parameters.length <= count,
  );
}
