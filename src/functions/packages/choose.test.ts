import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packageDriver } from './choose.ts';

const KEYS = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };

test('without the setting packages stay in the directory', () => {
  assert.equal(packageDriver({}), undefined);
  assert.equal(packageDriver({ PETREL_PACKAGES: '' }), undefined);
});

test('a bucket or a registry', async () => {
  const s3 = packageDriver({
    ...KEYS,
    PETREL_PACKAGES: 's3://bucket/a/b?endpoint=http://127.0.0.1:9&exclusive=1',
  });
  assert.equal((await s3?.())?.exclusive, true);
  const oci = packageDriver({ PETREL_PACKAGES: 'oci://127.0.0.1:9/team/packages', HOME: '/nonexistent' });
  assert.equal((await oci?.())?.exclusive, false);
});

for (const [setting, env] of [
  ['bucket', KEYS],
  ['ftp://host/x', KEYS],
  ['s3://', KEYS],
  ['s3://bucket', {}],
  ['s3://bucket?endpoint=ftp://x', KEYS],
  ['oci://host', {}],
] as const)
  test(`refused: ${setting}`, () =>
    assert.throws(() => packageDriver({ ...env, PETREL_PACKAGES: setting }), { code: 'InvalidArgument' }));
