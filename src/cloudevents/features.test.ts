/** The features of the CloudEvents conformance suite (`suites/cloudevents` beside the checkout), where they are there. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { attribute, type CloudEvent, dataJson } from './event.ts';
import { fromHttp } from './http.ts';
import { fromKafka } from './kafka.ts';
import { suiteFolder } from './testing/events.ts';
import { type Step, scenariosOf } from './testing/gherkin.ts';

/** What the steps of one scenario hand on. */
interface World {
  headers: [string, string][];
  body: Buffer;
  event?: CloudEvent;
}

const eventOf = ({ event }: World): CloudEvent => {
  assert.ok(event, 'nothing was parsed');
  return event;
};

const STEPS: [RegExp, (world: World, step: Step) => void][] = [
  [/^(HTTP|Kafka) Protocol Binding is supported$/, () => {}],
  [
    /^an HTTP request$/,
    (world, { doc = '' }) => {
      const [head = '', ...body] = doc.split('\n\n');
      const [line = '', ...fields] = head.split('\n');
      assert.match(line, /^POST \S+ HTTP\/1\.1$/);
      world.headers = fields.map((field) => [
        field.slice(0, field.indexOf(':')),
        field.slice(field.indexOf(':') + 1).trim(),
      ]);
      world.body = Buffer.from(body.join('\n\n'));
    },
  ],
  [/^a Kafka message with payload$/, (world, { doc = '' }) => (world.body = Buffer.from(doc))],
  [
    /^Kafka headers$/,
    (world, { table }) => (world.headers = table.slice(1).map(([name = '', value = '']) => [name, value])),
  ],
  [/^parsed as HTTP request$/, (world) => (world.event = fromHttp(world.headers.flat(), world.body))],
  [
    /^parsed as Kafka message$/,
    (world) => (world.event = fromKafka({ headers: new Map(world.headers), value: world.body })),
  ],
  [
    /^the attributes are$/,
    (world, { table }) => {
      const found = table.slice(1).map(([name = '']) => [name, attribute(eventOf(world), name)]);
      assert.deepEqual(found, table.slice(1));
      assert.deepEqual(eventOf(world).extensions, {});
    },
  ],
  [
    /^the data is equal to the following JSON$/,
    (world, { doc = '' }) => assert.deepEqual(dataJson(eventOf(world)), JSON.parse(doc)),
  ],
];

const folder = suiteFolder('cloudevents');

test('the features of the conformance suite', { skip: folder.skip }, async (suite) => {
  const scenarios = readdirSync(folder.path)
    .filter((file) => file.endsWith('.feature'))
    .flatMap((file) =>
      scenariosOf(readFileSync(join(folder.path, file), 'utf8')).map((scenario) => ({ file, ...scenario })),
    );
  assert.equal(scenarios.length, 7);
  for (const { file, name, steps } of scenarios) {
    await suite.test(`${file}: ${name}`, () => {
      const world: World = { headers: [], body: Buffer.alloc(0) };
      for (const step of steps) {
        const known = STEPS.filter(([pattern]) => pattern.test(step.text));
        assert.equal(known.length, 1, `one step is "${step.text}"`);
        known[0]![1](world, step);
      }
      assert.ok(world.event && steps.length >= 4);
    });
  }
});

test('a feature is read with its background, tables, texts and examples', () => {
  const feature = `Feature: F
    Background:
    Given all is well

    Scenario Outline: one (<kind>)
    Given a text:
        """
        first <kind>

          indented
        """
    Then the table is:
        | key | value  |
        |   a | <kind> |
    Examples:
    | kind |
    | x    |
    | y; z |
    Scenario: two
    When done`;
  const [x, y, two] = scenariosOf(feature);
  assert.deepEqual(x?.steps, [
    { text: 'all is well', doc: undefined, table: [] },
    { text: 'a text', doc: 'first x\n\n  indented', table: [] },
    {
      text: 'the table is',
      doc: undefined,
      table: [
        ['key', 'value'],
        ['a', 'x'],
      ],
    },
  ]);
  assert.equal(y?.name, 'one (y; z)');
  assert.equal(y?.steps[1]?.doc, 'first y; z\n\n  indented');
  assert.deepEqual(
    two?.steps.map(({ text }) => text),
    ['all is well', 'done'],
  );
});
