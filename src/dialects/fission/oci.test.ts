/** Code in images: what the layers come to, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readTar, TAR_END, tarHeader, tarPadding } from '../../base/archive/tar.ts';
import { type ImageSource, sha256Of } from '../../base/oci/image.ts';
import { MANIFEST_TYPE } from '../../base/oci/registry.ts';
import { imageTar, ociTar } from './oci.ts';

type Files = Record<string, string | null>;

/** A layer; null is a directory, `-> x` a link. */
function layerOf(files: Files): Buffer {
  const parts = Object.entries(files).flatMap(([name, text]) => {
    if (text === null) return [tarHeader({ type: 'directory', name, link: '', size: 0, mode: 0o755 })];
    if (text.startsWith('-> '))
      return [tarHeader({ type: 'symlink', name, link: text.slice(3), size: 0, mode: 0o777 })];
    const body = Buffer.from(text);
    return [
      tarHeader({ type: 'file', name, link: '', size: body.length, mode: 0o644 }),
      body,
      tarPadding(body.length),
    ];
  });
  return Buffer.concat([...parts, TAR_END]);
}

function imageOf(
  layers: readonly Files[],
  change: (layer: Buffer) => Buffer = (layer) => layer,
): ImageSource {
  const blobs = new Map<string, Buffer>();
  const add = (bytes: Buffer, mediaType: string) => {
    const digest = sha256Of(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const forms = [
    (tar: Buffer) => add(gzipSync(tar), 'application/vnd.oci.image.layer.v1.tar+gzip'),
    (tar: Buffer) => add(zstdCompressSync(tar), 'application/vnd.oci.image.layer.v1.tar+zstd'),
    (tar: Buffer) => add(tar, 'application/vnd.oci.image.layer.v1.tar'),
  ];
  const config = add(Buffer.from('{}'), 'application/vnd.oci.image.config.v1+json');
  const described = layers.map((files, i) => forms[i % forms.length]!(layerOf(files)));
  const text = JSON.stringify({ schemaVersion: 2, config, layers: described });
  for (const { digest } of described) blobs.set(digest, change(blobs.get(digest)!));
  return {
    manifest: async () => ({ mediaType: MANIFEST_TYPE, digest: sha256Of(text), text }),
    async readBlob(digest) {
      const found = blobs.get(digest);
      async function* stream() {
        if (found) yield found;
      }
      return found && { bytes: found.length, stream: stream() };
    },
  };
}

async function filesOf(source: ImageSource, subPath = ''): Promise<Files> {
  const files: Files = {};
  for await (const entry of readTar(imageTar(source, 'latest', 'r.test/code', subPath))) {
    const name = entry.name.replace(/\/$/, '');
    assert.ok(!(name in files), `${name} comes once`);
    if (entry.type === 'directory') files[name] = null;
    else if (entry.type === 'symlink') files[name] = `-> ${entry.link}`;
    else {
      const parts: Buffer[] = [];
      for await (const part of entry.body()) parts.push(part);
      files[name] = Buffer.concat(parts).toString();
    }
  }
  return files;
}

test('upper layers replace, remove and cover what is below, whatever they are compressed with', async () => {
  const image = imageOf([
    {
      'app/': null,
      './app/index.js': 'old',
      'app/gone.js': 'x',
      'app/lib/': null,
      'app/lib/a.js': 'a',
      'app/lib/b.js': 'b',
      'app/tree/': null,
      'app/tree/deep.js': 'd',
      'etc/passwd': 'root',
    },
    { 'app/.wh.gone.js': '', 'app/lib/.wh..wh..opq': '', 'app/lib/c.js': 'c', 'app/.wh.tree': '' },
    { 'app/index.js': 'new', 'app/link.js': '-> index.js', 'app/tree': 'a file now' },
  ]);
  assert.deepEqual(await filesOf(image, '/app/'), {
    'index.js': 'new',
    'link.js': '-> index.js',
    tree: 'a file now',
    'lib/c.js': 'c',
    lib: null,
  });
  assert.equal((await filesOf(image))['etc/passwd'], 'root');
});

test('what a layer removes itself it may have again', async () => {
  const image = imageOf([{ 'a.js': 'old' }, { '.wh.a.js': '', 'a.js': 'new' }]);
  assert.deepEqual(await filesOf(image), { 'a.js': 'new' });
});

test('a damaged layer, an empty image, names that climb', async () => {
  const flipped = (layer: Buffer) => Buffer.concat([layer, Buffer.from([1])]);
  await assert.rejects(
    filesOf(imageOf([{ a: '1' }, { b: '2' }, { c: '3' }], flipped)),
    /UnsafeArchive|cannot be used/,
  );
  await assert.rejects(filesOf(imageOf([{ 'app/a.js': '1' }]), 'other'), /no files in "other"/);
  await assert.rejects(filesOf(imageOf([])), /no files/);
  await assert.rejects(filesOf(imageOf([{ '../a': '1' }])), /leads out/);
});

test('an image has a registry, and the digest that it is to have', async () => {
  const none = async () => undefined;
  await assert.rejects(ociTar({ image: 'shop:1' }, none), { code: 'InvalidArgument' });
  const [a, b] = ['a', 'b'].map((one) => `sha256:${one.repeat(64)}`);
  await assert.rejects(ociTar({ image: `r.test/x@${a}`, digest: b! }, none), /is to have the digest/);
});
