import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KAFKA_ORDER,
  streamWishes,
  streamWishProblems,
  subscriptionWishes,
  subscriptionWishProblems,
  WISH_GROUP,
} from './wishes.ts';

const ours = (annotations: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(annotations).map(([name, value]) => [WISH_GROUP + name, value]));

test('what is not asked for is absent', () => {
  assert.deepEqual(streamWishes(undefined), {});
  assert.deepEqual(subscriptionWishes({ other: 'x' }), {});
  assert.deepEqual(subscriptionWishProblems(undefined), []);
});

test('durations of both kinds, bytes with units', () => {
  const wishes = {
    'retention-age': 'P7D',
    'dedup-window': '90s',
    'retention-bytes': '2Gi',
    'max-event-size': '64Ki',
  };
  assert.deepEqual(streamWishes(ours(wishes)), {
    retentionAge: 7 * 86_400_000,
    dedupWindow: 90_000,
    retentionBytes: 2 * 2 ** 30,
    maxEventSize: 65_536,
  });
});

test('order: by an attribute, of everything, and as Kafka says it; our own word wins', () => {
  assert.equal(subscriptionWishes(ours({ 'ordered-by': 'subject' })).orderedBy, 'subject');
  assert.equal(subscriptionWishes(ours({ 'ordered-by': '*' })).orderedBy, '');
  assert.equal(subscriptionWishes({ [KAFKA_ORDER]: 'ordered' }).orderedBy, 'partitionkey');
  assert.equal(subscriptionWishes({ [KAFKA_ORDER]: 'unordered' }).orderedBy, undefined);
  const both = { [KAFKA_ORDER]: 'ordered', ...ours({ 'ordered-by': 'subject' }) };
  assert.equal(subscriptionWishes(both).orderedBy, 'subject');
});

const wrong: [name: string, value: string][] = [
  ['ordered-by', 'Sub ject'],
  ['concurrency', '0'],
  ['concurrency', '1.5'],
  ['batch-size', '1001'],
  ['batch-wait', '10m'],
  ['paused', 'yes'],
  ['start', 'yesterday'],
  ['start', '2026-01-01'],
  ['jitter', '1.1'],
  ['jitter', '-0.1'],
  ['any-answer', ''],
];
for (const [name, value] of wrong) {
  test(`${name} of ${JSON.stringify(value)} is a problem, and then counts as not said`, () => {
    const annotations = ours({ [name]: value });
    const [problem, ...more] = subscriptionWishProblems(annotations);
    assert.deepEqual([problem?.annotation, problem?.value, more], [WISH_GROUP + name, value, []]);
    assert.deepEqual(subscriptionWishes(annotations), {});
  });
}

test('what means something for the other kind is told', () => {
  assert.match(streamWishProblems(ours({ concurrency: '1' }))[0]?.why ?? '', /there are: .*retention-age/);
});
