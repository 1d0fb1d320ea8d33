import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isImageReference } from './image.ts';

const digest = `sha256:${'0a'.repeat(32)}`;
const good = [
  'nginx',
  'nginx:1.25',
  'nginx:',
  'library/nginx',
  'dev.local/hello',
  'localhost/img',
  'localhost:5000/img:Tag_1',
  'host:5000/a/b-c_d.e',
  'GCR.io/x/y',
  '[::1]:5000/x',
  `gcr.io/a/b@${digest}`,
  `gcr.io/a/b:tag@${digest}`,
];
const bad = [
  '',
  'a b',
  'UPPER/x',
  'Nginx',
  'nginx:a b',
  `nginx:${'x'.repeat(129)}`,
  'x'.repeat(256),
  'img@sha256:abc',
  `a@b@${digest}`,
  'ho st.io/x',
  'gcr.io/',
];
test('image references', () => {
  for (const text of good) assert.equal(isImageReference(text), true, text);
  for (const text of bad) assert.equal(isImageReference(text), false, text);
});
