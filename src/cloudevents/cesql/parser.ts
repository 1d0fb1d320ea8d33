/**
 * CESQL v1: tokens as a tree. Source: cloudevents/spec, `cesql/spec.md` 2 and 3.6, and `cesql/CESQLParser.g4`, whose order of
 * alternatives is the precedence: functions, NOT and minus, LIKE and IN, `* / %`, `+ -`, comparisons, AND OR XOR.
 * As in the grammar, AND, OR and XOR bind equally and to the right: `a AND b OR c` is `a AND (b OR c)`.
 */
import { CesqlParseError, type Token, tokens } from './lexer.ts';

export type CesqlValue = string | number | boolean;

/** A tree of an expression. */
export type Node =
  | { kind: 'literal'; value: CesqlValue }
  | { kind: 'attribute'; name: string }
  | { kind: 'exists'; name: string }
  | { kind: 'not' | 'negate'; of: Node }
  | { kind: 'like'; of: Node; pattern: string; negated: boolean }
  | { kind: 'in'; of: Node; set: Node[]; negated: boolean }
  | { kind: 'math'; operator: '+' | '-' | '*' | '/' | '%'; left: Node; right: Node }
  | { kind: 'compare'; operator: '=' | '!=' | '<' | '<=' | '>' | '>='; left: Node; right: Node }
  /** `operands[0] operators[0] (operands[1] operators[1] (…))` */
  | { kind: 'logic'; operands: Node[]; operators: ('AND' | 'OR' | 'XOR')[] }
  | { kind: 'call'; name: string; args: Node[] };

/** Longer expressions are refused (UTF-16 units). */
export const MAX_EXPRESSION = 8_192;

/** Deeper trees are refused: they are evaluated by functions that call each other. */
export const MAX_DEPTH = 128;

const TIGHTEST = 60;
const LIKE_IN = 50;
const COMPARISON = 20;
const LOGIC = 10;

const INFIX: Readonly<Record<string, number>> = {
  '*': 40,
  '/': 40,
  '%': 40,
  '+': 30,
  '-': 30,
  '=': COMPARISON,
  '!=': COMPARISON,
  '<>': COMPARISON,
  '<': COMPARISON,
  '<=': COMPARISON,
  '>': COMPARISON,
  '>=': COMPARISON,
  AND: LOGIC,
  OR: LOGIC,
  XOR: LOGIC,
  LIKE: LIKE_IN,
  IN: LIKE_IN,
  NOT: LIKE_IN,
};

/** The tree of an expression. @throws CesqlParseError */
export function parse(expression: string): Node {
  if (expression.length > MAX_EXPRESSION)
    throw new CesqlParseError(
      expression,
      MAX_EXPRESSION,
      `the expression is longer than ${MAX_EXPRESSION} characters`,
    );
  return new Parser(expression).whole();
}

class Parser {
  readonly #expression: string;
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;

  constructor(expression: string) {
    this.#expression = expression;
    this.#tokens = tokens(expression);
  }

  whole(): Node {
    const node = this.#binding(0);
    if (this.#token.kind !== 'end') throw this.#unexpected('an operator or the end');
    return node;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }

  #is(text: string): boolean {
    const { kind, text: found } = this.#token;
    return (kind === 'sign' || kind === 'keyword') && found === text;
  }

