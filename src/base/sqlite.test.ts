import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageError } from './sqlite.ts';

test('what SQLite and the file system say is told in terms of what to do about it', () => {
  const codeOf = (error: object) => storageError(error, '/home/state.db').code;
  for (const full of [{ errcode: 13 }, { errcode: 4874 }, { code: 'ENOSPC' }, { code: 'EDQUOT' }])
    assert.equal(codeOf(full), 'DiskFull', JSON.stringify(full));
  for (const damaged of [{ errcode: 11 }, { errcode: 26 }, { errcode: 267 }])
    assert.equal(codeOf(damaged), 'StartFailed', JSON.stringify(damaged));
  for (const closed of [{ errcode: 8 }, { errcode: 14 }, { code: 'EACCES' }])
    assert.equal(codeOf(closed), 'HomeNotWritable', JSON.stringify(closed));
  assert.equal(codeOf({ errcode: 10, message: 'disk I/O error' }), 'Internal');
  assert.equal(codeOf(storageError({ errcode: 13 }, '/')), 'DiskFull');
});
