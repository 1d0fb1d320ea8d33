import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../commands.ts';
import { wanted } from './words.ts';

const ask = (line: string) => wanted(COMMANDS, line.split(' '));
const words = (line: string) => ask(line).proposals.map(([word]) => word);

test('commands, without those that nobody types', () => {
  assert.ok(words('').includes('deploy'));
  assert.ok(words('help ').includes('dev'));
  for (const { name } of COMMANDS.filter(({ hidden }) => hidden)) assert.ok(!words('').includes(name), name);
  assert.deepEqual(words('nonsense '), []);
});

test('options: all that are not there yet, lists again', () => {
  const first = words('deploy --');
  for (const name of ['--name', '--env', '--home', '--help']) assert.ok(first.includes(name), name);
  const later = words('deploy a.ts --name x -e A=1 --');
  assert.ok(!later.includes('--name'));
  assert.ok(later.includes('--env'));
  assert.deepEqual(words('deploy -- --'), []);
});

const CASES: readonly [line: string, names: string | readonly string[] | undefined, prefix?: string][] = [
  ['invoke ', 'functions'],
  ['invoke hello ', undefined],
  ['invoke -n ', 'namespaces'],
  ['invoke -n other ', 'functions'],
  ['invoke -nother ', 'functions'],
  ['invoke --namespace=', 'namespaces', '--namespace='],
  ['deploy ', 'files'],
  ['deploy --runtime ', 'runtimes'],
  ['deploy --runtime=py', 'runtimes', '--runtime='],
  ['deploy --output ', ['json', 'yaml', 'table']],
  ['deploy --name ', undefined],
  ['dev --debug ', 'files'],
  ['init --template ', 'templates'],
  ['rollback hello --to ', 'revisions'],
  ['diff hello ', 'revisions'],
  ['alias hello ', 'aliases'],
  ['builds ', ['list', 'logs', 'cancel', 'rebuild']],
  ['builds logs ', 'functions'],
  ['dlq ', ['list', 'show', 'redrive', 'purge']],
  ['list --home ', 'folders'],
];
for (const [line, names, prefix = ''] of CASES)
  test(`petrel ${line}`, () => {
    const found = ask(line);
    const proposed =
      found.names ?? (found.proposals.length > 0 ? found.proposals.map(([word]) => word) : undefined);
    assert.deepEqual(proposed, names);
    assert.equal(found.prefix, prefix);
  });

test('what the words before say is known', () => {
  const { positionals, values } = ask('rollback hello -n prod --home=/x --to ');
  assert.deepEqual(positionals, ['hello']);
  assert.deepEqual(
    [...values],
    [
      ['namespace', 'prod'],
      ['home', '/x'],
    ],
  );
});