  #take(): Token {
    const token = this.#token;
    this.#next++;
    return token;
  }

  #expect(text: string): void {
    if (!this.#is(text)) throw this.#unexpected(`"${text}"`);
    this.#next++;
  }

  #unexpected(wanted: string, token = this.#token): CesqlParseError {
    const found =
      token.kind === 'end'
        ? 'the end'
        : JSON.stringify(this.#expression.slice(token.at, token.end).slice(0, 40));
    return new CesqlParseError(this.#expression, token.at, `${wanted} is expected, not ${found}`);
  }

  #deeper(): void {
    if (++this.#depth > MAX_DEPTH)
      throw new CesqlParseError(
        this.#expression,
        this.#token.at,
        `the expression is nested more than ${MAX_DEPTH} levels deep`,
      );
  }

  /** An expression whose operators bind tighter than `power`. */
  #binding(power: number): Node {
    const depth = this.#depth;
    this.#deeper();
    let left = this.#operand();
    for (;;) {
      const { kind, text } = this.#token;
      const binds = kind === 'sign' || kind === 'keyword' ? INFIX[text] : undefined;
      if (binds === undefined || binds <= power) break;
      // Each application nests what stands left of it, so chains count as depth.
      this.#deeper();
      left = binds === LOGIC ? this.#logic(left) : this.#infix(left, binds);
    }
    this.#depth = depth;
    return left;
  }

  #operand(): Node {
    const token = this.#take();
    switch (token.kind) {
      case 'string':
        return { kind: 'literal', value: token.text };
      case 'integer':
        return this.#integer(token, '');
      case 'word':
        return this.#is('(') ? this.#call(token) : { kind: 'attribute', name: this.#attribute(token) };
      default:
    }
    switch (token.text) {
      case 'TRUE':
      case 'FALSE':
        return { kind: 'literal', value: token.text === 'TRUE' };
      case 'NOT':
        return { kind: 'not', of: this.#binding(TIGHTEST) };
      case 'EXISTS':
        return { kind: 'exists', name: this.#attribute(this.#take()) };
      case '-':
      case '+': {
        const { kind, at } = this.#token;
        // A sign that touches its digits is part of the literal: the smallest integer has no positive.
        if (kind === 'integer' && at === token.end) return this.#integer(this.#take(), token.text);
        if (token.text === '-') return { kind: 'negate', of: this.#binding(TIGHTEST) };
        break;
      }
      case '(': {
        const inner = this.#binding(0);
        this.#expect(')');
        return inner;
      }
      default:
    }
    throw this.#unexpected('a value', token);
  }

  #integer(token: Token, sign: string): Node {
    const value = Number(`${sign}${token.text}`);
    if ((value | 0) !== value && !Object.is(value, -0))
      throw new CesqlParseError(this.#expression, token.at, 'the number is no integer of 32 bits');
    return { kind: 'literal', value: value | 0 };
  }

  #attribute(token: Token): string {
    if (token.kind !== 'word') throw this.#unexpected('the name of an attribute', token);
    if (token.text.includes('_'))
      throw new CesqlParseError(this.#expression, token.at, 'names of attributes are letters and digits');
    return token.text.toLowerCase();
  }

  #call(token: Token): Node {
    if (!/^[A-Za-z][A-Za-z_]*$/.test(token.text))
      throw new CesqlParseError(this.#expression, token.at, 'names of functions are letters and underscores');
    this.#expect('(');
    const args = this.#is(')') ? [] : this.#list();
    this.#expect(')');
    return { kind: 'call', name: token.text.toUpperCase(), args };
  }

  #list(): Node[] {
    const nodes = [this.#binding(0)];
    while (this.#is(',')) {
      this.#next++;
      nodes.push(this.#binding(0));
    }
    return nodes;
  }

  #infix(left: Node, binds: number): Node {
    let { text } = this.#take();
    const negated = text === 'NOT';
    if (negated) {
      if (!this.#is('LIKE') && !this.#is('IN')) throw this.#unexpected('LIKE or IN');
      text = this.#take().text;
    }
    if (text === 'LIKE') {
      const pattern = this.#take();
      if (pattern.kind !== 'string') throw this.#unexpected('a string literal', pattern);
      return { kind: 'like', of: left, pattern: pattern.text, negated };
    }
    if (text === 'IN') {
      this.#expect('(');
      const set = this.#list();
      this.#expect(')');
      return { kind: 'in', of: left, set, negated };
    }
    const right = this.#binding(binds);
    if (binds === COMPARISON) {
      const operator = (text === '<>' ? '!=' : text) as '=';
      return { kind: 'compare', operator, left, right };
    }
    return { kind: 'math', operator: text as '+', left, right };
  }

  #logic(first: Node): Node {
    const operands = [first];
    const operators: ('AND' | 'OR' | 'XOR')[] = [];
    while (this.#is('AND') || this.#is('OR') || this.#is('XOR')) {
      operators.push(this.#take().text as 'AND');
      operands.push(this.#binding(LOGIC));
    }
    return { kind: 'logic', operands, operators };
  }
}
