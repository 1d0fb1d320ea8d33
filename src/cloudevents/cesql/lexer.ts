/** CESQL v1: an expression as tokens. Source: cloudevents/spec, `cesql/spec.md` 2 and `cesql/CESQLLexer.g4`. */
import { PetrelError } from '../../base/errors.ts';

/** An expression is no CESQL; says where, and shows it. */
export class CesqlParseError extends PetrelError {
  readonly kind = 'parse';
  /** From 1, both; columns count UTF-16 units. */
  readonly line: number;
  readonly column: number;
  /** The line of the expression, shortened around the place, and a caret under it. */
  readonly excerpt: string;

  constructor(expression: string, at: number, problem: string) {
    const start = expression.lastIndexOf('\n', at - 1) + 1;
    const next = expression.indexOf('\n', at);
    const text = expression.slice(start, next === -1 ? undefined : next);
    const line = expression.slice(0, start).split('\n').length;
    const column = at - start + 1;
    const excerpt = excerptOf(text, column - 1);
    super('InvalidArgument', `line ${line}, column ${column}: ${problem}\n${excerpt}`, {
      fix: 'CloudEvents SQL is described at https://github.com/cloudevents/spec/tree/main/cesql.',
    });
    this.name = 'CesqlParseError';
    this.line = line;
    this.column = column;
    this.excerpt = excerpt;
  }
}

function excerptOf(text: string, at: number): string {
  const from = Math.max(0, at - 40);
  const shown = text.slice(from, at + 40).replaceAll(/[\t\r]/g, ' ');
  const before = from > 0 ? '…' : '';
  const after = text.length > at + 40 ? '…' : '';
  return `${before}${shown}${after}\n${' '.repeat(before.length + at - from)}^`;
}

/** Keywords are known in any case. */
const KEYWORDS = new Set(['AND', 'OR', 'XOR', 'NOT', 'LIKE', 'IN', 'EXISTS', 'TRUE', 'FALSE']);

/** What a token is: a kind with a `text`, or itself (keywords in capitals, signs). */
export interface Token {
  kind: 'word' | 'integer' | 'string' | 'end' | 'keyword' | 'sign';
  /** A word as written, digits, the meaning of a string, a keyword in capitals, a sign. */
  text: string;
  /** Where it begins and ends in the expression. */
  at: number;
  end: number;
}

const SIGNS = ['!=', '<>', '>=', '<=', '=', '<', '>', '+', '-', '*', '/', '%', '(', ')', ','];

const WORD = /[A-Za-z0-9_]+/y;
const SPACE = /[ \t\r\n]*/y;

/** The tokens of an expression, ending with `end`. @throws CesqlParseError */
export function tokens(expression: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    SPACE.test(expression);
    at = SPACE.lastIndex;
    if (at === expression.length) {
      found.push({ kind: 'end', text: '', at, end: at });
      return found;
    }
    const token = tokenAt(expression, at);
    found.push(token);
    at = token.end;
  }
}

function tokenAt(expression: string, at: number): Token {
  const first = expression[at]!;
  if (first === "'" || first === '"') return stringAt(expression, at, first);
  WORD.lastIndex = at;
  const word = WORD.exec(expression)?.[0];
  if (word !== undefined) {
    const end = at + word.length;
    if (/^[0-9]+$/.test(word)) return { kind: 'integer', text: word, at, end };
    const upper = word.toUpperCase();
    if (KEYWORDS.has(upper)) return { kind: 'keyword', text: upper, at, end };
    return { kind: 'word', text: word, at, end };
  }
  const sign = SIGNS.find((candidate) => expression.startsWith(candidate, at));
  if (sign === undefined)
    throw new CesqlParseError(
      expression,
      at,
      `${JSON.stringify(String.fromCodePoint(expression.codePointAt(at) ?? 0))} has no meaning here`,
    );
  return { kind: 'sign', text: sign, at, end: at + sign.length };
}

/** A string literal: its quote is written `\'` or twice; any other backslash is itself. */
function stringAt(expression: string, at: number, quote: string): Token {
  let text = '';
  let from = at + 1;
  for (let next = from; next < expression.length; next++) {
    const char = expression[next];
    if (char === '\\') {
      next++;
      if (expression[next] === quote) {
        text += expression.slice(from, next - 1);
        from = next;
      }
    } else if (char === quote) {
      text += expression.slice(from, next);
      if (expression[next + 1] !== quote) return { kind: 'string', text, at, end: next + 1 };
      next++;
      from = next;
    }
  }
  throw new CesqlParseError(expression, at, `the string that begins here has no closing ${quote}`);
}
