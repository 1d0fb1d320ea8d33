/** Reading a ConfigMap's data into typed values by a table of fields. Source: knative.dev/pkg `configmap/parser`. */
import { createRequire } from 'node:module';
import { goDurationProblem, parseGoDuration } from '../go-duration.ts';
import { compileTemplate, type Template } from '../go-template.ts';
import { parseQuantity } from '../quantity.ts';

/** `data` of a ConfigMap. */
export type ConfigData = Readonly<Record<string, string>>;

/** A ConfigMap holds a value that cannot be used; the message names the key and says why. */
export class ConfigMapError extends Error {}

/** How one value is read. */
export interface Field<T> {
  /** Keys of the ConfigMap; where several are there, the last one counts. */
  keys: readonly string[];
  initial: T;
  /** Throws an Error whose message is the reason, or a `ConfigMapError` that says it all. */
  read: (raw: string) => T;
}

export type Values<F> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A field of the table; a legacy key goes before the one that replaces it. */
export const field = <T>(read: (raw: string) => T, initial: T, ...keys: string[]): Field<T> => ({
  keys,
  initial,
  read,
});

/** The values of `data`, and what was there before where it has none. Throws `ConfigMapError`. */
export function readFields<F extends Record<string, Field<unknown>>>(
  fields: F,
  data: ConfigData,
  prefix = '',
): Values<F> {
  const values: Record<string, unknown> = {};
  for (const [name, { keys, initial, read }] of Object.entries(fields)) {
    values[name] = initial;
    for (const key of keys) {
      const raw = data[key];
      if (raw === undefined) continue;
      try {
        values[name] = read(raw);
      } catch (error) {
        if (error instanceof ConfigMapError) throw error;
        throw new ConfigMapError(`${prefix}failed to parse "${key}": ${(error as Error).message}`);
      }
    }
  }
  return values as Values<F>;
}

/** Throws `ConfigMapError` with the first message whose rule is broken. */
export function requireAll(...rules: (readonly [holds: boolean, otherwise: () => string])[]): void {
  for (const [holds, otherwise] of rules) if (!holds) throw new ConfigMapError(otherwise());
}

export const text = (raw: string): string => raw.trim();

const BOOLS: Record<string, boolean> = {
  ...Object.fromEntries(['1', 't', 'T', 'true', 'TRUE', 'True'].map((word) => [word, true])),
  ...Object.fromEntries(['0', 'f', 'F', 'false', 'FALSE', 'False'].map((word) => [word, false])),
};

/** Source: Go's `strconv.ParseBool`. */
export function bool(raw: string): boolean {
  const value = Object.hasOwn(BOOLS, raw) ? BOOLS[raw] : undefined;
  if (value === undefined)
    throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(raw)}: invalid syntax`);
  return value;
}

/** Whole numbers of so many bits; beyond 2^53 they are not exact, which no setting needs. */
const integer =
  (bits: 32 | 64) =>
  (raw: string): number => {
    const wrong = (why: string) => new Error(`strconv.ParseInt: parsing ${JSON.stringify(raw)}: ${why}`);
    if (!/^[+-]?\d+$/.test(raw)) throw wrong('invalid syntax');
    const value = Number(raw);
    if (value >= 2 ** (bits - 1) || value < -(2 ** (bits - 1))) throw wrong('value out of range');
    return value;
  };
export const int32 = integer(32);
export const int64 = integer(64);

/** Whole numbers from 0. */
export function unsigned(raw: string): number {
  if (!/^\d+$/.test(raw))
    throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(raw)}: invalid syntax`);
  return Number(raw);
}

/** Decimal numbers; hexadecimal ones, infinities and NaN, which Go would take, suit no setting. */
export function float(raw: string): number {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(raw)) {
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(raw)}: invalid syntax`);
  }
  return Number(raw);
}

/** Milliseconds. */
export function duration(raw: string): number {
  const value = parseGoDuration(raw);
  if (value === undefined) throw new Error(goDurationProblem(raw));
  return value;
}

/** Kept as text. */
export function quantity(raw: string): string {
  if (Number.isNaN(parseQuantity(raw))) {
    throw new Error(
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  }
  return raw;
}

/** Comma-separated. */
export const list = (raw: string): string[] => raw.split(',').map((item) => item.trim());

export const template = (raw: string): Template => compileTemplate(raw);

let parser: { parse(text: string): unknown } | undefined;

/** YAML, which a few values are in. The parser is loaded when the first of them is not empty. */
export function yaml(raw: string): unknown {
  if (raw.trim() === '') return undefined;
  parser ??= createRequire(import.meta.url)('yaml') as { parse(text: string): unknown };
  return parser.parse(raw);
}

/** A map to text within YAML, where a number is text as well; throws an Error for anything else. */
export function textMap(value: unknown, what: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const entries = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : undefined;
  const isScalar = (item: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof item);
  if (entries === undefined || !entries.every(([, item]) => isScalar(item))) {
    throw new Error(`${what} must be a map from text to text`);
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, String(item)]));
}
