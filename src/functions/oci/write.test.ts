import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../testing/archives.ts';
import { startRegistry } from '../testing/registry.ts';
import { writeImage } from './write.ts';

async function world(t: TestContext) {
  const dir = await temporaryDirectory(t);
  const directory = join(dir, 'package');
  await mkdir(join(directory, 'lib'), { recursive: true });
  await writeFile(join(directory, 'index.js'), 'exports.handle = () => 1');
  await writeFile(join(directory, 'lib/a.js'), '1');
  const write = (reference: string, options: { base?: string; env?: NodeJS.ProcessEnv } = {}) =>
    writeImage({
      directory,
      reference,
      labels: { 'dev.petrel.runtime': 'node' },
      imagesDir: join(dir, 'images'),
      env: { HOME: dir },
      ...options,
    });
  return { dir, directory, write };
}

test('without a registry an image layout stands in the images directory, and is the same each time', async (t) => {
  const { dir, write } = await world(t);
  const reference = await write('team/shop:1.2');
  assert.equal(await write('team/shop:1.2'), reference);
  const layout = join(dir, 'images/team/shop');
  const read = async (digest: string) =>
    JSON.parse(await readFile(join(layout, 'blobs/sha256', digest.slice(7)), 'utf8'));
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  assert.equal(`team/shop:1.2@${index.manifests[0].digest}`, reference);
  const manifest = await read(index.manifests[0].digest);
  const config = await read(manifest.config.digest);
  assert.equal(config.config.Labels['dev.petrel.runtime'], 'node');
  assert.equal(config.config.Entrypoint, undefined, 'a handler is no program');
  assert.equal(config.rootfs.diff_ids.length, 1);
  const layer = join(layout, 'blobs/sha256', manifest.layers[0].digest.slice(7));
  const listed = execFileSync('tar', ['-tzf', layer], { encoding: 'utf8' }).trim().split('\n');
  assert.deepEqual(listed, ['workspace/', 'workspace/index.js', 'workspace/lib/', 'workspace/lib/a.js']);
});

test('to a registry with a login, on top of a base from another', async (t) => {
  const { dir, directory, write } = await world(t);
  const source = await startRegistry(t);
  const target = await startRegistry(t, { login: 'me:secret' });
  const layer = Buffer.from('a layer of the base');
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/usr/bin', 'PORT=1'], Entrypoint: ['node'] },
      rootfs: { type: 'layers', diff_ids: ['sha256:base'] },
    }),
  );
  for (const blob of [layer, config]) source.blobs.set(source.sha256(blob), blob);
  const base = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: 'c', digest: source.sha256(config), size: config.length },
      layers: [{ mediaType: 'l', digest: source.sha256(layer), size: layer.length }],
    }),
  );
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const index = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      manifests: ['amd64', 'arm64'].map((architecture) => ({
        mediaType: type,
        digest: source.sha256(base),
        size: base.length,
        platform: { os: 'linux', architecture },
      })),
    }),
  );
  source.manifests.set(source.sha256(base), { type, body: base });
  source.manifests.set(source.sha256(index), {
    type: 'application/vnd.oci.image.index.v1+json',
    body: index,
  });
  source.tags.set('26', source.sha256(index));

  await writeFile(join(directory, 'Procfile'), 'web: ./server --port $PORT\n');
  const reference = `${target.host}/team/shop:1`;
  await assert.rejects(write(reference, { base: `${source.host}/node:26` }), { code: 'Unauthorized' });
  await mkdir(join(dir, '.docker'));
  const auth = Buffer.from('me:secret').toString('base64');
  await writeFile(join(dir, '.docker/config.json'), JSON.stringify({ auths: { [target.host]: { auth } } }));
  const written = await write(reference, { base: `${source.host}/node:26` });
  assert.equal(written, `${reference}@${target.tags.get('1')}`);
  const manifest = JSON.parse(target.manifests.get(target.tags.get('1') ?? '')?.body.toString() ?? '');
  assert.equal(manifest.layers.length, 2);
  assert.ok(target.blobs.has(source.sha256(layer)), 'the layers of the base come along');
  const image = JSON.parse(target.blobs.get(manifest.config.digest)?.toString() ?? '');
  assert.deepEqual(image.config.Entrypoint, ['/bin/sh', '-c', 'exec ./server --port $PORT']);
  assert.deepEqual(image.config.Env, ['PATH=/usr/bin', 'PORT=8080']);
  assert.deepEqual(image.rootfs.diff_ids[0], 'sha256:base');
  await assert.rejects(write(reference, { base: `${source.host}/node:27` }), { code: 'NotFound' });
  await assert.rejects(write('Not A Reference'), { code: 'InvalidArgument' });
});
