import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../../test/lib/random.ts';
import { type AttributeValue, type CloudEvent, makeEvent } from '../event.ts';
import { CesqlParseError, type CesqlValue, compile } from './compile.ts';
import { like } from './like.ts';
import { MAX_DEPTH, MAX_EXPRESSION } from './parser.ts';

const eventOf = (extensions: Record<string, AttributeValue> = {}): CloudEvent =>
  makeEvent(
    'id-1',
    '/source',
    'com.shop.order',
    'sub',
    undefined,
    undefined,
    undefined,
    extensions,
    undefined,
  );
const EVENT = eventOf({ n: 5, text: '7', yes: true, word: 'TRUE', emoji: '€😀x', name: 'a_b%c' });

/** The value, with the kinds of errors behind it. */
function told(expression: string, event = EVENT): (CesqlValue | string)[] {
  const compiled = compile(expression);
  const { value, errors } = compiled.evaluate(event);
  assert.equal(compiled.matches(event), value === true && errors.length === 0, expression);
  return [value, ...errors.map(({ kind }) => kind)];
}

test('expressions yield values, and errors beside them', () => {
  const cases: [string, ...(CesqlValue | string)[]][] = [
    // Precedence, as the grammar has it.
    ['1 + 2 * 3', 7],
    ['-2 * -3 - 1', 5],
    ['10 - 2 - 3', 5],
    ['100 / 10 / 5', 2],
    ['1 + 1 = 2 AND 2 * 2 = 4', true],
    ['NOT yes = FALSE', true],
    ["NOT 'x' LIKE 'x'", false, 'cast'],
    ['true OR false AND false', true],
    ['false AND false OR true', false],
    ['true XOR true AND false', true],
    ['false XOR true XOR true', false],
    ["subject LIKE 's%' = TRUE", true],
    // A sign belongs to the digits that it touches, where a value stands.
    ['5 -3', 2],
    ['5-3', 2],
    ['5 - -3', 8],
    ['+5 + +3', 8],
    ['- 5', -5],
    ['--5', 5],
    ['-2147483648', -2147483648],
    // Integers of 32 bits.
    ['2147483647 + 1', 0, 'math'],
    ['-2147483648 - 1', 0, 'math'],
    ['65536 * 65536', 0, 'math'],
    ['2147483647 * 2147483647', 0, 'math'],
    ['-(-2147483648)', 0, 'math'],
    ['-2147483648 / -1', 0, 'math'],
    ['-2147483648 % -1', 0],
    ['-7 / 2', -3],
    ['-7 % 2', -1],
    ['7 % -2', 1],
    ['0 * -5', 0],
    // Casts: equality to the type of the right, IN to the type of the left.
    ["n = '5'", true],
    ["text = 7 AND '5' = n", true],
    ["'0005' = 5", true],
    ["'+5' = n", true],
    ["'5.0' = n", false, 'cast'],
    ["'' = 0", false, 'cast'],
    ["'2147483648' = 0", false, 'cast'],
    ["'99999999999999999999' = 0", false, 'cast'],
    ["'abc' != 5", false, 'cast'],
    ["word = 'TRUE' AND word = true", true],
    ["yes = 'true' AND yes <> 'TRUE'", true],
    ['n = TRUE', true],
    ["'abc' = TRUE", false, 'cast'],
    ["n IN ('5', 6)", true],
    ["n NOT IN (1, '6')", true],
    ["n IN (4, 'abc', 5)", false, 'cast'],
    ["n IN (5, 'abc')", true],
    ['text IN (7)', true],
    ["yes IN ('true')", true],
    ['n IN (n - 1, n + 0)', true],
    ["text + 1 = '8'", true],
    ["'abc' + 1", 0, 'cast'],
    ["'abc' < 1", false, 'cast'],
    ["-'abc'", 0, 'cast'],
    ["'yes' AND true", false, 'cast'],
    ["'TrUe' AND n", true],
    ["yes LIKE 't%' AND n LIKE '5'", true],
    // What is missing makes the whole operation a zero value.
    ['nothing', false, 'missingAttribute'],
    ['nothing = nothing', false, 'missingAttribute', 'missingAttribute'],
    ["nothing != 'x'", false, 'missingAttribute'],
    ["nothing NOT LIKE 'x'", false, 'missingAttribute'],
    ["nothing NOT IN ('x')", false, 'missingAttribute'],
    ["'x' NOT IN (nothing)", false, 'missingAttribute'],
    ["'x' IN ('x', nothing)", true],
    ['NOT nothing', false, 'missingAttribute'],
    ['-nothing', 0, 'missingAttribute'],
    ['nothing < 5', false, 'missingAttribute'],
    ['LENGTH(nothing)', 0, 'missingAttribute'],
    ['UPPER(nothing)', '', 'missingAttribute'],
    ['(1 / 0) + 5', 0, 'math'],
    ['nothing OR true', false, 'missingAttribute'],
    ['constructor', false, 'missingAttribute'],
    ['EXISTS constructor OR EXISTS nothing', false],
    ['EXISTS TYPE AND EXISTS subject AND NOT EXISTS time', true],
    // What cannot matter is not evaluated.
    ['false AND nothing', false],
    ['true OR nothing', true],
    ['true AND true OR nothing', true],
    ['true XOR nothing', false, 'missingAttribute'],
    // Literals.
    [`'it\\'s' = "it's"`, true],
    [`'it''s' = "it's"`, true],
    ["'\\n' = '\\\\n'", false],
    ["LENGTH('\\n')", 2],
    ["''", ''],
    ["''''", "'"],
    ['tRuE', true],
    ['SUBJECT', 'sub'],
    ['007', 7],
    // Functions.
    ['LENGTH(emoji)', 3],
    ['LEFT(emoji, 2)', '€😀'],
    ['RIGHT(emoji, 2)', '😀x'],
    ['SUBSTRING(emoji, -2, 1)', '😀'],
    ["SUBSTRING('abc', 2, -1)", '', 'functionEvaluation'],
    ["SUBSTRING('abc', 2, 99)", 'bc'],
    ["SUBSTRING('abc', 3)", 'c'],
    ["RIGHT('abc', 0)", ''],
    ["TRIM('\u0085\u3000 a b\u2028')", 'a b'],
    ["TRIM('\ufeffa')", '\ufeffa'],
    ['CONCAT(n, yes, text)', '5true7'],
    ["CONCAT_WS(1, 'a', 2)", 'a12'],
    ["concat_ws ('-', 'a', 'b')", 'a-b'],
    ['IS_INT(text) AND IS_INT(yes) AND IS_BOOL(word) AND IS_BOOL(n)', true],
    ["IS_INT('x') OR IS_BOOL('x')", false],
    ["INT('-0')", 0],
    ["ABS('x')", 0, 'cast'],
    ["LEFT('abc', 'x')", '', 'cast'],
    ["BOOL('x')", false, 'cast'],
    ['STRING(-5)', '-5'],
    ['NOTHING()', false, 'missingFunction'],
    ["LENGTH('a', 'b')", false, 'missingFunction'],
    ['constructor()', false, 'missingFunction'],
    ['ABS(NOTHING())', 0, 'missingFunction'],
  ];
  for (const [expression, ...expected] of cases) assert.deepEqual(told(expression), expected, expression);
});

