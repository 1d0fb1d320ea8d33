import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ClientName, loadClient } from './load.ts';

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const here = fileURLToPath(new URL('.', import.meta.url));
const manifests = globSync(`${here}*/package.json`);

test('what is brought is what was tested: the versions of the checkout, pinned in a lock file', () => {
  const { devDependencies } = read(fileURLToPath(new URL('../../package.json', import.meta.url)));
  assert.ok(manifests.length >= 6);
  for (const manifest of manifests) {
    const lock = read(`${dirname(manifest)}/package-lock.json`);
    for (const [name, version] of Object.entries(read(manifest).dependencies)) {
      assert.equal(devDependencies[name], version, name);
      assert.equal(lock.packages[`node_modules/${name}`]?.version, version, name);
      assert.match(lock.packages[`node_modules/${name}`]?.integrity ?? '', /^sha512-/, name);
    }
  }
});

test('every client loads', async () => {
  for (const manifest of manifests) {
    const client = await loadClient(basename(dirname(manifest)) as ClientName);
    assert.ok(Object.keys(client).length > 0);
  }
});
