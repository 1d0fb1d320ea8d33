import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultMemory, resourcesOf } from './memory.ts';

test('the limit of functions without one: a gibibyte, an amount, or none; nothing that is no amount', () => {
  assert.equal(defaultMemory(undefined), '1Gi');
  assert.equal(defaultMemory(' '), '1Gi');
  assert.equal(defaultMemory('512Mi'), '512Mi');
  assert.equal(defaultMemory('none'), undefined);
  assert.equal(defaultMemory('0'), undefined);
  for (const text of ['much', '512', '-1Gi', '1000k', 'NaN'])
    assert.throws(() => defaultMemory(text), { code: 'StartFailed' }, text);
});

test('it holds for what says nothing of memory, beside what it says of the rest', () => {
  const of = (resources?: object) => resourcesOf({ ...(resources && { resources }) }, '1Gi');
  assert.deepEqual(of(), { limits: { memory: '1Gi' } });
  const cpu = { limits: { cpu: '1' }, requests: { cpu: '100m' } };
  assert.deepEqual(of(cpu), { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m' } });
  for (const said of [{ limits: { memory: '0' } }, { requests: { memory: '2Gi' } }])
    assert.deepEqual(of(said), said);
  assert.equal(resourcesOf({}, undefined), undefined);
});
