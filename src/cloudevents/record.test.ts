import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../test/lib/random.ts';
import { newEvent } from './event.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import { arbitraryEvent } from './testing/events.ts';

const make = (fields: object = {}) => newEvent({ type: 't', source: '/s', ...fields }, 0, () => '1');

test('any event comes back the same, types of extensions included', () => {
  const random = seeded(11);
  for (let round = 0; round < 500; round++) {
    const event = arbitraryEvent(random);
    assert.deepEqual(decodeRecord(encodeRecord(event)), event);
  }
  const large = make({
    subject: 'é'.repeat(20_000),
    extensions: Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`x${at}`, at])),
    data: Buffer.alloc(100_000, 7),
  });
  assert.deepEqual(decodeRecord(encodeRecord(large)), large);
  assert.deepEqual(decodeRecord(encodeRecord(make({ data: '' }))).data?.length, 0);
  assert.equal(decodeRecord(encodeRecord(make())).data, undefined);
});

test('data is a view of the record, wherever the record lies', () => {
  const record = encodeRecord(make({ data: 'payload' }));
  const within = new Uint8Array(record.length + 10);
  within.set(record, 5);
  const view = within.subarray(5, 5 + record.length);
  const { data } = decodeRecord(view);
  assert.equal(data?.toString(), 'payload');
  assert.equal(data?.buffer, within.buffer);
  assert.ok(Buffer.isBuffer(data));
});

test('a record is small: a few bytes beside its text and data', () => {
  const event = make({ subject: 's', datacontenttype: 'application/json', data: 'x'.repeat(1000) });
  const text = ['1', '/s', 't', 's', event.time, 'application/json'].join('').length;
  assert.ok(encodeRecord(event).length - text - 1000 <= 12);
});

test('a damaged record is refused, never half an event from elsewhere', () => {
  const record = encodeRecord(make({ subject: 'é', extensions: { a: 'b', n: 5 } }));
  for (let length = 0; length < record.length; length++)
    assert.throws(() => decodeRecord(record.subarray(0, length)), /damaged/, `${length}`);
  assert.throws(() => decodeRecord(Buffer.from([2, ...record.subarray(1)])), /damaged/);
  assert.throws(() => decodeRecord(Buffer.from([1, 255, 255, 255, 255, 255, 255])), /damaged/);
});

test('a record lies in the scratch memory where it fits', () => {
  const scratch = Buffer.alloc(256);
  const event = make({ data: 'payload' });
  const record = encodeRecord(event, scratch);
  assert.equal(record.buffer, scratch.buffer);
  assert.deepEqual(decodeRecord(record), event);
  const large = make({ data: 'x'.repeat(256) });
  const own = encodeRecord(large, scratch);
  assert.notEqual(own.buffer, scratch.buffer);
  assert.deepEqual(decodeRecord(own), large);
});
