import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { originOf } from './origin.ts';

const git = (url: string, name: string, ref = '', folder = '') => ({ kind: 'git', url, ref, folder, name });
const cases: [string, object][] = [
  ['./shop', { kind: 'local' }],
  ['hello.ts', { kind: 'local' }],
  ['-', { kind: 'local' }],
  ['odd#name.js', { kind: 'local' }],
  ['https://host/team/shop.git', git('https://host/team/shop.git', 'shop')],
  ['https://host/team/shop', git('https://host/team/shop', 'shop')],
  ['https://host/shop.git#v1.2', git('https://host/shop.git', 'shop', 'v1.2')],
  ['https://host/shop.git#main:apps/api/', git('https://host/shop.git', 'api', 'main', 'apps/api')],
  ['https://host/shop.git#:api', git('https://host/shop.git', 'api', '', 'api')],
  ['git@host:team/shop.git#main', git('git@host:team/shop.git', 'shop', 'main')],
  ['git+https://host/shop', git('https://host/shop', 'shop')],
  ['../repos/shop.git#dev', git('../repos/shop.git', 'shop', 'dev')],
  ['file:///repos/shop.git', git('file:///repos/shop.git', 'shop')],
  ['app.zip', { kind: 'archive', path: 'app.zip', name: 'app' }],
  ['/x/app.tar.gz', { kind: 'archive', path: '/x/app.tar.gz', name: 'app' }],
  ['https://host/a/app.tgz?x=1', { kind: 'archive', url: 'https://host/a/app.tgz?x=1', name: 'app' }],
  ['oci://host:5000/team/shop:1.2', { kind: 'image', image: 'host:5000/team/shop:1.2', name: 'shop' }],
  ['oci://', { kind: 'image', image: '', name: '' }],
  ['docker://shop', { kind: 'image', image: 'shop', name: 'shop' }],
  [
    `oci://host/shop@sha256:${'0'.repeat(64)}`,
    { kind: 'image', image: `host/shop@sha256:${'0'.repeat(64)}`, name: 'shop' },
  ],
];
for (const [place, origin] of cases) test(`place: ${place}`, () => assert.deepEqual(originOf(place), origin));

for (const place of ['https://h/r.git#--upload-pack=x', 'https://h/r.git#a..b', 'https://h/r.git#main:../x'])
  test(`refused: ${place}`, () =>
    assert.throws(
      () => originOf(place),
      (error) => error instanceof PetrelError && error.code === 'InvalidArgument',
    ));
