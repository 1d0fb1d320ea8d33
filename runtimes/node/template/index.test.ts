import assert from 'node:assert/strict';
import { test } from 'node:test';
import handler from './index.ts';

test('greets by name', async () => {
  const response = await handler.fetch(new Request('http://localhost/?name=Ada'));
  assert.deepEqual(await response.json(), { hello: 'Ada' });
});
