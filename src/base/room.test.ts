import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { roomIn } from './room.ts';

test('a wait ends when there is room, or the stream is gone, and listens no longer', async () => {
  const stream = new PassThrough({ highWaterMark: 1 });
  for (let i = 0; i < 20; i++) {
    assert.equal(stream.write('piece'), false);
    const room = roomIn(stream);
    stream.read();
    await room;
  }
  assert.equal(stream.listenerCount('close'), 0);
  assert.equal(stream.listenerCount('drain'), 0);
  stream.write('piece');
  const room = roomIn(stream);
  stream.on('error', () => {});
  stream.destroy(new Error('gone'));
  await room;
  await roomIn(stream);
});
