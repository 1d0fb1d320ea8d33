import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CannotStart } from './launch.ts';
import { type ContainerRecord, newRecord } from './lifecycle.ts';
import { heldBack } from './waiting.ts';

test('an image that does not come is tried after 10 s, doubling; something else as often as it says', () => {
  const container = { name: 'c', image: 'dev.local/x' };
  const missing = new CannotStart('ErrImagePull', 'not there');
  let record: ContainerRecord = newRecord();
  const seen: [string | undefined, number][] = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    const { change } = heldBack(container, record, missing, 1, 0);
    record = { ...record, ...change };
    seen.push([record.state.kind === 'waiting' ? record.state.reason : undefined, record.notBefore / 1000]);
  }
  assert.deepEqual(seen, [
    ['ErrImagePull', 10],
    ['ImagePullBackOff', 20],
    ['ImagePullBackOff', 40],
    ['ImagePullBackOff', 80],
  ]);
  assert.equal(
    record.state.kind === 'waiting' && record.state.message,
    'Back-off pulling image "dev.local/x": ErrImagePull: not there',
  );
  const config = heldBack(
    container,
    record,
    new CannotStart('CreateContainerConfigError', 'no secret'),
    7,
    1,
  );
  assert.deepEqual([config.change.notBefore, config.isNews], [8, true]);
  const same = heldBack(container, { ...record, ...config.change }, new CannotStart('X', 'no secret'), 7, 1);
  assert.equal(same.isNews, false);
});
