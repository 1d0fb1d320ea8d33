import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { newEvent } from '../../cloudevents/event.ts';
import type { Target } from '../model.ts';
import type { Client, Result } from './client.ts';
import type { Address } from './connection.ts';
import type { Accepted } from './contract.ts';
import { createSender } from './sender.ts';

const OPTIONS = { base: 'http://127.0.0.1:8080/events', gateway: { host: '127.0.0.1', port: 8080 } };
const event = newEvent(
  { id: '1', type: 't', source: '/s', data: 'x', datacontenttype: 'text/plain' },
  0,
  () => '1',
);

function sending(answer: Result, accept: (key: string) => Accepted = () => ({ accepted: true })) {
  const sent: { addresses: readonly Address[]; head: string; body: string; timeoutMs: number }[] = [];
  const client: Client = {
    async send(addresses, { head, body }, timeoutMs) {
      sent.push({ addresses, head, body: String(body ?? ''), timeoutMs });
      return answer;
    },
    connections: 0,
    close() {},
  };
  const keys: string[] = [];
  const sender = createSender({
    client,
    acceptor: {
      async accept(key) {
        keys.push(key);
        return accept(key);
      },
    },
    answers: (key) => !key.endsWith('/unknown'),
    options: OPTIONS,
    clock: simulatedClock(),
  });
  const send = (target: Target, events = [event], more: object = {}) =>
    sender.send(target, events, { timeoutMs: 1000, wantsReply: true, ...more });
  return { sent, keys, send };
}

const ANSWER: Result = { answer: { status: 202, headers: [], body: Buffer.alloc(0), truncated: false } };
const REFUSED: Result = { failure: 'connect', message: 'ECONNREFUSED' };

/** Where a target is reached. */
const WAYS: [name: string, target: Target, addresses: Address[], line: string, host: string][] = [
  [
    'any URL',
    { url: 'http://sink.example:81/a?b=c' },
    [{ host: 'sink.example', port: 81, tls: undefined }],
    '/a?b=c',
    'sink.example:81',
  ],
  [
    'the standard port',
    { url: 'http://sink.example' },
    [{ host: 'sink.example', port: 80, tls: undefined }],
    '/',
    'sink.example',
  ],
  [
    'https',
    { url: 'https://sink.example/x', caCerts: 'PEM' },
    [{ host: 'sink.example', port: 443, tls: { servername: 'sink.example', ca: 'PEM' } }],
    '/x',
    'sink.example',
  ],
  [
    'an IPv6 address',
    { url: 'http://[::1]:82/' },
    [{ host: '::1', port: 82, tls: undefined }],
    '/',
    '[::1]:82',
  ],
  ['a route', { url: 'http://fn.example.com/', route: 'ns/fn' }, [OPTIONS.gateway], '/', 'fn.example.com'],
  [
    'a name of the cluster',
    { url: 'http://fn.ns.svc.cluster.local/p' },
    [OPTIONS.gateway],
    '/p',
    'fn.ns.svc.cluster.local',
  ],
  [
    'the Pods behind a Service',
    { url: 'http://svc.ns.svc.cluster.local/', endpoints: [{ host: '10.0.0.1', port: 8080 }] },
    [{ host: '10.0.0.1', port: 8080, tls: undefined }],
    '/',
    'svc.ns.svc.cluster.local',
  ],
  [
    'an address of ours that nobody here answers',
    { url: `${OPTIONS.base}/broker/ns/unknown` },
    [OPTIONS.gateway],
    '/events/broker/ns/unknown',
    '127.0.0.1:8080',
  ],
];
for (const [name, target, addresses, path, host] of WAYS)
  test(`the way to ${name}`, async () => {
    const { sent, send } = sending(ANSWER);
    assert.equal((await send(target)).status, 202);
    assert.deepEqual(sent[0]?.addresses, addresses);
    const [line, ...fields] = sent[0]!.head.split('\r\n');
    assert.equal(line, `POST ${path} HTTP/1.1`);
    assert.ok(fields.includes(`host: ${host}`), sent[0]?.head);
    assert.ok(fields.includes('prefer: reply'));
    assert.equal(sent[0]?.timeoutMs, 1000);
  });

