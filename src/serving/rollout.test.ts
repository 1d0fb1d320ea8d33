import assert from 'node:assert/strict';
import test from 'node:test';
import { isDone, observeReady, parseRollout, type Rollout, type StepParams, step } from './rollout.ts';

const SECOND = 1e9;

/** `a=60 b=40` → the state of Configuration `c`. */
const state = (shares: string, stepParams: StepParams = {}, tag?: string): Rollout => {
  const revisions = shares.split(' ').map((text) => {
    const [revisionName = '', percent] = text.split('=');
    return { revisionName, percent: Number(percent) };
  });
  const percent = revisions.reduce((sum, one) => sum + one.percent, 0);
  return {
    configurations: [{ configurationName: 'c', ...(tag && { tag }), percent, revisions, stepParams }],
  };
};
const shares = ({ configurations }: Rollout) =>
  configurations[0]!.revisions.map(({ revisionName, percent }) => `${revisionName}=${percent}`).join(' ');

const going = { starttime: 1, stepDuration: 10 * SECOND, stepSize: 10, nextStepTime: 100 };

test('who gets how much next', () => {
  const table: [string, Rollout, Rollout | undefined, number, string][] = [
    ['nothing was before', state('b=100'), undefined, 50, 'b=100'],
    ['nothing is new', state('b=100'), state('b=100'), 50, 'b=100'],
    ['a new revision gets one percent', state('b=100'), state('a=100'), 50, 'a=99 b=1'],
    ['a third takes it from the newest', state('c=100'), state('a=60 b=40', going), 50, 'a=60 b=39 c=1'],
    ['a predecessor with one percent is done', state('c=100'), state('a=99 b=1', going), 50, 'a=99 c=1'],
    ['not due yet', state('b=100'), state('a=90 b=10', going), 99, 'a=90 b=10'],
    ['due', state('b=100'), state('a=90 b=10', going), 100, 'a=80 b=20'],
    [
      'the second newest is drained first',
      state('c=100'),
      state('a=50 b=15 c=35', going),
      100,
      'a=50 b=5 c=45',
    ],
    [
      'and what it lacks comes from the next',
      state('c=100'),
      state('a=50 b=5 c=45', going),
      100,
      'a=45 c=55',
    ],
    ['the last step', state('b=100'), state('a=10 b=90', going), 100, 'b=100'],
    ['not begun to step', state('b=100'), state('a=99 b=1', { starttime: 1 }), 1e12, 'a=99 b=1'],
    ['the goal grows: to the newest', state('b=80'), state('a=40 b=10', going), 50, 'a=40 b=40'],
    ['the goal shrinks: from the oldest', state('b=30'), state('a=40 b=10', going), 50, 'a=20 b=10'],
    ['the oldest goes whole', state('b=5'), state('a=40 b=10', going), 50, 'b=5'],
    [
      'a step greater than the goal',
      state('b=15'),
      state('a=40 b=10', { ...going, stepSize: 20 }),
      100,
      'b=15',
    ],
    ['one percent cannot be divided', state('b=1'), state('a=1'), 50, 'b=1'],
  ];
  for (const [what, goal, previous, now, expected] of table) {
    assert.equal(shares(step(goal, previous, now).rollout), expected, what);
  }
});

test('a rollout that begins is stamped, one that ends forgets its steps, one that goes on says when', () => {
  const begun = step(state('b=100'), state('a=100'), 50).rollout.configurations[0]!;
  assert.deepEqual(begun.stepParams, { starttime: 50 });
  const ended = step(state('b=100'), state('a=10 b=90', going), 100);
  assert.deepEqual([ended.rollout.configurations[0]!.stepParams, ended.next], [{}, undefined]);
  assert.equal(isDone(ended.rollout), true);
  const on = step(state('b=100'), state('a=90 b=10', going), 100);
  assert.equal(on.next, 100 + 10 * SECOND);
  assert.equal(isDone(on.rollout), false);
});

test('how many steps, how large and how long follows from the time that the first percent took', () => {
  const table: [string, number, number, StepParams][] = [
    // Percent, seconds for all, seconds the first percent took: count of steps = (seconds - first) / first, at most percent - 1.
    ['a=99 b=1', 120, 1, { stepDuration: 1.202020202 * SECOND, stepSize: 1 }],
    ['a=99 b=1', 60, 1, { stepDuration: SECOND, stepSize: 2 }],
    ['a=99 b=1', 100, 20, { stepDuration: 20 * SECOND, stepSize: 25 }],
    ['a=99 b=1', 10, 30, { stepDuration: SECOND, stepSize: 99 }],
    ['a=9 b=1', 1000, 5, { stepDuration: 110.555555555 * SECOND, stepSize: 1 }],
  ];
  for (const [from, seconds, first, expected] of table) {
    const now = first * SECOND;
    const { stepParams } = observeReady(state(from, { starttime: 1 }), now, seconds).configurations[0]!;
    assert.equal(
      Math.abs(stepParams.stepDuration! - expected.stepDuration!) < 10,
      true,
      `${from} ${seconds} ${first}`,
    );
    assert.equal(stepParams.stepSize, expected.stepSize);
    assert.equal(stepParams.nextStepTime, now + stepParams.stepDuration!);
  }
  // Once they are set they stay.
  const set = state('a=90 b=10', going);
  assert.deepEqual(observeReady(set, 5 * SECOND, 60), set);
});

test('each tag is rolled out for itself, and what is new is there at once', () => {
  const goal = {
    configurations: [...state('b=100').configurations, ...state('b=100', {}, 'x').configurations],
  };
  const { rollout } = step(goal, state('a=100'), 50);
  assert.deepEqual(
    rollout.configurations.map(({ tag, revisions }) => [tag, revisions.length]),
    [
      [undefined, 2],
      ['x', 1],
    ],
  );
});

test('an annotation that cannot be true is dropped', () => {
  const good = state('a=90 b=10', going);
  assert.deepEqual(parseRollout(JSON.stringify(good)), good);
  const bad = [
    '',
    '{',
    JSON.stringify(state('a=90 b=20')),
    JSON.stringify(state('a=90 b=10', { ...going, stepSize: 101 })),
    JSON.stringify({ configurations: [{ ...good.configurations[0], percent: 99 }] }),
  ];
  for (const text of bad) assert.equal(parseRollout(text), undefined, text);
});
