import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { type SavedRequest, savedRequest, saveRequest } from './saved.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-saved-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}
const order: SavedRequest = {
  method: 'POST',
  path: '/orders?dry=1',
  headers: [['content-type', 'application/json']],
  body: '{"id":1}',
};
const withCode = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof PetrelError && error.code === code && words.test(`${error.message} ${error.fix}`);

test('a request comes back as it was kept, text and bytes', (t) => {
  const dir = folder(t);
  saveRequest('order', order, dir);
  assert.deepEqual(savedRequest('order', dir), order);
  const bytes = Buffer.from([0xff, 0, 0xfe]);
  saveRequest('order', { ...order, body: bytes }, dir);
  assert.deepEqual(savedRequest('order', dir).body, bytes);
  const { body: _, ...bare } = order;
  saveRequest('bare', bare, dir);
  assert.deepEqual(savedRequest('bare', dir), bare);
});

test('what proves who somebody is stays out of the file', (t) => {
  const dir = folder(t);
  const path = saveRequest(
    'order',
    {
      ...order,
      headers: [
        ['Authorization', 'Bearer abc'],
        ['x-a', '1'],
      ],
    },
    dir,
  );
  assert.doesNotMatch(readFileSync(path, 'utf8'), /abc/);
  assert.deepEqual(savedRequest('order', dir).headers, [['x-a', '1']]);
});

test('a name that is not there is told with those that are; one that leaves the folder is refused', (t) => {
  const dir = folder(t);
  assert.throws(() => savedRequest('order', dir), withCode('NotFound', /--save order/));
  saveRequest('order', order, dir);
  assert.throws(() => savedRequest('odrer', dir), withCode('NotFound', /did you mean order/));
  assert.throws(() => saveRequest('../order', order, dir), withCode('InvalidArgument', /name of a request/));
  writeFileSync(join(dir, '.petrel/requests/bad.json'), '[]');
  assert.throws(() => savedRequest('bad', dir), withCode('InvalidArgument', /no saved request/));
});
