import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noDemand, type PoolCounts, planStarts, poolBounds, poolTarget, withTake } from './size.ts';

const pool = (counts: Partial<PoolCounts>): PoolCounts => ({
  pool: 'node',
  group: 'node',
  limit: 8,
  waiting: 0,
  idle: 0,
  starting: 0,
  target: 0,
  paused: false,
  ...counts,
});
const limits = { forWaiters: 4, forRefill: 1, quiet: true };

const PLANS: [string, PoolCounts[], Partial<typeof limits>, string[]][] = [
  ['nothing to do', [pool({ idle: 2, target: 2 })], {}, []],
  ['a refill is one at a time', [pool({ target: 3 })], {}, ['node']],
  ['a refill under way counts', [pool({ target: 3, starting: 1 })], {}, []],
  ['no refill beside a cold start', [pool({ target: 3 })], { quiet: false }, []],
  ['who waits is served beside a cold start', [pool({ waiting: 1, target: 3 })], { quiet: false }, ['node']],
  ['one for each who waits', [pool({ waiting: 3 })], {}, ['node', 'node', 'node']],
  ['what is starting serves who waits', [pool({ waiting: 2, starting: 2, target: 2 })], {}, []],
  ['never more than the limit', [pool({ waiting: 100, starting: 1 })], {}, ['node', 'node', 'node']],
  [
    'runtimes take turns',
    [pool({ waiting: 3 }), pool({ pool: 'python', group: 'python', waiting: 2 })],
    {},
    ['node', 'python', 'node', 'python'],
  ],
  [
    'no refill while anybody waits',
    [pool({ target: 2 }), pool({ pool: 'python', group: 'python', waiting: 1, starting: 1 })],
    {},
    [],
  ],
  [
    'namespaces share what a runtime may keep warm',
    [pool({ idle: 7, target: 7 }), pool({ pool: 'node/b', target: 3 }), pool({ pool: 'node/c', target: 3 })],
    { forRefill: 9 },
    ['node/b'],
  ],
  [
    'a paused pool does not hold up others',
    [pool({ waiting: 1, paused: true }), pool({ pool: 'python', group: 'python', target: 1 })],
    {},
    ['python'],
  ],
];
for (const [what, pools, more, starts] of PLANS) {
  test(`plan: ${what}`, () => assert.deepEqual(planStarts(pools, { ...limits, ...more }), starts));
}

test('pools follow the number of functions and recent bursts within their bounds', () => {
  const bounds = { min: 2, max: 10 };
  assert.equal(poolTarget(bounds, 0, noDemand, 0), 2);
  assert.equal(poolTarget(bounds, 12, noDemand, 0), 4);
  assert.equal(poolTarget(bounds, 1000, noDemand, 0), 10);
  let demand = noDemand;
  for (let i = 0; i < 8; i++) demand = withTake(demand, 1_000_000 + i);
  assert.equal(poolTarget(bounds, 0, demand, 1_000_010), 8);
  assert.equal(poolTarget(bounds, 0, demand, 1_120_010), 4);
  assert.equal(poolTarget(bounds, 0, demand, 2_000_000), 2);
  assert.equal(poolTarget(bounds, 0, demand, 0), 8, 'a clock that jumps back forgets nothing');
  assert.equal(poolTarget({ min: 0, max: 0 }, 50, demand, 1_000_010), 0);
  demand = withTake(demand, 1_130_000);
  assert.ok(demand.burst === 1 && demand.peak > 3, 'a later take begins a burst of its own');
});

test('the home namespace keeps its minimum, others one while they have functions', () => {
  assert.deepEqual(poolBounds(undefined, true, 0), { min: 4, max: 32 });
  assert.deepEqual(poolBounds({ min: 2, max: 9 }, false, 5), { min: 1, max: 9 });
  assert.deepEqual(poolBounds({ min: 2, max: 9 }, false, 0), { min: 0, max: 0 });
  assert.deepEqual(poolBounds({ min: 0, max: 0 }, false, 5), { min: 0, max: 0 });
  assert.deepEqual(poolBounds({ min: 3, max: 1 }, true, 0), { min: 3, max: 3 });
});
