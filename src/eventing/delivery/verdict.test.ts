import assert from 'node:assert/strict';
import test from 'node:test';
import { newEvent } from '../../cloudevents/event.ts';
import { toHttp } from '../../cloudevents/http.ts';
import type { DeliveryTerms } from '../model.ts';
import type { Outcome } from './contract.ts';
import { type Failure, judge, KEPT_BODY, next, withError } from './verdict.ts';

const NOW = Date.parse('2026-11-21T09:00:00Z');
const event = newEvent({ type: 't', source: '/s', id: '1', data: { a: 1 } }, NOW, () => 'x');

const outcome = (over: Partial<Outcome> & { text?: string }): Outcome => ({
  headers: [],
  body: Buffer.from(over.text ?? ''),
  truncated: false,
  ms: 1,
  ...over,
});
const says = (over: Partial<Outcome> & { text?: string }, strict = true, batch?: string[]) =>
  judge(outcome(over), { strict, ...(batch && { batch: new Set(batch) }) }, NOW);

/** knative/specs, data plane, table of responses: done, retry or give up. */
const TABLE: [status: number, what: 'done' | 'retry' | 'give up'][] = [
  [200, 'done'],
  [201, 'done'],
  [202, 'done'],
  [204, 'done'],
  [299, 'done'],
  [301, 'give up'],
  [302, 'give up'],
  [307, 'give up'],
  [400, 'give up'],
  [401, 'give up'],
  [403, 'give up'],
  [404, 'retry'],
  [405, 'give up'],
  [408, 'retry'],
  [409, 'retry'],
  [410, 'give up'],
  [413, 'give up'],
  [422, 'give up'],
  [425, 'give up'],
  [429, 'retry'],
  [500, 'retry'],
  [501, 'retry'],
  [502, 'retry'],
  [503, 'retry'],
  [504, 'retry'],
  [507, 'retry'],
];
for (const [status, what] of TABLE)
  test(`an answer with ${status}: ${what}`, () => {
    const judged = says({ status });
    if (what === 'done') assert.deepEqual(judged, { is: 'done' });
    else {
      assert.equal(judged.is, 'failed');
      assert.equal(judged.is === 'failed' && judged.failure.retryable, what === 'retry');
    }
  });

test('no answer is tried again, and told as upstream tells it', () => {
  const judged = says({ error: 'connect ECONNREFUSED 127.0.0.1:1' });
  assert.ok(judged.is === 'failed' && judged.failure.retryable);
  assert.equal(judged.failure.status, undefined);
  const letter = withError(event, 'http://sink/', judged.failure);
  assert.equal(letter.extensions.knativeerrorcode, 500);
  assert.equal(
    Buffer.from(String(letter.extensions.knativeerrordata), 'base64').toString(),
    'dispatch error: connect ECONNREFUSED 127.0.0.1:1',
  );
});

test('a gateway that is not there is no attempt', () => {
  assert.equal(says({ error: 'connect ECONNREFUSED', unreachable: true }).is, 'postponed');
});

test('an event in the answer is a reply, whatever the 2xx', () => {
  for (const mode of ['binary', 'structured'] as const)
    for (const status of [200, 202]) {
      const { headers, body } = toHttp(event, mode);
      const judged = says({ status, headers, body: body! });
      assert.ok(judged.is === 'replied');
      assert.equal(judged.replies[0]?.id, '1');
      assert.equal(judged.replies[0]?.data?.toString(), '{"a":1}');
    }
});

test('what a trigger answers is empty or an event; a channel drops what is neither', () => {
  const judged = says({ status: 200, text: '{"hello":"world"}' });
  assert.ok(judged.is === 'failed' && judged.failure.retryable && judged.failure.status === 502);
  assert.deepEqual(says({ status: 200, text: '{"hello":"world"}' }, false), { is: 'done' });
});

test('an answer that claims to be an event and is none fails everywhere', () => {
  const headers = ['ce-specversion', '1.0', 'ce-type', 'x'];
  for (const strict of [true, false]) {
    const judged = says({ status: 200, headers, text: 'x' }, strict);
    assert.ok(judged.is === 'failed' && judged.failure.status === 502 && judged.failure.retryable);
  }
  const invalid = says(
    { status: 200, headers: ['content-type', 'application/cloudevents+json'], text: '{' },
    false,
  );
  assert.equal(invalid.is, 'failed');
});

test('an answer that was cut is no event', () => {
  const { headers, body } = toHttp(event);
  assert.equal(says({ status: 200, headers, body: body!, truncated: true }).is, 'failed');
});

