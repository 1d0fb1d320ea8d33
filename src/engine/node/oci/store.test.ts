import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pushImage } from '../../../../test/lib/images.ts';
import { silentLogger } from '../../../base/log.ts';
import { startRegistry } from '../../../functions/testing/registry.ts';
import { createImageStore } from './store.ts';

async function world(t: TestContext) {
  const registry = await startRegistry(t);
  const dir = mkdtempSync(join(tmpdir(), 'petrel-images-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  let time = Date.now();
  const open = () =>
    createImageStore({ dir, layouts: [], log: silentLogger, now: () => time, owner: () => undefined });
  const pull = (store: ReturnType<typeof open>, reference: string) =>
    store.pull(reference, async () => undefined);
  const blobs = () => registry.requests.filter((each) => /GET .*\/blobs\//.test(each)).length;
  return { registry, dir, open, pull, blobs, pass: (ms: number) => (time += ms) };
}

const FILES = [{ name: 'a', body: 'a' }];
const MORE = [{ name: 'b', body: 'b' }];

test('layers that are here do not come again: for another image, at once, or after a restart', async (t) => {
  const { registry, open, pull, blobs } = await world(t);
  const one = pushImage(registry, 'x:one', [FILES]);
  const two = pushImage(registry, 'x:two', [FILES, MORE]);
  const store = open();
  await Promise.all([pull(store, one.reference), pull(store, one.reference)]);
  assert.equal(blobs(), 2, 'a configuration and a layer');
  const { image, bytes } = await pull(store, two.reference);
  assert.equal(blobs(), 4, 'and one of each for the second image');
  assert.ok(bytes > 0);
  assert.deepEqual(readdirSync(image.tree).sort(), ['a', 'b']);
  const later = open();
  assert.equal(later.find(two.reference)?.tree, image.tree);
  assert.equal(later.find(image.id)?.tree, image.tree, 'by its digest, too');
  assert.equal(later.find(`${registry.host}/x:three`), undefined);
});

test('a layer is hashed to its end, also behind the end of its tar', async (t) => {
  const { registry, open, pull } = await world(t);
  const { reference } = pushImage(registry, 'x:padded', [FILES, MORE], {}, 1024 * 1024);
  const { image } = await pull(open(), reference);
  assert.deepEqual(readdirSync(image.tree).sort(), ['a', 'b']);
});

test('what nobody uses goes in time, with the layers that nothing else has', async (t) => {
  const { registry, dir, open, pull, pass } = await world(t);
  const one = pushImage(registry, 'x:one', [FILES]);
  const two = pushImage(registry, 'x:two', [FILES, MORE]);
  const store = open();
  const kept = (await pull(store, one.reference)).image;
  const gone = (await pull(store, two.reference)).image;
  assert.equal(await store.collect(new Set(), 1000), 0, 'both are new');
  pass(5000);
  assert.equal(await store.collect(new Set([kept.id]), 1000), 1);
  assert.ok(existsSync(join(kept.tree, 'a')));
  assert.equal(existsSync(gone.tree), false);
  assert.equal(store.find(two.reference), undefined);
  assert.equal(readdirSync(join(dir, 'layers')).length, 1);
  assert.ok((await pull(store, two.reference)).bytes > 0, 'it comes again when it is wanted');
});

test('a tag that stands for another image brings that one', async (t) => {
  const { registry, open, pull } = await world(t);
  const { reference } = pushImage(registry, 'x:latest', [FILES]);
  const store = open();
  const before = (await pull(store, reference)).image;
  pushImage(registry, 'x:latest', [MORE]);
  const after = (await pull(store, reference)).image;
  assert.deepEqual(readdirSync(after.tree), ['b']);
  assert.deepEqual(readdirSync(before.tree), ['a'], 'who runs the other one keeps it');
});

test('a manifest that is not what its digest says is refused, and so are layers without end', async (t) => {
  const { registry, open, pull } = await world(t);
  const { digest } = pushImage(registry, 'x:one', [FILES]);
  const other = pushImage(registry, 'x:two', [MORE]);
  registry.manifests.set(digest, registry.manifests.get(other.digest) ?? { type: '', body: Buffer.alloc(0) });
  await assert.rejects(pull(open(), `${registry.host}/x@${digest}`), { code: 'UnsafeArchive' });
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const layers = Array.from({ length: 1000 }, () => ({ mediaType: 'x', digest, size: 1 }));
  const config = { mediaType: 'x', digest, size: 1 };
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers }));
  registry.manifests.set('many', { type, body });
  registry.tags.set('many', 'many');
  await assert.rejects(pull(open(), `${registry.host}/x:many`), { code: 'UnsafeArchive' });
});
