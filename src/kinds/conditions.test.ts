import assert from 'node:assert/strict';
import test from 'node:test';
import { type ConditionManager, conditionSet, readiness } from './conditions.ts';

const set = conditionSet('A', 'B');
const T = Date.UTC(2026, 0, 1);
const shown = (manager: ConditionManager) =>
  manager.conditions.map(({ type, status, reason, severity }) =>
    [type, status, reason, severity].filter(Boolean).join(' '),
  );

const TABLE: { name: string; steps: (manager: ConditionManager) => void; shows: string[] }[] = [
  { name: 'initialised', steps: (m) => m.initialize(), shows: ['A Unknown', 'B Unknown', 'Ready Unknown'] },
  {
    name: 'ready when all are true',
    steps(m) {
      m.initialize();
      m.markTrue('A');
      m.markTrue('B');
    },
    shows: ['A True', 'B True', 'Ready True'],
  },
  {
    name: 'a missing dependent keeps Ready unknown',
    steps: (m) => m.markTrue('A'),
    shows: ['A True', 'Ready Unknown'],
  },
  {
    name: 'one false makes Ready false with its reason',
    steps(m) {
      m.initialize();
      m.markTrue('A');
      m.markFalse('B', 'Broken', 'it broke');
    },
    shows: ['A True', 'B False Broken', 'Ready False Broken'],
  },
  {
    name: 'unknown does not hide a failure',
    steps(m) {
      m.initialize();
      m.markFalse('B', 'Broken', 'it broke');
      m.markUnknown('A', 'Waiting', '');
    },
    shows: ['A Unknown Waiting', 'B False Broken', 'Ready False Broken'],
  },
  {
    name: 'true does not hide a failure',
    steps(m) {
      m.initialize();
      m.markFalse('B', 'Broken', 'it broke');
      m.markTrue('A');
    },
    shows: ['A True', 'B False Broken', 'Ready False Broken'],
  },
  {
    name: 'what is recovered falls back to what is still unknown',
    steps(m) {
      m.initialize();
      m.markUnknown('A', 'Waiting', '');
      m.markFalse('B', 'Broken', '');
      m.markTrue('B');
    },
    shows: ['A Unknown Waiting', 'B True', 'Ready Unknown Waiting'],
  },
  {
    name: 'a type that is no dependent is informative only',
    steps(m) {
      m.initialize();
      m.markTrue('A');
      m.markTrue('B');
      m.markFalse('Active', 'NoTraffic', '');
    },
    shows: ['A True', 'Active False NoTraffic Info', 'B True', 'Ready True'],
  },
];

for (const { name, steps, shows } of TABLE) {
  test(name, () => {
    const manager = set.manage(undefined, T);
    steps(manager);
    assert.deepEqual(shown(manager), shows);
  });
}

test('of several failures the youngest is shown', () => {
  let manager = set.manage(undefined, T);
  manager.markFalse('A', 'First', '');
  manager = set.manage(manager.conditions, T + 5000);
  manager.markFalse('B', 'Second', '');
  manager = set.manage(manager.conditions, T + 9000);
  manager.markTrue('Other');
  assert.equal(manager.get('Ready')?.reason, 'Second');
});

test('a transition time moves only when something else changed; the input is left alone', () => {
  const first = set.manage(undefined, T);
  first.markFalse('A', 'Broken', 'x');
  const before = structuredClone(first.conditions);
  const second = set.manage(first.conditions, T + 60_000);
  second.markFalse('A', 'Broken', 'x');
  assert.deepEqual(second.conditions, before);
  second.markFalse('A', 'Broken', 'y');
  assert.equal(second.get('A')?.lastTransitionTime, '2026-01-01T00:01:00Z');
  assert.deepEqual(first.conditions, before);
});

test('what goes back and forth within one look keeps its time', () => {
  const first = set.manage(undefined, T);
  first.markFalse('A', 'One', '');
  first.markFalse('B', 'Two', '');
  const second = set.manage(first.conditions, T + 60_000);
  second.markFalse('A', 'One', '');
  second.markFalse('B', 'Two', '');
  assert.deepEqual(second.conditions, first.conditions);
});

test('a kind without dependents is ready when it is said to be', () => {
  const manager = conditionSet().manage(undefined, T);
  manager.initialize();
  manager.markUnknown('Ready', '', '');
  assert.deepEqual(shown(manager), ['Ready Unknown']);
  manager.markFalse('Ready', 'RevisionFailed', '');
  assert.deepEqual(shown(manager), ['Ready False RevisionFailed']);
  manager.markTrue('Ready');
  assert.deepEqual(shown(manager), ['Ready True']);
});

test('readiness counts only for the present generation', () => {
  const conditions = [{ type: 'Ready', status: 'True' as const }];
  const object = (generation: number, status?: object) =>
    readiness({
      apiVersion: 'v1',
      kind: 'X',
      metadata: { name: 'x', generation },
      ...(status && { status }),
    });
  assert.equal(object(2, { observedGeneration: 2, conditions }), 'True');
  assert.equal(object(3, { observedGeneration: 2, conditions }), 'Unknown');
  assert.equal(object(1), 'Unknown');
});
