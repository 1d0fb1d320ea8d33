/**
 * CloudEvents SQL 1.0: expressions as functions of an event. Source: cloudevents/spec, `cesql/spec.md`; its compatibility kit
 * decides where the text leaves room.
 */
import { attributeReader } from '../attribute-reader.ts';
import type { CloudEvent } from '../event.ts';
import { castLike, toBoolean, toInteger, toText } from './cast.ts';
import { type CesqlFunction, Failed, functionOf, type ValueType } from './functions.ts';
import { like } from './like.ts';
import { type CesqlValue, type Node, parse } from './parser.ts';

export { CesqlParseError } from './lexer.ts';
export type { CesqlValue } from './parser.ts';

/** Something that went wrong in an evaluation, which goes on with the zero value of what failed. */
export interface CesqlError {
  kind: 'math' | 'cast' | 'missingFunction' | 'functionEvaluation' | 'missingAttribute' | 'generic';
  message: string;
}

/** An expression that can be asked about events. */
export interface CesqlExpression {
  /** The value, and what went wrong on the way (empty: nothing). */
  evaluate(event: CloudEvent): { value: CesqlValue; errors: CesqlError[] };
  /** Whether an event passes the expression as a filter: the value is true and nothing went wrong. Makes no objects. */
  matches(event: CloudEvent): boolean;
  /** Attributes that have these values in every event that passes, as far as the expression says it plainly. */
  required: ReadonlyMap<string, string>;
}

/**
 * Compiles an expression.
 * @throws CesqlParseError with line, column and an excerpt.
 */
export function compile(expression: string): CesqlExpression {
  const tree = parse(expression);
  const run = compiled(tree);
  return {
    evaluate(event) {
      const list: CesqlError[] = [];
      return { value: run(event, new Errors(list)), errors: list };
    },
    matches(event) {
      counted.count = 0;
      return run(event, counted) === true && counted.count === 0;
    },
    required: requiredBy(tree),
  };
}

/** What went wrong so far: how much, and where somebody wants to know, what. */
class Errors {
  count = 0;
  readonly #list: CesqlError[] | undefined;

  constructor(list?: CesqlError[]) {
    this.#list = list;
  }

  push(error: CesqlError): void {
    this.count++;
    this.#list?.push(error);
  }
}

/** For filters, one after the other: none is evaluated within another. */
const counted = new Errors();

/** Evaluates one node. Something failed when `errors` have become more, and then the value is only a zero value. */
type Run = (event: CloudEvent, errors: Errors) => CesqlValue;

function compiled(node: Node): Run {
  switch (node.kind) {
    case 'literal': {
      const { value } = node;
      return () => value;
    }
    case 'attribute':
      return attributeOf(node.name);
    case 'exists': {
      const read = attributeReader(node.name);
      return (event) => read(event) !== undefined;
    }
    case 'not':
      return not(compiled(node.of));
    case 'negate':
      return negate(compiled(node.of));
    case 'like':
      return likeOf(compiled(node.of), node.pattern, node.negated);
    case 'in':
      return inSet(compiled(node.of), node.set, node.negated);
    case 'math':
      return math(node.operator, compiled(node.left), compiled(node.right));
    case 'compare':
      return comparison(node);
    case 'logic':
      return logic(node.operands.map(compiled), node.operators);
    case 'call':
      return call(node.name, node.args.map(compiled));
  }
}

/** Errors are made once, when the expression is compiled: events that lack an attribute are common. */
const failure = (kind: CesqlError['kind'], message: string): CesqlError => Object.freeze({ kind, message });

const NOT_INTEGER = failure('cast', 'a value is no integer of 32 bits');
const NOT_BOOLEAN = failure('cast', 'a value is neither true nor false');
const OVERFLOW = failure('math', 'the result is no integer of 32 bits');
const BY_ZERO = failure('math', 'division by zero');

function attributeOf(name: string): Run {
  const read = attributeReader(name);
  const missing = failure('missingAttribute', `the event has no attribute ${name}`);
  return (event, errors) => {
    const value = read(event);
    if (value !== undefined) return value;
    errors.push(missing);
    return false;
  };
}

/** Alone among the casts, NOT of an integer is an error, and true: so the compatibility kit has it. */
function not(of: Run): Run {
  return (event, errors) => {
    const before = errors.count;
    const value = of(event, errors);
    if (errors.count > before) return false;
    const truth = typeof value === 'number' ? undefined : toBoolean(value);
    if (truth === undefined) errors.push(NOT_BOOLEAN);
    return truth !== true;
  };
}

function negate(of: Run): Run {
  return (event, errors) => {
    const before = errors.count;
    const value = of(event, errors);
    if (errors.count > before) return 0;
    const number = toInteger(value);
    if (number === undefined) errors.push(NOT_INTEGER);
    return inRange(-(number ?? 0), errors);
  };
}

/** An exact result as an integer of 32 bits, or 0 and an error. */
function inRange(value: number, errors: Errors): number {
  const integer = value | 0;
  if (integer === value) return integer;
  errors.push(OVERFLOW);
  return 0;
}

const MATH: Readonly<Record<string, (left: number, right: number, errors: Errors) => number>> = {
  '+': (left, right, errors) => inRange(left + right, errors),
  '-': (left, right, errors) => inRange(left - right, errors),
  // Beyond 2^53 the product is rounded, and out of range all the same.
  '*': (left, right, errors) => inRange(left * right, errors),
  '/': (left, right, errors) => (right === 0 ? byZero(errors) : inRange(Math.trunc(left / right), errors)),
  '%': (left, right, errors) => (right === 0 ? byZero(errors) : (left % right) | 0),
};

function byZero(errors: Errors): number {
  errors.push(BY_ZERO);
  return 0;
}

