/** Which requests a rule of a route is about. */
import { linearPattern } from '../../base/linear-pattern.ts';
import type { RevisionKey, RouteRule, ValueMatch } from '../contract.ts';
import { cookieValue, fieldValue, needle } from './lines.ts';

/** What a rule can look at. */
export interface RuleInput {
  /** Header lines as they are forwarded. */
  out: Buffer;
  /** Path as the instance sees it, without query. */
  path: string;
}

export interface CompiledRule {
  revision: RevisionKey;
  matches(input: RuleInput): boolean;
}

type Test = (input: RuleInput) => boolean;

/** Longest value that is looked at; longer ones do not match. */
const MAX_VALUE = 4096;

function valueTest(match: ValueMatch): (value: string | null) => boolean {
  const wanted = match.value ?? '';
  switch (match.type) {
    case 'Present':
      return (value) => value !== null;
    case 'Prefix':
      return (value) => value?.startsWith(wanted) ?? false;
    case 'RegularExpression': {
      const pattern = linearPattern(wanted);
      return (value) => value !== null && value.length <= MAX_VALUE && pattern.test(value);
    }
    default:
      return (value) => value === wanted;
  }
}

function headerTest(match: ValueMatch): Test {
  const name = needle(match.name);
  const test = valueTest(match);
  return ({ out }) => test(fieldValue(out, name));
}

function cookieTest(match: ValueMatch): Test {
  const test = valueTest(match);
  return ({ out }) => test(cookieValue(out, match.name));
}

/** Whole segments, as Gateway API's PathPrefix: `/api` and `/api/` are about `/api` and `/api/x`, not about `/apix`. */
function pathTest(prefix: string): Test {
  const base = prefix.replace(/\/+$/, '');
  return ({ path }) => path.startsWith(base) && (path.length === base.length || path[base.length] === '/');
}

/**
 * Makes rules that can be asked. A rule without any condition matches everything. A pattern that cannot be used is
 * told to `complain` and its rule matches nothing: its requests go the default way.
 */
export function compileRules(
  rules: readonly RouteRule[],
  complain: (rule: RouteRule, error: string) => void,
): CompiledRule[] {
  const compiled: CompiledRule[] = [];
  for (const rule of rules) {
    try {
      const tests = [...rule.headers.map(headerTest), ...rule.cookies.map(cookieTest)];
      if (rule.pathPrefix !== undefined) tests.push(pathTest(rule.pathPrefix));
      compiled.push({
        revision: rule.revision,
        matches: (input) => tests.every((test) => test(input)),
      });
    } catch (error) {
      complain(rule, (error as Error).message);
    }
  }
  return compiled;
}
