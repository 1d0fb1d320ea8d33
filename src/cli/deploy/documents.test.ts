import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { isManifests, parseDocuments, readDocuments } from './documents.ts';

const DIR = mkdtempSync(join(tmpdir(), 'petrel-documents-'));
after(() => rmSync(DIR, { recursive: true }));
const object = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;
for (const [name, text] of Object.entries({
  'one.yaml': object('one'),
  'app.py': '',
  'dir/b.yml': object('b'),
  'dir/a.yaml': `${object('a')}---\n${object('a2')}`,
  'dir/README.md': '',
  'code/index.js': '',
  'code/deploy.yaml': object('x'),
  'npm/package.json': '{}',
})) {
  mkdirSync(dirname(join(DIR, name)), { recursive: true });
  writeFileSync(join(DIR, name), text);
}

for (const [path, expected] of [
  ['one.yaml', true],
  ['dir', true],
  ['app.py', false],
  ['code', false],
  ['npm', false],
  ['npm/package.json', false],
  ['missing.yaml', true],
  ['missing', false],
] as const) {
  test(`${path} holds ${expected ? '' : 'no '}manifests`, () =>
    assert.equal(isManifests(join(DIR, path)), expected));
}

test('a folder is read in the order of names, with all documents', async () => {
  const found = await readDocuments(join(DIR, 'dir'));
  assert.deepEqual(
    found.map(({ object: { metadata }, origin }) => [metadata.name, origin.slice(DIR.length + 5)]),
    [
      ['a', 'a.yaml (document 1)'],
      ['a2', 'a.yaml (document 2)'],
      ['b', 'b.yml'],
    ],
  );
});

test('a List is what is in it; empty documents are nothing', async () => {
  const list = `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n---\n---\n`;
  const found = await parseDocuments(list, 'f');
  assert.deepEqual(
    found.map(({ object: { kind } }) => kind),
    ['Secret'],
  );
});

for (const [text, message, why] of [
  ['a: [', /^f:\d+ is no YAML$/, /Flow sequence/],
  ['a: 1\na: 2', /^f:\d+ is no YAML$/, /unique/],
  ['', /holds no object/, /^$/],
  ['kind: Pod', /is no Kubernetes object/, /apiVersion, metadata\.name/],
  ['- 1', /is no Kubernetes object/, /apiVersion, kind and metadata\.name/],
] as const) {
  test(`refused: ${JSON.stringify(text)}`, async () => {
    await assert.rejects(parseDocuments(text, 'f'), (error) => {
      assert.ok(error instanceof PetrelError);
      assert.match(error.message, message);
      assert.match(error.why, why);
      return error.code === 'InvalidArgument' && error.fix !== '';
    });
  });
}