test('a batch names the events that failed', () => {
  const partial = (items: unknown) =>
    says({ status: 200, text: JSON.stringify({ batchItemFailures: items }) }, true, ['a', 'b']);
  assert.deepEqual(partial([{ itemIdentifier: 'b' }]), { is: 'partial', failed: new Set(['b']) });
  assert.deepEqual(partial([]), { is: 'done' });
  assert.deepEqual(partial(null), { is: 'done' });
  for (const wrong of [[{ itemIdentifier: 'c' }], [{ itemIdentifier: '' }], [{}], [null], 'b', 7, {}])
    assert.equal(partial(wrong).is, 'failed', JSON.stringify(wrong));
  assert.deepEqual(says({ status: 200, text: '{"ok":true}' }, true, ['a']), { is: 'done' });
  assert.deepEqual(says({ status: 200, text: 'fine' }, true, ['a']), { is: 'done' });
  assert.equal(says({ status: 503, text: '{"batchItemFailures":[]}' }, true, ['a']).is, 'failed');
});

const TERMS: DeliveryTerms = {
  retry: 5,
  backoffPolicy: 'exponential',
  backoffDelayMs: 200,
  jitter: 0,
  timeoutMs: 0,
  retryAfterMaxMs: 0,
};
const FAILED: Failure = { retryable: true, status: 503, body: Buffer.alloc(0), message: 'it answered 503' };
const waits = (terms: Partial<DeliveryTerms>, random = 0) => {
  const all: number[] = [];
  for (let failures = 1; failures < 20; failures++) {
    const what = next({ ...TERMS, ...terms }, failures, FAILED, random);
    if ('giveUp' in what) return all;
    all.push(what.wait);
  }
  return all;
};

test('waits are those of upstream, counted from zero', () => {
  assert.deepEqual(waits({}), [200, 400, 800, 1600, 3200]);
  assert.deepEqual(waits({ backoffPolicy: 'linear' }), [0, 200, 400, 600, 800]);
  assert.deepEqual(waits({ backoffDelayMs: 0 }), [0, 0, 0, 0, 0]);
  assert.deepEqual(waits({ retry: 0 }), []);
  assert.deepEqual(waits({ retry: 3, backoffDelayMs: 1000 }), [1000, 2000, 4000]);
  assert.deepEqual(waits({ retry: 2, jitter: 0.5 }, 1), [300, 600]);
});

test('a wait has an end, however often it was doubled', () => {
  const what = next({ ...TERMS, retry: 1000, backoffDelayMs: 60_000 }, 500, FAILED, 0);
  assert.deepEqual(what, { wait: 30 * 86_400_000 });
});

test('Retry-After counts for 429 and 503 alone, up to its bound, and never shortens', () => {
  const asked = (status: number, value: string, terms: Partial<DeliveryTerms>) => {
    const judged = says({ status, headers: ['retry-after', value] });
    assert.ok(judged.is === 'failed');
    return next({ ...TERMS, ...terms }, 1, judged.failure, 0);
  };
  const honoured = { retryAfterMaxMs: 60_000 };
  assert.deepEqual(asked(503, '7', honoured), { wait: 7000 });
  assert.deepEqual(asked(429, '7', honoured), { wait: 7000 });
  assert.deepEqual(asked(429, '3600', honoured), { wait: 60_000 });
  assert.deepEqual(asked(503, 'Sat, 21 Nov 2026 09:00:09 GMT', honoured), { wait: 9000 });
  assert.deepEqual(asked(500, '7', honoured), { wait: 200 });
  assert.deepEqual(asked(404, '7', honoured), { wait: 200 });
  assert.deepEqual(asked(503, '7', {}), { wait: 200 });
  assert.deepEqual(asked(503, '1', { ...honoured, backoffDelayMs: 5000 }), { wait: 5000 });
  assert.deepEqual(asked(503, 'soon', honoured), { wait: 200 });
  assert.deepEqual(asked(503, '-1', honoured), { wait: 200 });
});

test('what is of no use is not tried again, whatever the terms', () => {
  const what = next(
    { ...TERMS, retry: 100 },
    1,
    { ...FAILED, retryable: false, message: 'it answered 400' },
    0,
  );
  assert.ok('giveUp' in what && what.giveUp.includes('400'));
});

test('a dead letter is the event as it was, with three attributes', () => {
  const letter = withError(event, 'http://a.example/x', { status: 418, body: Buffer.from('no') });
  assert.deepEqual(letter, {
    ...event,
    extensions: { knativeerrordest: 'http://a.example/x', knativeerrorcode: 418, knativeerrordata: 'bm8=' },
  });
  assert.equal('knativeerrordata' in withError(event, 'x', { status: 500 }).extensions, false);
});

test('knativeerrordata has at most 1024 characters, and what is kept for it is enough', () => {
  const body = Buffer.alloc(5000, 'é');
  const data = (bytes: Buffer) =>
    withError(event, 'x', { status: 500, body: bytes }).extensions.knativeerrordata;
  assert.equal(String(data(body)).length, 1024);
  assert.equal(data(body.subarray(0, KEPT_BODY)), data(body));
});

test('lines of a message hold no control characters', () => {
  const judged = says({ status: 400, text: 'a\x1b[31mred\r\nsecond' });
  assert.ok(judged.is === 'failed');
  assert.equal(judged.failure.message, 'it answered 400: a [31mred');
});
