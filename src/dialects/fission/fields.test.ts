/** The page says of every field of Fission's kinds what becomes of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FISSION_TYPES } from '../../kinds/types-fission.ts';

const page = readFileSync(new URL('../../../docs/fission.md', import.meta.url), 'utf8');
const rows = new Map(
  page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => [line.split('|')[1]?.trim() ?? '', line] as const),
);

/** Names of the fields of a type and of Fission's own types in it; what a snapshot has is a Function's. */
function fieldsOf(type: string, seen = new Set([type])): string[] {
  return Object.entries(FISSION_TYPES[type] ?? {}).flatMap(([name, text]) => {
    const inner = /^\d+ (?:\[\]|\{\})?(\w+)/.exec(text)?.[1] ?? '';
    if (!Object.hasOwn(FISSION_TYPES, inner) || inner === 'FunctionSpec' || seen.has(inner)) return [name];
    // What a reference to a function has is told once.
    if (inner === 'FunctionReference' && type !== 'HTTPTriggerSpec') return [name];
    return [name, ...fieldsOf(inner, new Set([...seen, inner]))];
  });
}

const KINDS = Object.entries(FISSION_TYPES)
  .filter(([kind, fields]) => fields[''] === 'kind' && !kind.startsWith('Workflow'))
  .map(([kind]) => kind);

test('there are Fission’s kinds', () => assert.ok(KINDS.length >= 11, KINDS.join()));

for (const kind of KINDS)
  test(`every field of ${kind}`, () => {
    const row = rows.get(kind) ?? '';
    const named = new Set([...row.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => text.split(/[.: ]+/)));
    const missing = fieldsOf(`${kind}Spec`).filter((name) => !named.has(name));
    assert.deepEqual(missing, []);
  });
