import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf } from './scope.ts';

test('of a log that functions share, the lines of one, and what follows them', () => {
  const keep = linesOf('shop');
  const log = [
    'started',
    '[shop] one',
    '  at a second line of it',
    '[other] not this',
    '  nor this',
    '[shop] {"a":1}',
    'petrel: request failed',
    'and no more',
    '[shopping] not this',
    '[shop] [shop] said twice',
  ];
  assert.deepEqual(
    log.map(keep).filter((line) => line !== undefined),
    ['one', '  at a second line of it', '{"a":1}', '[shop] said twice'],
  );
});
