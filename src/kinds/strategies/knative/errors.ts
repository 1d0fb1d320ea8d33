/** Problems as Knative's validating webhook words them. Source: knative.dev/pkg `apis.FieldError`. */

/** One problem with no, one or more fields. */
export interface KnativeProblem {
  message: string;
  paths: string[];
  details?: string;
}

export const missing = (...paths: string[]): KnativeProblem => ({ message: 'missing field(s)', paths });
export const disallowed = (...paths: string[]): KnativeProblem => ({
  message: 'must not set the field(s)',
  paths,
});
export const badValue = (value: unknown, path: string, details?: string): KnativeProblem => ({
  message: `invalid value: ${value}`,
  paths: [path],
  details,
});
export const badKey = (key: string, path: string, ...details: string[]): KnativeProblem => ({
  message: `invalid key name ${JSON.stringify(key)}`,
  paths: [path],
  details: details.join(', '),
});
export const outOfBounds = (
  value: number | string,
  low: number | string,
  high: number | string,
  path: string,
): KnativeProblem => ({ message: `expected ${low} <= ${value} <= ${high}`, paths: [path] });
export const noneOf = (...paths: string[]): KnativeProblem => ({
  message: 'expected exactly one, got neither',
  paths,
});
export const severalOf = (...paths: string[]): KnativeProblem => ({
  message: 'expected exactly one, got both',
  paths,
});
/** Without `path`: about nothing in particular. */
export const problem = (message: string, path?: string, details?: string): KnativeProblem => ({
  message,
  paths: path === undefined ? [] : [path],
  details,
});

/** `a.b` + `[0]` → `a.b[0]`, `a` + `b` → `a.b`. */
export const join = (path: string, field: string): string =>
  path === '' || field === '' || field.startsWith('[') ? path + field : `${path}.${field}`;

/** One text for each: problems with the same words are told together, paths and texts are sorted. */
export function texts(problems: KnativeProblem[]): string[] {
  const groups = new Map<string, { message: string; paths: Set<string>; details: string }>();
  for (const { message, paths, details = '' } of problems) {
    const key = JSON.stringify([message, details]);
    const group = groups.get(key) ?? { message, paths: new Set(), details };
    for (const path of paths) group.paths.add(path);
    groups.set(key, group);
  }
  const before = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...groups.values()]
    .sort((a, b) => before(a.message, b.message) || before(a.details, b.details))
    .map(({ message, paths, details }) => {
      const line = `${message}: ${[...paths].sort().join(', ')}`;
      return details === '' ? line : `${line}\n${details}`;
    });
}

/** The whole refusal, or undefined when there is no problem. The API answers it as 400 BadRequest. */
export function denial(
  problems: KnativeProblem[],
  area: 'serving' | 'eventing' = 'serving',
): string | undefined {
  if (problems.length === 0) return undefined;
  return `admission webhook "validation.webhook.${area}.knative.dev" denied the request: validation failed: ${texts(problems).join('\n')}`;
}

/** What differs between two values, field by field, as `path:\n\t-: "old"\n\t+: "new"`. */
export function differences(old: unknown, now: unknown, path = ''): string {
  const [a, b] = [JSON.stringify(old) ?? '', JSON.stringify(now) ?? ''];
  if (a === b) return '';
  const isTree = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null;
  const quoted = (v: unknown): string =>
    JSON.stringify(typeof v === 'string' ? v : (JSON.stringify(v) ?? ''));
  if (!isTree(old) || !isTree(now) || Array.isArray(old) !== Array.isArray(now)) {
    return `${path}:\n\t-: ${quoted(old)}\n\t+: ${quoted(now)}\n`;
  }
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
  return keys
    .map((key) => differences(old[key], now[key], Array.isArray(old) ? `${path}[${key}]` : join(path, key)))
    .join('');
}
