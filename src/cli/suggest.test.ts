import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closest } from './suggest.ts';

const COMMANDS = ['deploy', 'delete', 'describe', 'down', 'status', 'list', 'logs', 'up'];

for (const [typed, meant] of [
  ['deplyo', 'deploy'],
  ['depoly', 'deploy'],
  ['stauts', 'status'],
  ['sta', 'status'],
  ['lst', 'list'],
  ['log', 'logs'],
  ['dwon', 'down'],
] as const) {
  test(`${typed} → ${meant}`, () => assert.equal(closest(typed, COMMANDS), meant));
}
for (const typed of ['frobnicate', 'x', ''])
  test(`"${typed}" is near nothing`, () => assert.equal(closest(typed, COMMANDS), undefined));