function math(operator: string, left: Run, right: Run): Run {
  const apply = MATH[operator]!;
  return (event, errors) => {
    const before = errors.count;
    const x = toInteger(left(event, errors));
    const y = toInteger(right(event, errors));
    if (errors.count > before) return 0;
    if (x !== undefined && y !== undefined) return apply(x, y, errors);
    errors.push(NOT_INTEGER);
    return 0;
  };
}

const ORDER: Readonly<Record<string, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

function comparison(node: Node & { kind: 'compare' }): Run {
  const left = compiled(node.left);
  const right = compiled(node.right);
  const ordered = ORDER[node.operator];
  if (ordered === undefined) return equality(left, right, node.operator === '!=');
  return (event, errors) => {
    const before = errors.count;
    const x = toInteger(left(event, errors));
    const y = toInteger(right(event, errors));
    if (errors.count > before) return false;
    if (x !== undefined && y !== undefined) return ordered(x, y);
    errors.push(NOT_INTEGER);
    return false;
  };
}

/** The right side's type decides what the left is cast to. */
function equality(left: Run, right: Run, negated: boolean): Run {
  return (event, errors) => {
    const before = errors.count;
    const x = left(event, errors);
    const y = right(event, errors);
    if (errors.count > before) return false;
    const cast = castLike(x, y);
    if (cast !== undefined) return (cast === y) !== negated;
    errors.push(typeof y === 'number' ? NOT_INTEGER : NOT_BOOLEAN);
    return false;
  };
}

function likeOf(of: Run, pattern: string, negated: boolean): Run {
  const matches = like(pattern);
  return (event, errors) => {
    const before = errors.count;
    const value = of(event, errors);
    return errors.count === before && matches(toText(value)) !== negated;
  };
}

function inSet(of: Run, nodes: readonly Node[], negated: boolean): Run {
  const set = nodes.map(compiled);
  // What literals are as text never changes, and text is what is mostly looked for.
  const literals = nodes.every((node) => node.kind === 'literal')
    ? new Set(nodes.map((node) => toText((node as Node & { kind: 'literal' }).value)))
    : undefined;
  return (event, errors) => {
    const before = errors.count;
    const value = of(event, errors);
    if (errors.count > before) return false;
    if (literals !== undefined && typeof value === 'string') return literals.has(value) !== negated;
    for (const member of set) {
      const found = member(event, errors);
      if (errors.count > before) return false;
      const cast = castLike(found, value);
      if (cast === undefined) {
        errors.push(typeof value === 'number' ? NOT_INTEGER : NOT_BOOLEAN);
        return false;
      }
      if (cast === value) return !negated;
    }
    return negated;
  };
}

/** AND, OR and XOR from left to right, each with all that follows it, ending as soon as what follows cannot matter. */
function logic(operands: readonly Run[], operators: readonly string[]): Run {
  return (event, errors) => {
    const before = errors.count;
    let flipped = false;
    for (let at = 0; ; at++) {
      const value = operands[at]!(event, errors);
      if (errors.count > before) return false;
      const truth = toBoolean(value);
      if (truth === undefined) {
        errors.push(NOT_BOOLEAN);
        return false;
      }
      const operator = operators[at];
      if (operator === undefined || (operator === 'AND' && !truth) || (operator === 'OR' && truth))
        return truth !== flipped;
      if (operator === 'XOR') flipped = flipped !== truth;
    }
  };
}

function castTo(type: ValueType, value: CesqlValue): CesqlValue | undefined {
  switch (type) {
    case 'string':
      return toText(value);
    case 'integer':
      return toInteger(value);
    case 'boolean':
      return toBoolean(value);
    default:
      return value;
  }
}

function call(name: string, args: readonly Run[]): Run {
  const found = functionOf(name, args.length);
  if (found !== undefined) return callOf(name, found, args);
  const missing = failure('missingFunction', `there is no function ${name} of ${args.length} arguments`);
  return (_, errors) => {
    errors.push(missing);
    return false;
  };
}

function callOf(name: string, { parameters, rest, zero, apply }: CesqlFunction, args: readonly Run[]): Run {
  const types = args.map((_, at) => parameters[at] ?? rest ?? 'any');
  const failures = Object.fromEntries(
    (['cast', 'math', 'functionEvaluation'] as const).map((kind) => [kind, failure(kind, `${name} failed`)]),
  );
  return (event, errors) => {
    const before = errors.count;
    const values: CesqlValue[] = [];
    for (let at = 0; at < args.length; at++) {
      const value = args[at]!(event, errors);
      if (errors.count > before) return zero;
      const cast = castTo(types[at]!, value);
      if (cast === undefined) {
        errors.push(types[at] === 'integer' ? NOT_INTEGER : NOT_BOOLEAN);
        return zero;
      }
      values.push(cast);
    }
    const result = apply(...values);
    if (!(result instanceof Failed)) return result;
    errors.push(failures[result.kind]!);
    return result.value;
  };
}

/** What `attribute = 'text'` and a chain of AND that begins with such say of every event that passes. */
function requiredBy(node: Node): Map<string, string> {
  const required = new Map<string, string>();
  const terms = node.kind === 'logic' ? node.operands : [node];
  const operators = node.kind === 'logic' ? node.operators : [];
  for (const [at, term] of terms.entries()) {
    // Behind the first OR or XOR a term need not hold; nor must the one before it.
    if (operators[at] !== undefined && operators[at] !== 'AND') break;
    if (term.kind === 'compare' && term.operator === '=') {
      const { left, right } = term;
      if (left.kind === 'attribute' && right.kind === 'literal' && typeof right.value === 'string')
        required.set(left.name, right.value);
    } else if (term.kind === 'logic') for (const [name, value] of requiredBy(term)) required.set(name, value);
  }
  return required;
}
