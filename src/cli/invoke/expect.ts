/** What a saved request expects of its answer, and how an answer differs. Pure. */
import { isDeepStrictEqual } from 'node:util';

/** `expect` of a saved request; what is left out may be anything. */
export interface Expectation {
  /** Default: below 400. */
  status?: number;
  /** By name; a value in slashes is a regular expression, `null` stands for a header that must not be there. */
  headers?: Record<string, string | null>;
  /** A text: the body to the letter. Anything else: JSON that has at least these members, lists whole. */
  body?: unknown;
  /** A regular expression that the body as text matches. */
  bodyMatches?: string;
}

export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** Longest piece of a text that is shown, characters. */
const SHOWN = 200;

const FIELDS = new Set(['status', 'headers', 'body', 'bodyMatches']);

/** What is wrong with `expect` itself; undefined when nothing is. */
export function wrongExpectation(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'expect must be an object';
  const { status, headers = {}, bodyMatches } = value as Record<string, unknown>;
  const other = Object.keys(value).find((name) => !FIELDS.has(name));
  if (other !== undefined) return `expect has no ${other}: it has ${[...FIELDS].join(', ')}`;
  if (status !== undefined && !(Number.isInteger(status) && Number(status) >= 100 && Number(status) <= 599))
    return 'expect.status must be a status code';
  if (typeof headers !== 'object' || headers === null) return 'expect.headers must be an object';
  for (const [name, wanted] of Object.entries(headers)) {
    if (wanted !== null && typeof wanted !== 'string') return `expect.headers.${name} must be a text or null`;
    const problem = wanted === null ? undefined : badPattern(patternIn(wanted));
    if (problem) return `expect.headers.${name}: ${problem}`;
  }
  if (bodyMatches === undefined) return undefined;
  if (typeof bodyMatches !== 'string') return 'expect.bodyMatches must be a text';
  const problem = badPattern(bodyMatches);
  return problem && `expect.bodyMatches: ${problem}`;
}

const patternIn = (text: string): string | undefined => /^\/(.*)\/$/s.exec(text)?.[1];

function badPattern(pattern: string | undefined): string | undefined {
  try {
    new RegExp(pattern ?? '');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** How an answer differs from what was expected, one line each; none: it does not. */
export function differences(expect: Expectation, answer: Answer): string[] {
  const found: string[] = [];
  const { status, headers = {}, body, bodyMatches } = expect;
  if (status === undefined ? answer.status >= 400 : answer.status !== status)
    found.push(`status ${answer.status} instead of ${status ?? 'one below 400'}: ${shown(answer.body)}`);
  for (const [name, wanted] of Object.entries(headers)) {
    const given = answer.headers[name.toLowerCase()];
    const text = Array.isArray(given) ? given.join(', ') : given;
    if (wanted === null) {
      if (text !== undefined) found.push(`header ${name} is there: ${shown(text)}`);
      continue;
    }
    const pattern = patternIn(wanted);
    const same = pattern === undefined ? text === wanted : new RegExp(pattern).test(text ?? '');
    if (text === undefined || !same)
      found.push(`header ${name} is ${text === undefined ? 'not there' : shown(text)} instead of ${wanted}`);
  }
  if (bodyMatches !== undefined && !new RegExp(bodyMatches).test(answer.body))
    found.push(`body does not match ${bodyMatches}: ${shown(answer.body)}`);
  if (typeof body === 'string') {
    if (answer.body !== body) found.push(`body ${shown(answer.body)} instead of ${shown(body)}`);
  } else if (body !== undefined) found.push(...differentJson(body, answer.body));
  return found;
}

function differentJson(wanted: unknown, text: string): string[] {
  try {
    return missing(wanted, JSON.parse(text), 'body');
  } catch {
    return [`body is no JSON: ${shown(text)}`];
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What of `wanted` is not in `given`. */
function missing(wanted: unknown, given: unknown, at: string): string[] {
  if (isRecord(wanted) && isRecord(given))
    return Object.entries(wanted).flatMap(([name, value]) =>
      Object.hasOwn(given, name)
        ? missing(value, given[name], `${at}.${name}`)
        : [`${at}.${name} is not there instead of ${shown(JSON.stringify(value))}`],
    );
  if (Array.isArray(wanted) && Array.isArray(given) && wanted.length === given.length)
    return wanted.flatMap((value, index) => missing(value, given[index], `${at}[${index}]`));
  if (isDeepStrictEqual(wanted, given)) return [];
  return [`${at} is ${shown(JSON.stringify(given))} instead of ${shown(JSON.stringify(wanted))}`];
}

/** A text on one line, cut. */
function shown(text: string): string {
  const line = text.trim().replaceAll('\n', '\\n');
  if (line === '') return '(nothing)';
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}

/** What an answer is expected to be from now on: status, type and body as they are. */
export function expectationOf({ status, headers, body }: Answer): Expectation {
  const type = headers['content-type'];
  let value: unknown = body;
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) value = parsed;
  } catch {}
  return { status, ...(typeof type === 'string' ? { headers: { 'content-type': type } } : {}), body: value };
}
