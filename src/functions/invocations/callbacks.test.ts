import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CALLBACK_FIELD, openCallback, sealCallback } from '../../base/callback.ts';
import { systemClock } from '../../base/clock.ts';
import { createOutsidePolicy } from '../../base/outside.ts';
import { createDelivery } from './deliver.ts';
import { follow, type Outcome } from './destinations.ts';
import type { InvocationRow, NewInvocation, StoredRequest } from './types.ts';

const SECRET = 'of this home';
const callback = { url: 'https://example.com/hook?x=1', name: 'echo.shop' };

const row = (fields: Partial<InvocationRow> = {}): InvocationRow => ({
  seq: 1,
  id: 'i',
  target: 'shop/echo',
  url: null,
  state: 'queued',
  due: 0,
  acceptedAt: 0,
  finishedAt: null,
  depth: 0,
  attempts: [],
  failures: 0,
  reason: null,
  ...fields,
});
const outcome = (field: string, fields: Partial<Outcome> = {}): Outcome => ({
  row: row(),
  state: 'succeeded',
  reason: null,
  request: {
    method: 'POST',
    path: '/',
    headers: [
      ['X-Call-Id', 'c1'],
      [CALLBACK_FIELD, field],
    ],
    body: Buffer.from('asked'),
  },
  tried: {
    attempt: { at: 0, ms: 1234, status: 201 },
    result: {
      status: 201,
      headers: [
        ['content-type', 'text/plain'],
        ['transfer-encoding', 'chunked'],
        ['x-function-status', '999'],
        ['x-petrel-invocation-id', 'forged'],
      ],
      body: Buffer.from('answer'),
      truncated: false,
    },
  },
  now: 5,
  ...fields,
});
const followed = (spec: Parameters<typeof follow>[0], from: Outcome): NewInvocation[] =>
  follow(spec, from, {
    id: () => 'new',
    onLoop: () => {},
    callback: (target, field) => openCallback(SECRET, target, field),
  });

test('a callback gets the answer as it is, with what became of the request', () => {
  const [told, ...more] = followed(undefined, outcome(sealCallback(SECRET, 'shop/echo', callback)));
  assert.equal(more.length, 0);
  assert.deepEqual([told?.url, told?.request.method, told?.depth], [callback.url, 'POST', 1]);
  assert.equal(Buffer.from(told!.request.body).toString(), 'answer');
  assert.deepEqual(
    told?.request.headers.filter(([name]) => name !== CALLBACK_FIELD),
    [
      ['content-type', 'text/plain'],
      ['X-Duration-Seconds', '1.234000'],
      ['X-Function-Status', '201'],
      ['X-Function-Name', 'echo.shop'],
      ['X-Call-Id', 'c1'],
      ['X-Petrel-Source-Invocation', 'i'],
    ],
  );
  const dead = outcome(sealCallback(SECRET, 'shop/echo', callback), {
    state: 'dead',
    tried: { attempt: { at: 0, ms: 1, error: 'refused' } },
  });
  const [silent] = followed({ onFailure: { function: 'alarm' } }, dead).slice(1);
  assert.deepEqual(
    [
      silent?.request.headers.find(([name]) => name === 'X-Function-Status')?.[1],
      silent?.request.body.length,
    ],
    ['503', 0],
  );
});

test('only what the platform has written for this function is a callback, and a callback has none', () => {
  for (const field of [
    callback.url,
    '',
    sealCallback('another secret', 'shop/echo', callback),
    sealCallback(SECRET, 'shop/other', callback),
    `${Buffer.from(JSON.stringify(callback)).toString('base64url')}.`,
  ])
    assert.deepEqual(followed(undefined, outcome(field)), [], field);
  const field = sealCallback(SECRET, 'shop/echo', callback);
  assert.deepEqual(followed(undefined, outcome(field, { row: row({ url: 'http://told.test/' }) })), []);
  assert.deepEqual(followed(undefined, outcome(field, { row: row({ depth: 8 }) })), [], 'a loop ends');
});

test('an address that a stranger named is reached only where everybody may be, an owner’s always', async (t) => {
  const got: string[] = [];
  const server = createServer((request, response) => {
    got.push(JSON.stringify(request.headers));
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  const attempt = async (allowed: string[], headers: StoredRequest['headers']) => {
    const delivery = createDelivery({
      clock: systemClock,
      address: () => assert.fail('it is no function'),
      outside: createOutsidePolicy(() => 1, allowed),
    });
    const request = { method: 'POST', path: '/', headers, body: Buffer.from('x') };
    const tried = await delivery.attempt(row({ url }), request, new AbortController().signal);
    delivery.close();
    return tried === 'postponed' ? tried : (tried.attempt.error ?? tried.attempt.status);
  };
  assert.match(String(await attempt([], [[CALLBACK_FIELD, url]])), /not an address that everybody can reach/);
  assert.equal(got.length, 0);
  assert.equal(await attempt([`127.0.0.1:${port}`], [[CALLBACK_FIELD, url]]), 200);
  assert.equal(await attempt([], []), 200);
  assert.equal(got.length, 2);
  assert.ok(got.every((headers) => !headers.includes(CALLBACK_FIELD)));
});