test('addresses of ours are not asked over HTTP', async () => {
  const { sent, keys, send } = sending(ANSWER);
  for (const url of [
    `${OPTIONS.base}/broker/ns/b`,
    'http://broker-ingress.knative-eventing.svc.cluster.local/ns/b',
    'http://c-kn-channel.ns.svc.cluster.local',
  ])
    assert.equal((await send({ url })).status, 202);
  assert.deepEqual(keys, ['broker/ns/b', 'broker/ns/b', 'channel/ns/c']);
  assert.equal(sent.length, 0);
});

test('what an address of ours refuses looks as it does over HTTP', async () => {
  const { send } = sending(ANSWER, () => ({
    accepted: false,
    status: 507,
    reason: 'DiskFull',
    message: 'no room',
    retryAfterMs: 1500,
  }));
  const outcome = await send({ url: `${OPTIONS.base}/broker/ns/b` }, [event, event]);
  assert.equal(outcome.status, 507);
  assert.deepEqual(outcome.headers, ['retry-after', '2']);
  assert.equal(outcome.body.toString(), 'no room');
});

test('nobody there: an empty list and a target that refuses count, the gateway does not', async () => {
  const { sent, send } = sending(REFUSED);
  const nobody = await send({ url: 'http://svc/', endpoints: [] });
  assert.equal(nobody.status, undefined);
  assert.equal(nobody.unreachable, undefined);
  assert.match(nobody.error!, /no ready endpoints/);
  assert.equal(sent.length, 0);
  assert.equal((await send({ url: 'http://elsewhere/' })).unreachable, undefined);
  assert.equal((await send({ url: 'http://fn/', route: 'ns/fn' })).unreachable, true);
  for (const url of ['bad://uri', 'no url', 'file:///etc/passwd'])
    assert.ok((await send({ url })).error, url);
});

test('forms: binary, structured, batched', async () => {
  const { sent, send } = sending(ANSWER);
  const target = { url: 'http://sink/' };
  await send(target);
  await send(target, [event], { format: 'json', wantsReply: false });
  await send(target, [event, event]);
  assert.match(sent[0]!.head, /\r\nce-id: 1\r\n/);
  assert.equal(sent[0]?.body, 'x');
  assert.match(sent[1]!.head, /content-type: application\/cloudevents\+json/);
  assert.doesNotMatch(sent[1]!.head, /prefer/);
  assert.equal(JSON.parse(String(sent[1]?.body)).data, 'x');
  assert.match(sent[2]!.head, /content-type: application\/cloudevents-batch\+json/);
  assert.equal(JSON.parse(String(sent[2]?.body)).length, 2);
});

test('nothing of an event or its target can add a line to the head', async () => {
  const { sent, send } = sending(ANSWER);
  const nasty = {
    ...event,
    id: 'a\r\nx-evil: 1',
    extensions: { traceparent: '00-x\r\nx-evil: 1', ext: 'b\r\nx-evil: 1' },
  };
  await send({ url: 'http://sink/a\r\nx-evil: 1' }, [nasty], { headers: ['x-more', 'c\r\nx-evil: 1'] });
  const { head } = sent[0]!;
  for (const line of head.split('\r\n')) assert.ok(!line.startsWith('x-evil'), head);
  const badType = await send({ url: 'http://sink/' }, [
    { ...event, datacontenttype: 'text/plain\r\nx-evil: 1' },
  ]);
  assert.equal(badType.status, 400);
  assert.equal(sent.length, 1);
});

test('a name and password in the URL are sent as such', async () => {
  const { sent, send } = sending(ANSWER);
  await send({ url: 'http://me:p%40ss@sink/' });
  assert.ok(sent[0]?.head.includes(`authorization: Basic ${Buffer.from('me:p@ss').toString('base64')}\r\n`));
  assert.ok(sent[0]?.head.includes('host: sink\r\n'));
});
