import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { eventMessage } from './event-stream.ts';
import { LambdaFailure, meaningOf, readFailure } from './failures.ts';

const how = { id: 'i', seconds: 3 };

test('what the gateway says becomes what AWS says', () => {
  const table: [string, number | undefined, string][] = [
    ['rate_limited', 429, 'TooManyRequestsException'],
    ['queue_full', 429, 'TooManyRequestsException'],
    ['forbidden', 403, 'AccessDeniedException'],
    ['no_route', 404, 'ResourceNotFoundException'],
    ['body_too_large', 413, 'RequestTooLargeException'],
    ['not_ready', 500, 'ServiceException'],
    ['constructor', 500, 'ServiceException'],
    ['instance_crashed', undefined, 'Runtime.ExitError'],
    ['timeout', undefined, 'Sandbox.Timedout'],
  ];
  for (const [reason, status, type] of table) {
    const meaning = meaningOf({ reason, message: 'm' }, how);
    if (meaning instanceof LambdaFailure)
      assert.deepEqual([meaning.status, meaning.type], [status, type], reason);
    else assert.deepEqual([undefined, meaning.errorType], [status, type], reason);
  }
  const timedOut = meaningOf({ reason: 'timeout', message: 'm' }, how);
  assert.ok(
    'errorMessage' in timedOut && timedOut.errorMessage.endsWith('Task timed out after 3.00 seconds'),
  );
});

test('only what has the form of the gateway’s own failures is one', () => {
  const own = { component: 'gateway', reason: 'timeout', requestId: 'i', message: 'm' };
  assert.deepEqual(readFailure(Buffer.from(JSON.stringify(own))), { reason: 'timeout', message: 'm' });
  for (const text of ['', '{', 'null', '[]', '{"reason":"timeout"}', JSON.stringify({ ...own, reason: 1 })])
    assert.equal(readFailure(Buffer.from(text)), undefined, text);
});

test('a message of an event stream says its lengths, its headers and two checksums', () => {
  const message = eventMessage('PayloadChunk', 'application/octet-stream', Buffer.from('hello'));
  assert.equal(message.readUInt32BE(0), message.length);
  assert.equal(message.readUInt32BE(8), crc32(message.subarray(0, 8)));
  assert.equal(message.readUInt32BE(message.length - 4), crc32(message.subarray(0, -4)));
  const headers: Record<string, string> = {};
  let at = 12;
  while (at < 12 + message.readUInt32BE(4)) {
    const value = at + 1 + message[at]!;
    const length = message.readUInt16BE(value + 1);
    assert.equal(message[value], 7);
    headers[message.toString('utf8', at + 1, value)] = message.toString(
      'utf8',
      value + 3,
      value + 3 + length,
    );
    at = value + 3 + length;
  }
  assert.deepEqual(headers, {
    ':message-type': 'event',
    ':event-type': 'PayloadChunk',
    ':content-type': 'application/octet-stream',
  });
  assert.equal(message.toString('utf8', at, message.length - 4), 'hello');
});
