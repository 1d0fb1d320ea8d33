import assert from 'node:assert/strict';
import test from 'node:test';
import { createAverageWindow, createMaximumWindow } from './window.ts';

const T = 1_700_000_000_000;
/** `[second, value]` records, then the second of the question and the answer. */
const LINEAR: {
  name: string;
  window: number;
  records: [number, number][];
  at: number;
  average: number;
  empty?: boolean;
}[] = [
  { name: 'nothing recorded', window: 60, records: [], at: 0, average: 0, empty: true },
  {
    name: 'the first second is not diluted by the empty past',
    window: 60,
    records: [[0, 10]],
    at: 0,
    average: 10,
  },
  {
    name: 'two values in one second add up',
    window: 60,
    records: [
      [0, 10],
      [0.9, 5],
    ],
    at: 0,
    average: 15,
  },
  {
    name: 'three seconds',
    window: 60,
    records: [
      [0, 10],
      [1, 20],
      [2, 3],
    ],
    at: 2,
    average: 11,
  },
  {
    name: 'rounded to six digits',
    window: 60,
    records: [
      [0, 1],
      [1, 0],
      [2, 0],
    ],
    at: 2,
    average: 0.333333,
  },
  {
    name: 'a gap between records counts as zeros',
    window: 60,
    records: [
      [0, 10],
      [4, 10],
    ],
    at: 4,
    average: 4,
  },
  {
    name: 'silence since the last record does not dilute',
    window: 60,
    records: [
      [0, 10],
      [1, 10],
    ],
    at: 5,
    average: 10,
  },
  {
    name: 'the oldest second leaves a full window',
    window: 3,
    records: [
      [0, 9],
      [1, 3],
      [2, 3],
      [3, 3],
    ],
    at: 3,
    average: 3,
  },
  {
    name: 'silence in a full window divides by what is left',
    window: 3,
    records: [
      [0, 9],
      [1, 6],
      [2, 3],
    ],
    at: 3,
    average: 4.5,
  },
  { name: 'silence as long as the window', window: 3, records: [[0, 9]], at: 3, average: 0 },
  { name: 'silence longer than the window', window: 3, records: [[0, 9]], at: 4, average: 0, empty: true },
  {
    name: 'a record after a window of silence starts afresh',
    window: 3,
    records: [
      [0, 9],
      [1, 9],
      [4, 2],
    ],
    at: 4,
    average: 2,
  },
  {
    name: 'a late record is added to its second',
    window: 60,
    records: [
      [2, 4],
      [1, 2],
    ],
    at: 2,
    average: 3,
  },
  {
    name: 'a record older than the window is dropped',
    window: 3,
    records: [
      [10, 4],
      [7, 100],
    ],
    at: 10,
    average: 4,
  },
];

for (const { name, window, records, at, average, empty } of LINEAR) {
  test(`plain average: ${name}`, () => {
    const values = createAverageWindow(window * 1000);
    for (const [second, value] of records) values.record(T + second * 1000, value);
    assert.equal(values.average(T + at * 1000), average);
    assert.equal(values.isEmpty(T + at * 1000), empty ?? false);
  });
}

// Weights of a window of 2 s: c = 1 − 0.0001^(1/2) = 0.99; newest 0.99, before it 0.0099.
// Windows of 42 s and more: 1 − 0.0001^(1/42) = 0.1969… falls below the least weight, 0.2.
const WEIGHTED: { name: string; window: number; records: [number, number][]; at: number; average: number }[] =
  [
    { name: 'one value has the newest weight', window: 2, records: [[0, 10]], at: 0, average: 9.9 },
    {
      name: 'the past counts a hundredth',
      window: 2,
      records: [
        [0, 10],
        [1, 20],
      ],
      at: 1,
      average: 0.99 * 20 + 0.0099 * 10,
    },
    {
      name: 'silence moves the weights on',
      window: 2,
      records: [
        [0, 10],
        [1, 20],
      ],
      at: 2,
      average: 0.0099 * 20,
    },
    { name: 'silence for a whole window', window: 2, records: [[0, 10]], at: 3, average: 0 },
    {
      name: 'a long window has weight 0.2',
      window: 60,
      records: [
        [0, 10],
        [1, 10],
      ],
      at: 1,
      average: 0.2 * 10 + 0.16 * 10,
    },
  ];

for (const { name, window, records, at, average } of WEIGHTED) {
  test(`weighted average: ${name}`, () => {
    const values = createAverageWindow(window * 1000, 'weighted-exponential');
    for (const [second, value] of records) values.record(T + second * 1000, value);
    assert.ok(Math.abs(values.average(T + at * 1000) - average) < 1e-9);
  });
}

test('the sum of a long run of records does not drift', () => {
  const values = createAverageWindow(6000);
  for (let second = 0; second < 100_000; second++)
    values.record(T + second * 1000, second % 2 === 0 ? 0.1 : 0.3);
  assert.equal(values.average(T + 99_999 * 1000), 0.2);
});

test('the maximum of a delay window falls only after the delay', () => {
  const maximum = createMaximumWindow(10_000, 2000);
  const seen: number[] = [];
  for (const [at, value] of [
    [0, 5],
    [2, 3],
    [4, 4],
    [6, 1],
    [8, 1],
    [10, 1],
    [12, 1],
    [14, 1],
  ] as const) {
    maximum.record(T + at * 1000, value);
    seen.push(maximum.current());
  }
  assert.deepEqual(seen, [5, 5, 5, 5, 5, 4, 4, 1]);
});

test('two values in one step of the delay: the larger stands', () => {
  const maximum = createMaximumWindow(4000, 2000);
  maximum.record(T, 3);
  maximum.record(T + 1000, 2);
  assert.equal(maximum.current(), 3);
  maximum.record(T + 1500, 7);
  assert.equal(maximum.current(), 7);
});
