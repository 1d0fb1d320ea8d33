/** The examples of Amazon's own documentation: "Examples: Signature Calculations in AWS Signature Version 4". */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { EMPTY_HASH, encode, sign } from './signature.ts';

const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const SCOPE = { region: 'us-east-1', now: Date.UTC(2013, 4, 24) };
const HOST = 'https://examplebucket.s3.amazonaws.com';

const examples: [string, string, Record<string, string>, string, string][] = [
  [
    'GET',
    '/test.txt',
    { range: 'bytes=0-9' },
    EMPTY_HASH,
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ],
  [
    'PUT',
    '/test%24file.text',
    { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    createHash('sha256').update('Welcome to Amazon S3.').digest('hex'),
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  ],
  ['GET', '/?lifecycle', {}, EMPTY_HASH, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
  [
    'GET',
    '/?max-keys=2&prefix=J',
    {},
    EMPTY_HASH,
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  ],
];
for (const [method, path, headers, payloadHash, expected] of examples) {
  test(`${method} ${path}`, () => {
    const { authorization } = sign(
      { method, url: new URL(HOST + path), headers, payloadHash },
      CREDENTIALS,
      SCOPE,
    );
    assert.equal(/Signature=(\w+)$/.exec(authorization ?? '')?.[1], expected);
  });
}

test('everything but unreserved signs is encoded', () => {
  assert.equal(encode("a b/c!'()*~"), 'a%20b%2Fc%21%27%28%29%2A~');
});
