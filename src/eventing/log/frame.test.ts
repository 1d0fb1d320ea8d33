import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findFrame,
  frameBytes,
  frameLength,
  HEAD_BYTES,
  isIntact,
  isKeyed,
  KEY_BYTES,
  offsetOf,
  recordOf,
  sealFrame,
  timeOf,
} from './frame.ts';

function frame(record: string, offset: number, keyed = false): Buffer {
  const buffer = Buffer.alloc(frameBytes(Buffer.byteLength(record), keyed), 7);
  buffer.write(record, HEAD_BYTES + (keyed ? KEY_BYTES : 0));
  sealFrame(buffer, 0, buffer.length, keyed, offset, 1_700_000_000_123);
  return buffer;
}

test('a frame holds offset, time and record, with and without a key', () => {
  for (const keyed of [false, true]) {
    const buffer = Buffer.concat([Buffer.from('before'), frame('hello', 2 ** 40 + 1, keyed)]);
    assert.equal(frameLength(buffer, 6), buffer.length - 6);
    assert.equal(isKeyed(buffer, 6), keyed);
    assert.equal(offsetOf(buffer, 6), 2 ** 40 + 1);
    assert.equal(timeOf(buffer, 6), 1_700_000_000_123);
    assert.equal(recordOf(buffer, 6, buffer.length - 6).toString(), 'hello');
    assert.equal(isIntact(buffer, 6, buffer.length - 6), true);
  }
});

test('every bit counts', () => {
  const buffer = frame('some record', 5, true);
  for (let bit = 0; bit < buffer.length * 8; bit++) {
    buffer[bit >> 3]! ^= 1 << (bit & 7);
    const length = frameLength(buffer, 0);
    assert.equal(length === buffer.length && isIntact(buffer, 0, length), false, `bit ${bit}`);
    buffer[bit >> 3]! ^= 1 << (bit & 7);
  }
  assert.equal(isIntact(buffer, 0, buffer.length), true);
});

test('zeroes are no frame', () => {
  assert.equal(frameLength(Buffer.alloc(64), 0), 0);
});

test('the next frame is found behind anything, within its bounds', () => {
  const noise = Buffer.from(frame('cut off', 3).subarray(3));
  const buffer = Buffer.concat([noise, frame('a', 4), frame('b', 5)]);
  assert.equal(findFrame(buffer, 0, 0, 100), noise.length);
  assert.equal(findFrame(buffer, 0, 5, 100), noise.length + frameBytes(1, false));
  assert.equal(findFrame(buffer, 0, 0, 4), -1);
  assert.equal(findFrame(buffer.subarray(0, buffer.length - 1), noise.length + 1, 0, 100), -1);
});
