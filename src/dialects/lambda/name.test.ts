import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operationOf, parseName } from './name.ts';

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

test('operation and name stand in the path, encoded', () => {
  const functions = '/2015-03-31/functions';
  assert.deepEqual(operationOf('POST', `${functions}/arn%3Aaws%3Ax/invocations`), {
    operation: 'invoke',
    text: 'arn:aws:x',
  });
  assert.equal(
    operationOf('POST', '/2021-11-15/functions/a/response-streaming-invocations')?.operation,
    'stream',
  );
  assert.equal(operationOf('GET', `${functions}/a`)?.operation, 'get');
  assert.equal(operationOf('GET', `${functions}/a/configuration`)?.operation, 'configuration');
  for (const [method, path] of [
    ['POST', `${functions}/a/b/invocations`],
    ['POST', `${functions}/%zz/invocations`],
    ['GET', `${functions}/a/invocations`],
    ['POST', functions],
  ] as const)
    assert.equal(operationOf(method, path), undefined, path);
});
