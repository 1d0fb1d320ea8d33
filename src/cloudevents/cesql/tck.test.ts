/** The compatibility kit of CESQL (`suites/cesql` beside the checkout), where it is there. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { attribute, CORE_ATTRIBUTES, makeEvent, withAttributes } from '../event.ts';
import { suiteFolder } from '../testing/events.ts';
import { CesqlParseError, type CesqlValue, compile } from './compile.ts';

interface Case {
  name: string;
  expression: string;
  result?: CesqlValue;
  error?: string;
  event?: Record<string, CesqlValue>;
  eventOverrides?: Record<string, CesqlValue>;
}

const folder = suiteFolder('cesql');
const EMPTY = makeEvent('id', '/source', 'type', undefined, undefined, undefined, undefined, {}, undefined);
/** An event as the kit describes it; what it writes without quotes may be a time. */
const eventOf = (fields: object) =>
  withAttributes(
    EMPTY,
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        CORE_ATTRIBUTES.has(name) ? String(value) : value,
      ]),
    ),
  );

function outcome({ expression, event, eventOverrides }: Case): { value?: CesqlValue; errors: string[] } {
  try {
    const { value, errors } = compile(String(expression)).evaluate(eventOf({ ...event, ...eventOverrides }));
    return { value, errors: errors.map(({ kind }) => kind) };
  } catch (thrown) {
    assert.ok(thrown instanceof CesqlParseError, String(thrown));
    return { value: false, errors: [thrown.kind] };
  }
}

test('the compatibility kit of CESQL', { skip: folder.skip }, async (suite) => {
  assert.ok(existsSync(folder.path));
  let cases = 0;
  for (const file of readdirSync(folder.path)) {
    const { name, tests } = parse(readFileSync(join(folder.path, file), 'utf8'), { schema: 'core' }) as {
      name: string;
      tests: Case[];
    };
    cases += tests.length;
    await suite.test(`${name} (${tests.length})`, () => {
      for (const one of tests) {
        const { value, errors } = outcome(one);
        const context = `${one.name}: ${one.expression} gave ${value} and ${errors}`;
        if (one.result !== undefined) assert.equal(value, one.result, context);
        if (one.error === undefined) assert.deepEqual(errors, [], context);
        else assert.ok(errors.includes(one.error), context);
      }
    });
  }
  assert.equal(cases, 275);
});

test('an event of the kit has the attributes that it says', () => {
  const event = eventOf({ id: 7, time: '2018-04-26T14:48:09+02:00', mybool: true });
  assert.equal(attribute(event, 'id'), '7');
  assert.equal(attribute(event, 'mybool'), true);
});