test('LIKE: wildcards, escapes and characters beyond 16 bits', () => {
  const cases: [string, string, boolean][] = [
    ['', '', true],
    ['', '%', true],
    ['', '_', false],
    ['abc', '%%', true],
    ['abc', 'a%', true],
    ['abc', '%c', true],
    ['abc', '%b%', true],
    ['abc', 'a%c', true],
    ['abc', '%d%', false],
    ['abc', 'ABC', false],
    ['aXbXc', 'a%X_', true],
    ['aab', '%ab', true],
    ['mississippi', 'm%iss%ip%i', true],
    ['mississippi', 'm%iss%ips%', false],
    ['😀', '_', true],
    ['😀', '__', false],
    ['a😀b', 'a_b', true],
    ['😀😀', '%_😀', true],
    ['a%b', 'a\\%b', true],
    ['axb', 'a\\%b', false],
    ['a\\b', 'a\\b', true],
    ['a\\', 'a\\', true],
    ['.*', '.*', true],
    ['x', '.*', false],
  ];
  for (const [text, pattern, expected] of cases)
    assert.equal(like(pattern)(text), expected, `${text} LIKE ${pattern}`);
});

test('LIKE agrees with regular expressions on anything', () => {
  const random = seeded(5);
  const of = (chars: string) =>
    Array.from({ length: random() * 7 }, () => chars[Math.floor(random() * chars.length)]).join('');
  let matched = 0;
  for (let round = 0; round < 20_000; round++) {
    const pattern = of('ab%_');
    const text = of('ab');
    const expected = new RegExp(`^${pattern.replaceAll('%', '.*').replaceAll('_', '.')}$`).test(text);
    if (expected) matched++;
    assert.equal(like(pattern)(text), expected, `${text} LIKE ${pattern}`);
  }
  assert.ok(matched > 2000);
});

