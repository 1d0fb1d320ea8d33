import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Args } from '../args.ts';
import { shownKey, streamKey, subscriptionKey } from './keys.ts';
import { eventLetter, merged } from './letters.ts';
import { momentOf } from './moments.ts';
import { dataLine, letterId, letterNumber, shortReason } from './show.ts';

test('moments are a while ago or a time', () => {
  const now = Date.parse('2026-02-01T12:00:00Z');
  const at = (text: string) => momentOf(new Args(new Map([['since', text]]), []), 'since', now);
  assert.equal(at('30m'), now - 1_800_000);
  assert.equal(at('1d12h'), now - 129_600_000);
  assert.equal(at('2026-01-31T09:00:00Z'), Date.parse('2026-01-31T09:00:00Z'));
  assert.equal(at('2026-01-31'), Date.parse('2026-01-31'));
  assert.equal(momentOf(new Args(new Map(), []), 'since', now), undefined);
  for (const bad of ['', '30', 'yesterday', '5m later', '1w', '2026'])
    assert.throws(() => at(bad), { code: 'InvalidArgument' }, bad);
});

test('names of streams and subscriptions', () => {
  assert.equal(streamKey('orders', 'shop'), 'broker/shop/orders');
  assert.equal(streamKey('channel/x', 'shop'), 'channel/shop/x');
  assert.equal(streamKey('channel/other/x', 'shop'), 'channel/other/x');
  assert.equal(subscriptionKey('paid', 'default'), 'trigger/default/paid');
  assert.equal(subscriptionKey('subscription/s', 'default'), 'subscription/default/s');
  assert.throws(() => streamKey('Not A Name', 'default'), { code: 'InvalidArgument' });
  assert.throws(() => streamKey('a/b/c/d', 'default'), { code: 'InvalidArgument' });
  assert.equal(shownKey('trigger/default/paid', 'default'), 'trigger/paid');
  assert.equal(shownKey('trigger/shop/paid', 'default'), 'trigger/shop/paid');
});

test('dead letters of both kinds stand in one list, newest first', () => {
  const letter = (id: number, at: string) => ({
    id,
    subscription: 'trigger/default/t',
    stream: 'broker/default/b',
    at: Date.parse(at),
    attempts: 3,
    reason: 'no',
    event: { attributes: { type: 'x' }, bytes: 0 },
  });
  const invocation = (id: string, finishedAt: string) => ({
    id,
    namespace: 'default',
    function: 'f',
    status: 'dead',
    acceptedAt: '2026-01-01T00:00:00Z',
    finishedAt,
    attempts: [],
  });
  const all = merged(
    [invocation('i1', '2026-01-01T00:00:03Z'), invocation('i2', '2026-01-01T00:00:01Z')],
    [letter(8, '2026-01-01T00:00:04Z'), letter(7, '2026-01-01T00:00:02Z')],
    3,
  );
  assert.deepEqual(
    all.map(({ kind, id }) => [kind, id]),
    [
      ['event', 'e8'],
      ['invocation', 'i1'],
      ['event', 'e7'],
    ],
  );
  assert.equal(eventLetter(letter(8, '2026-01-01T00:00:04Z')).diedAt, '2026-01-01T00:00:04.000Z');
  assert.equal(letterNumber(letterId(12)), 12);
  for (const bad of ['12', 'e', 'e1x', '0123456789abcdef0123456789abcdef'])
    assert.equal(letterNumber(bad), undefined);
});

test('data on one line', () => {
  const event = (data: string | undefined, base64?: boolean) => ({ attributes: {}, bytes: 3, data, base64 });
  assert.equal(dataLine(event('{\n  "a": 1\n}')), '{ "a": 1 }');
  assert.equal(dataLine(event(undefined)), '');
  assert.equal(dataLine(event('AAAA', true)), '(3 bytes)');
  assert.equal(dataLine(event('x'.repeat(500))).length, 121);
});

test('a failing function is told in its own words', () => {
  const answer =
    '{"component":"function","reason":"function_error","message":"Error: no \\"way\\"","stack":"Error…';
  assert.equal(
    shortReason(`given up after 4 attempts; it answered 500: ${answer}`),
    'given up after 4 attempts; it answered 500: Error: no "way"',
  );
  for (const other of [
    'it answered 500: {"message":"its own"}',
    'there was no answer in time',
    '{"component":"function","mess…',
  ])
    assert.equal(shortReason(other), other);
});
