/**
 * What is wrong with the filters of an object, in Knative's words. Source: knative.dev/eventing
 * `pkg/apis/eventing/v1/trigger_validation.go`; unlike it, every path names the filter at fault, not only that of the last.
 */
import { CesqlParseError } from './cesql/lexer.ts';
import { parse } from './cesql/parser.ts';

/** A problem: what, where (none: about nothing in particular), and more. */
export interface FilterProblem {
  message: string;
  paths: string[];
  details?: string;
}

/** Deeper filters are refused: they are compiled by functions that call each other. */
export const MAX_FILTER_DEPTH = 32;

const DIALECTS = ['exact', 'prefix', 'suffix', 'all', 'any', 'not', 'cesql'] as const;

/** What is wrong with `spec.filters` as it stands in an object; `path` is where, as `spec.filters`. */
export function filterProblems(filters: unknown, path: string): FilterProblem[] {
  return listProblems(filters, path, 1);
}

/** What is wrong with the legacy `spec.filter`; `path` is where, as `spec.filter`. */
export function legacyFilterProblems(filter: unknown, path: string): FilterProblem[] {
  if (!isSet(filter)) return [];
  if (!isMap(filter)) return [badValue(filter, path)];
  return nameProblems(filter.attributes, `${path}.attributes`);
}

function listProblems(filters: unknown, path: string, depth: number): FilterProblem[] {
  if (!isSet(filters)) return [];
  if (!Array.isArray(filters)) return [badValue(filters, path)];
  return filters.flatMap((filter, at) => oneProblems(filter, `${path}[${at}]`, depth));
}

function oneProblems(filter: unknown, path: string, depth: number): FilterProblem[] {
  if (!isSet(filter)) return [];
  if (!isMap(filter)) return [badValue(filter, path)];
  if (depth > MAX_FILTER_DEPTH)
    return [{ message: `filters are nested more than ${MAX_FILTER_DEPTH} levels deep`, paths: [path] }];
  const problems: FilterProblem[] = [];
  if (DIALECTS.filter((dialect) => isUsed(dialect, filter[dialect])).length > 1)
    problems.push({ message: 'multiple dialects found, filters can have only one dialect set', paths: [] });
  return [
    ...problems,
    ...nameProblems(filter.exact, `${path}.exact`),
    ...nameProblems(filter.prefix, `${path}.prefix`),
    ...nameProblems(filter.suffix, `${path}.suffix`),
    ...listProblems(filter.all, `${path}.all`, depth + 1),
    ...listProblems(filter.any, `${path}.any`, depth + 1),
    ...oneProblems(filter.not, `${path}.not`, depth + 1),
    ...expressionProblems(filter.cesql, `${path}.cesql`),
  ];
}

function nameProblems(map: unknown, path: string): FilterProblem[] {
  if (!isSet(map)) return [];
  if (!isMap(map)) return [badValue(map, path)];
  return Object.entries(map).flatMap(([name, value]) => {
    if (!/^[a-z][a-z0-9]*$/.test(name))
      return {
        message: `invalid key name ${JSON.stringify(name)}`,
        paths: [`${path}[${name}]`],
        details: 'Attribute name must start with a letter and can only contain lowercase alphanumeric',
      };
    return typeof value === 'string' ? [] : badValue(value, `${path}[${name}]`);
  });
}

function expressionProblems(expression: unknown, path: string): FilterProblem[] {
  if (!isSet(expression) || expression === '') return [];
  if (typeof expression !== 'string') return [badValue(expression, path)];
  try {
    parse(expression);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof CesqlParseError)) throw thrown;
    return [{ ...badValue(expression, path), details: `parse error: ${thrown.message}` }];
  }
}

const badValue = (value: unknown, path: string): FilterProblem => ({
  message: `invalid value: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  paths: [path],
});

const isSet = (value: unknown): boolean => value !== undefined && value !== null;

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a dialect counts: upstream does not see empty maps, lists and expressions; an empty `not` it does. */
function isUsed(dialect: string, value: unknown): boolean {
  if (!isSet(value) || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  return dialect === 'not' || !isMap(value) || Object.keys(value).length > 0;
}
