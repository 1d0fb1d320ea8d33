import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { resolveImage } from './images.ts';
import { findLocalImage, ImageError, localReference } from './local-images.ts';

const base = mkdtempSync(join(tmpdir(), 'petrel-images-'));
after(() => rmSync(base, { recursive: true, force: true }));
const image = (name: string, config: object | string, files: Record<string, string> = {}) => {
  const dir = join(base, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'image.json'), typeof config === 'string' ? config : JSON.stringify(config));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, 'rootfs', path)), { recursive: true });
    writeFileSync(join(dir, 'rootfs', path), text);
  }
  return dir;
};
const refused = (reference: string): ImageError => {
  try {
    findLocalImage(reference, [base]);
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  return assert.fail(`${reference} was accepted`);
};
const resolved = (container: object) =>
  resolveImage(
    { name: 'c', ...container },
    {
      runtime: () => undefined,
      node: '/bin/node',
      runtimesDir: '/r',
      cacheDir: '/c',
      socket: '/s',
      localImage: (name) => findLocalImage(name, [base]),
      pulledImage: () => undefined,
    },
  );

test('references: tags and digests are left out, other registries are not ours, names cannot climb', () => {
  const parts = (text: string) => Object.values(localReference(text) ?? {}).join(' ');
  assert.equal(parts('dev.local/a/b-c:v1@sha256:00'), 'dev.local a/b-c');
  assert.equal(parts('ko.local/hello'), 'ko.local hello');
  for (const other of ['hello', 'docker.io/hello', 'dev.local']) assert.equal(parts(other), '');
  for (const bad of ['dev.local/../x', 'dev.local/a//b', 'dev.local/', 'dev.local/a/.hidden', 'dev.local/A'])
    assert.equal(refused(bad).reason, 'InvalidImageName', bad);
});

test('Entrypoint, Cmd, Env and WorkingDir count where the container says nothing', () => {
  image('dev.local/app', {
    Entrypoint: ['$(NODE)', '/app/$(OTHER)'],
    Cmd: ['serve'],
    Env: ['A=1', 'B=x=y'],
    WorkingDir: '/app',
    User: '65532',
  });
  const run = (container: object) => {
    const found = resolved({ image: 'dev.local/app:v2', ...container });
    return found.kind === 'run' ? found.command : found.message;
  };
  const own = resolved({ image: 'dev.local/app' });
  assert.deepEqual(own, {
    kind: 'run',
    // Twice, because the variables of the container are put in later.
    command: ['/bin/node', '/app/$$(OTHER)', 'serve'],
    env: { A: '1', B: 'x=y' },
    socket: false,
    mounts: [],
    workingDir: '/app',
    user: '65532',
  });
  assert.deepEqual(run({ args: ['$(A)'] }), ['/bin/node', '/app/$$(OTHER)', '$(A)']);
  assert.deepEqual(run({ command: ['sh'], args: ['x'] }), ['sh', 'x']);
  assert.deepEqual(run({ command: ['sh'] }), ['sh']);
});

test('files appear at their places, beside what the machine has there', () => {
  image('dev.local/files', {}, { 'opt-of-mine/bin/x': '', 'etc/petrel-test/y': '', 'top.txt': '' });
  const root = join(base, 'dev.local/files/rootfs');
  const { mounts } = findLocalImage('dev.local/files', [join(base, 'none'), base])!;
  assert.deepEqual(mounts.map(({ source, target, readOnly }) => [source, target, readOnly]).sort(), [
    [`${root}/etc/petrel-test`, '/etc/petrel-test', true],
    [`${root}/opt-of-mine`, '/opt-of-mine', true],
    [`${root}/top.txt`, '/top.txt', true],
  ]);
});

test('what cannot be used is refused with what to do', () => {
  const missing = refused('dev.local/none');
  assert.equal(missing.reason, 'ErrImagePull');
  assert.match(missing.message, /looked for .*dev\.local\/none/);
  image('dev.local/typo', { Entrypoint: 'sh' });
  assert.match(refused('dev.local/typo').message, /Entrypoint/);
  image('dev.local/broken', '{');
  assert.match(refused('dev.local/broken').message, /cannot be read/);
  const leaves = image('dev.local/leaves', {}, { x: '' });
  symlinkSync('/etc/passwd', join(leaves, 'rootfs', 'y'));
  assert.match(refused('dev.local/leaves').message, /leaves the image/);
});