test('a parse error points at the place', () => {
  const cases: [string, number, number, RegExp][] = [
    ['', 1, 1, /a value is expected, not the end/],
    ['ABC(', 1, 5, /a value is expected, not the end/],
    ['x LIKE 123', 1, 8, /a string literal is expected, not "123"/],
    ["x LIKE upper('a')", 1, 8, /a string literal is expected/],
    ['a = ', 1, 5, /a value is expected/],
    ['(a = 1', 1, 7, /"\)" is expected, not the end/],
    ['a = 1)', 1, 6, /an operator or the end is expected, not "\)"/],
    ['a b', 1, 3, /an operator or the end is expected, not "b"/],
    ['a NOT = 1', 1, 7, /LIKE or IN is expected, not "="/],
    ['a IN ()', 1, 7, /a value is expected, not "\)"/],
    ['a IN 5', 1, 6, /"\(" is expected, not "5"/],
    ['a IN (1,)', 1, 9, /a value is expected/],
    ['EXISTS 5', 1, 8, /the name of an attribute is expected, not "5"/],
    ['EXISTS EXISTS', 1, 8, /the name of an attribute is expected/],
    ['my_attr = 1', 1, 1, /names of attributes are letters and digits/],
    ['f1(2)', 1, 1, /names of functions are letters and underscores/],
    ['a = 2147483648', 1, 5, /no integer of 32 bits/],
    ['a = -2147483649', 1, 6, /no integer of 32 bits/],
    ['+a', 1, 1, /a value is expected, not "\+"/],
    ["a = 'open", 1, 5, /no closing '/],
    ["'a\\'", 1, 1, /no closing '/],
    ['a == b', 1, 4, /a value is expected, not "="/],
    ['a & b', 1, 3, /"&" has no meaning here/],
    ['a = 😀', 1, 5, /"😀" has no meaning here/],
    ["a = 1\n  AND b ~ 'x'", 2, 9, /"~" has no meaning here/],
    ['a.b', 1, 2, /"\." has no meaning here/],
  ];
  for (const [expression, line, column, message] of cases) {
    assert.throws(
      () => compile(expression),
      (thrown) => {
        assert.ok(thrown instanceof CesqlParseError, String(thrown));
        assert.deepEqual([thrown.line, thrown.column], [line, column], expression);
        assert.match(thrown.message, message, expression);
        assert.equal(thrown.kind, 'parse');
        return true;
      },
    );
  }
});

test('the excerpt has a caret under the place, and is short', () => {
  const excerpt = (expression: string): string => {
    try {
      compile(expression);
    } catch (thrown) {
      return (thrown as CesqlParseError).excerpt;
    }
    return '';
  };
  assert.equal(excerpt("type = 'a' AN id = 'b'"), "type = 'a' AN id = 'b'\n           ^");
  assert.equal(excerpt('\ta ~ b'), ' a ~ b\n   ^');
  const long = excerpt(`${'a = 1 AND '.repeat(50)}~${' AND a = 1'.repeat(50)}`);
  const [line = '', caret = ''] = long.split('\n');
  assert.ok(line.length < 90);
  assert.equal(line[caret.length - 1], '~');
});

test('what strangers write is limited in length and depth, and costs no stack', () => {
  assert.throws(() => compile(`a = '${'x'.repeat(MAX_EXPRESSION)}'`), /longer than/);
  for (const deep of [
    `${'('.repeat(2000)}a${')'.repeat(2000)}`,
    `${'NOT '.repeat(2000)}a`,
    `${'- '.repeat(4000)}1`,
    'ABS('.repeat(1000),
    `1${'+1'.repeat(4000)}`,
  ])
    assert.throws(() => compile(deep), /nested more than/);
  const allowed = MAX_DEPTH - 3;
  assert.equal(compile(`${'('.repeat(allowed)}1${')'.repeat(allowed)}`).evaluate(EVENT).value, 1);
  // Chains of AND and OR, and lists, are not nested.
  const alternatives = Array.from({ length: 700 }, (_, at) => `n=${at + 10}`).join(' OR ');
  assert.deepEqual(told(`${alternatives} OR n=5`), [true]);
  assert.deepEqual(told(`n IN (${Array.from({ length: 1500 }, (_, at) => at).join(',')})`), [true]);
});

test('nothing that strangers write is anything but parsed or refused', () => {
  const random = seeded(9);
  const bits = [
    'a',
    '1',
    "'x'",
    'AND',
    'NOT',
    'LIKE',
    'IN',
    '(',
    ')',
    ',',
    '-',
    '=',
    '<',
    '%',
    'EXISTS',
    'ABS',
    "'",
    '_',
  ];
  let parsed = 0;
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random() * 8 }, () => bits[Math.floor(random() * bits.length)]).join(
      ' ',
    );
    try {
      compile(text).evaluate(EVENT);
      parsed++;
    } catch (thrown) {
      assert.ok(thrown instanceof CesqlParseError, `${text}: ${thrown}`);
    }
  }
  assert.ok(parsed > 500);
});

test('an expression says which values its events must have', () => {
  const required = (expression: string) => Object.fromEntries(compile(expression).required);
  assert.deepEqual(required("type = 'a'"), { type: 'a' });
  assert.deepEqual(required("type = 'a' AND (source = '/b' AND n > 5)"), { type: 'a', source: '/b' });
  assert.deepEqual(required("type = 'a' AND n > 5 OR source = '/b'"), { type: 'a' });
  assert.deepEqual(required("type = 'a' OR source = '/b'"), {});
  assert.deepEqual(required("type = 'a' XOR true"), {});
  assert.deepEqual(required("NOT (type = 'a')"), {});
  assert.deepEqual(required("type != 'a' AND 'b' = source AND n = 5"), {});
});
