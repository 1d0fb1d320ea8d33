/**
 * Label and field selectors: text → requirements → match. Source: apimachinery `labels`, `fields`.
 * Every parse problem is a `SelectorError` whose message is upstream's, for a 400 answer.
 */
import { labelValue, qualifiedName } from './name.ts';
import type { UntypedObject } from './object.ts';
import type { ResourceDefinition } from './resource.ts';

/** The text is no selector, or names a field that cannot be selected by; the answer is 400 BadRequest. */
export class SelectorError extends Error {}

export type LabelOperator = 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';

/** One condition on one label. `=` and `==` are `in` with one value, `!=` is `notin` with one value. */
export interface LabelRequirement {
  key: string;
  operator: LabelOperator;
  values: string[];
}

const OPERATORS = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];
const SYMBOLS = ['==', '!=', '=', '!', '(', ')', ',', '>', '<'];

interface Token {
  kind: 'word' | 'end' | (string & {});
  text: string;
}

/** Tokens of a label selector. `in` and `notin` are words; only their position makes them operators. */
function tokens(text: string): Token[] {
  const result: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at] ?? '')) {
      at++;
      continue;
    }
    const symbol = SYMBOLS.find((s) => text.startsWith(s, at));
    if (symbol !== undefined) {
      result.push({ kind: symbol, text: symbol });
      at += symbol.length;
      continue;
    }
    const word = /^[^\s=!(),<>]+/.exec(text.slice(at))?.[0] ?? '';
    result.push({ kind: 'word', text: word });
    at += word.length;
  }
  result.push({ kind: 'end', text: '' });
  return result;
}

function checkKey(key: string): void {
  const problems = qualifiedName(key);
  if (problems.length > 0) {
    throw new SelectorError(
      `unable to parse requirement: <nil>: Invalid value: ${JSON.stringify(key)}: ${problems.join('; ')}`,
    );
  }
}

function checkValue(key: string, value: string, index: number): void {
  const problems = labelValue(value);
  if (problems.length > 0) {
    throw new SelectorError(
      `unable to parse requirement: values[${index}][${key}]: Invalid value: ${JSON.stringify(value)}: ${problems.join('; ')}`,
    );
  }
}

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2` → requirements, all of which must hold. Empty text: none. */
export function parseLabelSelector(text: string): LabelRequirement[] {
  const list = tokens(text);
  const requirements: LabelRequirement[] = [];
  let at = 0;
  const peek = (): Token => list[at] ?? { kind: 'end', text: '' };
  const next = (): Token => list[at++] ?? { kind: 'end', text: '' };
  const fail = (found: Token, expected: string): never => {
    throw new SelectorError(`unable to parse requirement: found '${found.text}'${expected}`);
  };

  const values = (): string[] => {
    const open = next();
    if (open.kind !== '(') fail(open, " expected: '('");
    const result: string[] = [];
    if (peek().kind === ')') {
      next();
      return [''];
    }
    let expectValue = true;
    for (;;) {
      const token = next();
      if (token.kind === 'word' && expectValue) {
        result.push(token.text);
        expectValue = false;
      } else if (token.kind === ',') {
        if (expectValue) result.push('');
        expectValue = true;
      } else if (token.kind === ')') {
        if (expectValue) result.push('');
        return result;
      } else {
        const first = result.length === 0 && expectValue ? ", expected: ',', ')' or identifier" : '';
        fail(token, first || (expectValue ? ", expected: ',', or identifier" : ", expected: ',' or ')'"));
      }
    }
  };

  const requirement = (): LabelRequirement => {
    const negated = peek().kind === '!';
    if (negated) next();
    const key = next();
    if (key.kind !== 'word') fail(key, ', expected: identifier');
    checkKey(key.text);
    const follows = peek().kind;
    if (negated) return { key: key.text, operator: '!', values: [] };
    if (follows === 'end' || follows === ',') return { key: key.text, operator: 'exists', values: [] };
    const token = next();
    const operator = token.text;
    if (token.kind === 'word' && (operator === 'in' || operator === 'notin')) {
      return { key: key.text, operator, values: values() };
    }
    if (!['=', '==', '!=', '>', '<'].includes(operator)) fail(token, `, expected: ${OPERATORS.join(', ')}`);
    let value = '';
    if (peek().kind !== 'end' && peek().kind !== ',') {
      const exact = next();
      if (exact.kind !== 'word') fail(exact, ', expected: identifier');
      value = exact.text;
    }
    if (operator === '>' || operator === '<') {
      if (!/^[+-]?\d+$/.test(value)) {
        throw new SelectorError(
          `unable to parse requirement: values[0]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
        );
      }
      return { key: key.text, operator: operator === '>' ? 'gt' : 'lt', values: [value] };
    }
    return { key: key.text, operator: operator === '!=' ? 'notin' : 'in', values: [value] };
  };

  while (peek().kind !== 'end') {
    const first = peek();
    if (first.kind !== 'word' && first.kind !== '!') {
      throw new SelectorError(`found '${first.text}', expected: !, identifier, or 'end of string'`);
    }
    const parsed = requirement();
    for (const [i, value] of parsed.values.entries()) checkValue(parsed.key, value, i);
    requirements.push(parsed);
    const after = next();
    if (after.kind === 'end') break;
    if (after.kind !== ',')
      throw new SelectorError(`found '${after.text}', expected: ',' or 'end of string'`);
    if (peek().kind !== 'word' && peek().kind !== '!') {
      throw new SelectorError(`found '${peek().text}', expected: identifier after ','`);
    }
  }
  return requirements;
}

