/** The secret behind session cookies: made once, kept, and made anew when it is damaged. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sessionSecret } from './session-secret.ts';

test('made once and kept, for this user only', () => {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-secret-'));
  const home = { dir, pki: dir };
  try {
    const first = sessionSecret(home);
    assert.match(first, /^[0-9a-f]{64}$/);
    assert.equal(sessionSecret(home), first);
    const file = join(dir, 'sessions');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, 'torn');
    const second = sessionSecret(home);
    assert.notEqual(second, first);
    assert.equal(readFileSync(file, 'latin1').trim(), second);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
