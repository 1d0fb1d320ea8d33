import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameInPath, parseName } from './name.ts';

test('names, partial and whole ARNs, qualifiers', () => {
  const table: [string, string | null, object | undefined][] = [
    ['hello', null, { namespace: 'default', name: 'hello' }],
    ['Hello', '$LATEST', { namespace: 'default', name: 'hello' }],
    ['hello:prod', null, { namespace: 'default', name: 'hello', alias: 'prod' }],
    ['hello', 'prod', { namespace: 'default', name: 'hello', alias: 'prod' }],
    ['hello:prod', 'prod', { namespace: 'default', name: 'hello', alias: 'prod' }],
    ['hello:prod', 'test', undefined],
    [
      'arn:aws:lambda:eu-west-1:123456789012:function:hello:prod',
      null,
      { namespace: 'default', name: 'hello', alias: 'prod' },
    ],
    ['123456789012:function:hello', null, { namespace: 'default', name: 'hello' }],
    ['../etc', null, undefined],
    ['hello/world', null, undefined],
    ['', null, undefined],
  ];
  for (const [text, qualifier, wanted] of table)
    assert.deepEqual(parseName(text, qualifier), wanted, `${text} ${qualifier}`);
  assert.equal(parseName('hello', null, 'a/b'), undefined);
});

test('the name stands in the path, encoded', () => {
  assert.equal(nameInPath('/2015-03-31/functions/arn%3Aaws%3Ax/invocations'), 'arn:aws:x');
  assert.equal(nameInPath('/2015-03-31/functions/a/b/invocations'), undefined);
  assert.equal(nameInPath('/2015-03-31/functions/%zz/invocations'), undefined);
  assert.equal(nameInPath('/2015-03-31/functions'), undefined);
});