/** Whether an object's labels meet every requirement. */
export function matchesLabels(
  requirements: LabelRequirement[],
  labels: Record<string, string> | undefined,
): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'exists':
        return value !== undefined;
      case '!':
        return value === undefined;
      case 'in':
        return value !== undefined && values.includes(value);
      case 'notin':
        return value === undefined || !values.includes(value);
      default: {
        if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
        const [have, want] = [BigInt(value), BigInt(values[0] ?? '0')];
        return operator === 'gt' ? have > want : have < want;
      }
    }
  });
}

/** A `meta/v1.LabelSelector` object → requirements. An empty selector matches everything, an absent one nothing: callers decide. */
export function requirementsOf(selector: {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}): LabelRequirement[] {
  const result: LabelRequirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'in',
    values: [value],
  }));
  const operators: Record<string, LabelOperator> = {
    In: 'in',
    NotIn: 'notin',
    Exists: 'exists',
    DoesNotExist: '!',
  };
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const known = operators[operator];
    if (known === undefined)
      throw new SelectorError(`${JSON.stringify(operator)} is not a valid label selector operator`);
    result.push({ key, operator: known, values: values ?? [] });
  }
  return result;
}

/** One condition on one field; all must hold. */
export interface FieldRequirement {
  field: string;
  equal: boolean;
  value: string;
}

/** `a=b,c!=d` with `\,`, `\=`, `\\` escapes → requirements. Knows nothing of kinds: see `checkFieldSelector`. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(text.slice(start));
  return terms.filter((term) => term !== '').map(fieldTerm);
}

function fieldTerm(term: string): FieldRequirement {
  for (let i = 0; i < term.length; i++) {
    if (term[i] === '\\') {
      i++;
      continue;
    }
    const operator = ['!=', '==', '='].find((o) => term.startsWith(o, i));
    if (operator === undefined) continue;
    return {
      field: term.slice(0, i),
      equal: operator !== '!=',
      value: unescaped(term.slice(i + operator.length)),
    };
  }
  throw new SelectorError(`invalid selector: '${term}'; can't understand '${term}'`);
}

function unescaped(value: string): string {
  let result = '';
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (c === '\\') {
      const escaped = value[++i];
      if (escaped === undefined || !'\\,='.includes(escaped)) {
        throw new SelectorError(
          `invalid field selector: invalid escape sequence: ${value.slice(i - 1, i + 1)}`,
        );
      }
      result += escaped;
    } else if (c === '=') {
      throw new SelectorError(`invalid field selector: unescaped character in value: ${c}`);
    } else result += c;
  }
  return result;
}

const META_FIELDS: Record<string, (object: UntypedObject) => string> = {
  'metadata.name': (o) => o.metadata.name,
  'metadata.namespace': (o) => o.metadata.namespace ?? '',
};

/** Refuses a field the resource cannot be selected by, with upstream's text for that resource. */
export function checkFieldSelector(resource: ResourceDefinition, requirements: FieldRequirement[]): void {
  for (const { field } of requirements) {
    if (Object.hasOwn(META_FIELDS, field) || Object.hasOwn(resource.selectableFields, field)) continue;
    // Built-in kinds without selectable fields of their own use apimachinery's default conversion; the others say it shorter.
    const plain = !resource.group.includes('.') || resource.group.endsWith('.k8s.io');
    throw new SelectorError(
      plain && Object.keys(resource.selectableFields).length === 0
        ? `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
        : `field label not supported: ${field}`,
    );
  }
}

/** Whether an object's fields meet every requirement (which `checkFieldSelector` has accepted). */
export function matchesFields(
  resource: ResourceDefinition,
  requirements: FieldRequirement[],
  object: UntypedObject,
): boolean {
  return requirements.every(({ field, equal, value }) => {
    const get = META_FIELDS[field] ?? resource.selectableFields[field];
    return get !== undefined && (get(object) === value) === equal;
  });
}
