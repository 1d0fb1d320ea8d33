import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { parse } from './args.ts';
import type { CommandSpec } from './command.ts';

const COMMAND: CommandSpec = {
  name: 'deploy',
  summary: 'Deploy',
  positionals: [{ name: 'path', required: true, help: 'what to deploy' }],
  options: {
    env: { kind: 'list', short: 'e', value: 'K=V', help: '' },
    min: { kind: 'integer', value: 'n', help: '' },
    name: { kind: 'text', value: 'name', help: '' },
    'no-wait': { kind: 'flag', help: '' },
    output: { kind: 'text', short: 'o', value: 'format', choices: ['json', 'yaml'], help: '' },
  },
  examples: [],
  load: () => Promise.reject(new Error('not loaded by parsing')),
};

test('options of every kind, short and long, before and after positionals', () => {
  const args = parse(COMMAND, [
    '-e',
    'A=1',
    'hello.ts',
    '--env=B=2=3',
    '--min',
    '0',
    '--no-wait',
    '-o',
    'json',
    '--name=-x',
  ]);
  assert.deepEqual(args.positionals, ['hello.ts']);
  assert.deepEqual(args.list('env'), ['A=1', 'B=2=3']);
  assert.equal(args.integer('min'), 0);
  assert.equal(args.flag('no-wait'), true);
  assert.equal(args.text('output'), 'json');
  assert.equal(args.text('name'), '-x');
  assert.equal(args.text('home'), undefined);
});

test('what follows -- is positional', () => {
  assert.deepEqual(parse(COMMAND, ['--', '--name']).positionals, ['--name']);
});

test('help needs no positionals', () => {
  assert.equal(parse(COMMAND, ['--help']).flag('help'), true);
});

const refused: [string, string[], RegExp, RegExp][] = [
  [
    'an unknown option, with the nearest',
    ['a.ts', '--nmae', 'x'],
    /no option --nmae/,
    /did you mean --name\?/,
  ],
  [
    'an unknown option that is near nothing',
    ['a.ts', '--frobnicate'],
    /no option --frobnicate/,
    /--help lists/,
  ],
  ['an unknown short option', ['a.ts', '-z'], /no option -z/, /--help lists/],
  ['a missing value', ['a.ts', '--name'], /--name needs a value/, /--name <name>/],
  ['an option in the place of a value', ['a.ts', '--name', '--no-wait'], /--name needs a value/, /./],
  ['a value for a flag', ['a.ts', '--no-wait=1'], /takes no value/, /./],
  ['a number that is none', ['a.ts', '--min', '1e3'], /--min 1e3 is not a whole number/, /./],
  ['a value outside the choices', ['a.ts', '-o', 'xml'], /-o xml is not known/, /json, yaml/],
  ['a negative number', ['a.ts', '--min', '-1'], /--min -1 is not a whole number/, /--min <n>/],
  ['a home that is empty', ['a.ts', '--home', ''], /--home is empty/, /leave --home out/],
  ['a missing positional', [], /deploy needs <path>: what to deploy/, /--help/],
  ['one positional too many', ['a.ts', 'b.ts'], /"b\.ts"/, /--help/],
];
for (const [what, argv, message, fix] of refused) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => parse(COMMAND, argv),
      (error) =>
        error instanceof PetrelError &&
        error.code === 'InvalidArgument' &&
        message.test(error.message) &&
        fix.test(error.fix),
    );
  });
}
