import assert from 'node:assert/strict';
import test from 'node:test';
import { seeded } from '../../../test/lib/random.ts';
import { makeEvent } from '../../cloudevents/event.ts';
import { Cursor } from './cursor.ts';
import { type Task, taskOf } from './task.ts';

const event = makeEvent('1', '/s', 't', undefined, undefined, undefined, undefined, {}, undefined);
const at = (cursor: Cursor, offset: number): Task => {
  const task = taskOf({ offset, at: 0, event, record: undefined, bytes: 0 }, undefined, true);
  cursor.add(task);
  cursor.seen = offset + 1;
  return task;
};

test('the position is contiguous from below, and keeps what is resolved above', () => {
  const cursor = new Cursor({ low: 10, above: [] });
  assert.deepEqual(cursor.snapshot(), { low: 10, above: [] });
  const tasks = [10, 11, 12, 15, 16].map((offset) => at(cursor, offset));
  cursor.seen = 20;
  assert.deepEqual(cursor.snapshot(), { low: 10, above: [13, 14, 17, 19] });
  cursor.resolve(tasks[1]!);
  assert.deepEqual(cursor.snapshot(), { low: 10, above: [11, 11, 13, 14, 17, 19] });
  assert.deepEqual(cursor.snapshot(20, new Set([tasks[0]!])), { low: 12, above: [13, 14, 17, 19] });
  cursor.resolve(tasks[0]!);
  assert.deepEqual(cursor.snapshot(), { low: 12, above: [13, 14, 17, 19] });
  for (const task of tasks) cursor.resolve(task);
  assert.deepEqual(cursor.snapshot(), { low: 20, above: [] });
  assert.equal(cursor.unresolved, 0);
});

test('what an earlier life resolved is not delivered again, however often it stops half-way', () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round++) {
    const delivered = new Set<number>();
    let position = { low: 0, above: [] as number[] };
    for (let life = 0; life < 6; life++) {
      const cursor = new Cursor(position);
      const open: Task[] = [];
      const until = Math.min(60, cursor.seen + Math.floor(random() * 40));
      for (let offset = cursor.seen; offset < until; offset++) {
        cursor.seen = offset + 1;
        if (cursor.skips(offset)) {
          assert.ok(delivered.has(offset), `${offset} is skipped and was never delivered`);
          continue;
        }
        assert.ok(!delivered.has(offset), `${offset} is delivered twice`);
        open.push(at(cursor, offset));
      }
      for (const task of open)
        if (random() < 0.6) {
          delivered.add(task.item.offset);
          cursor.resolve(task);
        }
      position = cursor.snapshot();
      for (let offset = 0; offset < position.low; offset++) assert.ok(delivered.has(offset));
    }
  }
});
