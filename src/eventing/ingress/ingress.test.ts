/** Events through a real gateway to a real socket; who takes them is simulated. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { FRAME, FRAME_HEADER, frame } from '../../base/mux/frames.ts';
import { type CloudEvent, dataText } from '../../cloudevents/event.ts';
import { EVENTS_HOSTS, EVENTS_PREFIX } from '../addresses.ts';
import type { Accepted } from '../delivery/contract.ts';
import type { SourceAnswer, SourceRequest } from '../sources/contract.ts';
import { Ingress } from './ingress.ts';
import { MuxServer } from './mux-server.ts';

interface Asked {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Buffer | string[];
}

interface Answered {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  json(): { reason: string; code: string; message: string; attribute?: string };
}

async function start(options: { maxBytes?: number; limit?: number } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-ingress-'));
  const path = join(dir, 'events.sock');
  const taken: { key: string; event: CloudEvent }[] = [];
  const refused: string[] = [];
  const here = {
    taken,
    refused,
    complete: true,
    verdict: async (_key: string, _event: CloudEvent): Promise<Accepted> => ({ accepted: true, offset: 1 }),
    source: undefined as ((request: SourceRequest) => Promise<SourceAnswer>) | undefined,
  };
  const ingress = new Ingress({
    acceptor: {
      accept(key, event) {
        taken.push({ key, event: { ...event, ...(event.data && { data: Buffer.from(event.data) }) } });
        return here.verdict(key, event);
      },
    },
    addresses: {
      limit: (key) => (key.endsWith('/orders') ? (options.limit ?? 1024 * 1024) : undefined),
      complete: () => here.complete,
      requests: ({ name }) => (name === 'hook' ? here.source : undefined),
      refused: (key, reason) => void refused.push(`${key ?? ''} ${reason}`),
    },
    log: silentLogger,
    ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
  });
  const server = new MuxServer(ingress, silentLogger);
  await server.listen(path);
  // Tests may use a neighbour's inside.
  const { GatewayControl } = await import('../../gateway/gateway.ts');
  const events = { demand() {}, stats() {}, endpointDown() {} };
  const gateway = new GatewayControl({ host: '127.0.0.1', port: 0, events, log: silentLogger });
  await gateway.start(0);
  gateway.setServer('events', {
    address: { kind: 'mux', path },
    prefixes: [EVENTS_PREFIX],
    hosts: EVENTS_HOSTS,
  });
  after(async () => {
    await gateway.close(0);
    await server.close(0);
    rmSync(dir, { recursive: true, force: true });
  });
  const ask = ({
    method = 'POST',
    path: target = '/events/broker/default/orders',
    headers = {},
    body = '',
  }: Asked) =>
    new Promise<Answered>((resolve, reject) => {
      const request = httpRequest(
        { port: gateway.address.port, host: '127.0.0.1', method, path: target, headers, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: text,
              json: () => JSON.parse(text),
            });
          });
        },
      );
      request.on('error', reject);
      if (Array.isArray(body)) {
        for (const piece of body) request.write(piece);
        request.end();
      } else request.end(body);
    });
  return Object.assign(here, { ask, ingress, server, gateway, path });
}

const EVENT = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/shop', 'ce-type': 'order' };

test('an event is taken in every form', async () => {
  const { ask, taken, ingress } = await start();
  const headers = { ...EVENT, 'content-type': 'application/json', 'ce-subject': 'caf%C3%A9' };
  assert.equal((await ask({ headers, body: '{"n":1}' })).status, 202);
  assert.equal(taken[0]?.key, 'broker/default/orders');
  assert.equal(taken[0].event.subject, 'café');
  assert.equal(taken[0].event.datacontenttype, 'application/json');
  assert.equal(dataText(taken[0].event), '{"n":1}');
  assert.deepEqual(taken[0].event.extensions, {});

  const plain = { specversion: '1.0', id: '2', source: '/shop', type: 'order', data: 'x' };
  const structured = { 'content-type': 'application/cloudevents+json' };
  assert.equal((await ask({ headers: structured, body: JSON.stringify(plain) })).status, 202);
  const batch = { 'content-type': 'application/cloudevents-batch+json' };
  const two = JSON.stringify([plain, { ...plain, id: '3' }]);
  assert.equal(
    (await ask({ headers: batch, body: two, path: '/events/channel/default/orders' })).status,
    202,
  );
  assert.deepEqual(
    taken.slice(1).map(({ key, event }) => [key, event.id]),
    [
      ['broker/default/orders', '2'],
      ['channel/default/orders', '2'],
      ['channel/default/orders', '3'],
    ],
  );
  // no data at all, and a body of untold length in pieces
  assert.equal((await ask({ headers: EVENT })).status, 202);
  assert.equal(taken[4]?.event.data, undefined);
  const pieces = Array.from({ length: 40 }, (_, i) => `${i}`.repeat(4000));
  assert.equal(
    (await ask({ headers: { ...EVENT, 'content-type': 'text/plain' }, body: pieces })).status,
    202,
  );
  assert.equal(dataText(taken[5]!.event), pieces.join(''));
  assert.equal(ingress.bytes, 0, 'nothing is held behind the answers');
});

test('cluster-local names reach the same addresses', async () => {
  const { ask, taken } = await start();
  const broker = { ...EVENT, host: 'broker-ingress.knative-eventing.svc.cluster.local' };
  assert.equal((await ask({ path: '/default/orders', headers: broker })).status, 202);
  assert.equal((await ask({ path: '/', headers: broker })).status, 404);
  assert.equal((await ask({ path: '/default', headers: broker })).status, 400);
  const channel = { ...EVENT, host: 'orders-kn-channel.default.svc.cluster.local' };
  assert.equal((await ask({ path: '/', headers: channel })).status, 202);
  assert.deepEqual(
    taken.map(({ key }) => key),
    ['broker/default/orders', 'channel/default/orders'],
  );
});

test('what is no event for an address is refused, and why', async () => {
  const { ask, taken, refused } = await start({ limit: 1000 });
  const rows: [name: string, asked: Asked, status: number, reason: string][] = [
    ['another method', { method: 'GET' }, 405, 'method_not_allowed'],
    ['unknown', { path: '/events/broker/default/other', headers: EVENT }, 404, 'no_address'],
    ['no path of ours', { path: '/events/broker/default', headers: EVENT }, 400, 'malformed_address'],
    ['no kind of ours', { path: '/events/topic/default/x', headers: EVENT }, 404, 'no_address'],
    ['no event', { body: 'x' }, 400, 'not_an_event'],
    ['no id', { headers: { ...EVENT, 'ce-id': '' } }, 400, 'not_an_event'],
    ['another version', { headers: { ...EVENT, 'ce-specversion': '0.3' } }, 400, 'not_an_event'],
    ['too large', { headers: EVENT, body: 'x'.repeat(1001) }, 413, 'too_large'],
    ['far too large', { headers: EVENT, body: 'x'.repeat(200_000) }, 413, 'too_large'],
    [
      'far too large in pieces',
      { headers: EVENT, body: Array(30).fill('x'.repeat(10_000)) },
      413,
      'too_large',
    ],
    [
      'another form',
      { headers: { 'content-type': 'application/cloudevents+avro' }, body: 'x' },
      415,
      'unsupported_form',
    ],
    [
      'broken JSON',
      { headers: { 'content-type': 'application/cloudevents+json' }, body: '{' },
      400,
      'not_an_event',
    ],
    ['no such source', { path: '/events/source/default/hook', method: 'GET' }, 404, 'no_address'],
  ];
  for (const [name, asked, status, reason] of rows) {
    const answered = await ask(asked);
    assert.deepEqual([answered.status, answered.json().reason], [status, reason], name);
    assert.equal(answered.headers['content-type'], 'application/json', name);
    const counted = refused.splice(0);
    const ofStream = ['not_an_event', 'too_large', 'unsupported_form'].includes(reason);
    assert.deepEqual(counted, [`${ofStream ? 'broker/default/orders' : ''} ${reason}`], name);
  }
  const large = await ask({ headers: EVENT, body: 'x'.repeat(200_000) });
  assert.equal(large.json().message, 'an event here has at most 1000 bytes');
  assert.equal((await ask({ headers: { ...EVENT, 'ce-id': '' } })).json().attribute, 'id');
  assert.equal((await ask({ method: 'PUT' })).headers.allow, 'POST, OPTIONS');
  assert.deepEqual(taken, []);
});

test('what may be known in a moment is not refused for good', async () => {
  const here = await start();
  here.complete = false;
  const path = '/events/broker/default/other';
  const answered = await here.ask({ path, headers: EVENT });
  assert.deepEqual([answered.status, answered.json().reason], [503, 'starting']);
  assert.equal(answered.headers['retry-after'], '1');
  here.complete = true;
  assert.equal((await here.ask({ path, headers: EVENT })).status, 404);
});

test('an address that answers with an event answers with an event', async () => {
  const here = await start();
  here.verdict = async (_, event) => ({ accepted: true, reply: { ...event, type: 'answer' } });
  const headers = { ...EVENT, 'content-type': 'application/json' };
  const answered = await here.ask({ path: '/events/transform/default/orders', headers, body: '{"n":1}' });
  assert.deepEqual([answered.status, answered.headers['ce-type'], answered.body], [200, 'answer', '{"n":1}']);
  here.verdict = async (_, event) => ({ accepted: true, reply: { ...event, data: Buffer.alloc(1_000_000) } });
  assert.equal((await here.ask({ headers })).json().reason, 'reply_too_large');
  here.verdict = async (_, event) => ({ accepted: true, reply: { ...event, datacontenttype: 'café\r\n' } });
  assert.equal((await here.ask({ headers })).json().reason, 'defect', 'what no header can carry');
});

test('OPTIONS tells webhooks that they may', async () => {
  const { ask } = await start();
  const { status, headers } = await ask({ method: 'OPTIONS' });
  assert.equal(status, 200);
  assert.equal(headers.allow, 'POST, OPTIONS');
  assert.equal(headers['webhook-allowed-origin'], '*');
  assert.equal(headers['webhook-allowed-rate'], '*');
});

test('what the acceptor says is what the producer hears', async () => {
  const here = await start();
  here.verdict = async () => ({ accepted: false, status: 507, reason: 'DiskFull', message: 'no room' });
  const full = await here.ask({ headers: EVENT });
  assert.deepEqual([full.status, full.json().code, full.json().reason], [507, 'DiskFull', 'disk_full']);
  here.verdict = async () => ({
    accepted: false,
    status: 429,
    reason: 'busy',
    message: 'slow',
    retryAfterMs: 1500,
  });
  assert.equal((await here.ask({ headers: EVENT })).headers['retry-after'], '2');

  // of a batch, the first that was not taken is named
  here.verdict = async (_, { id }) =>
    id === 'b'
      ? { accepted: false, status: 400, reason: 'ttl', message: 'went in circles' }
      : { accepted: true };
  const one = (id: string) => ({ specversion: '1.0', id, source: '/s', type: 't' });
  const batch = { 'content-type': 'application/cloudevents-batch+json' };
  const answered = await here.ask({ headers: batch, body: JSON.stringify([one('a'), one('b'), one('c')]) });
  assert.equal(answered.status, 400);
  assert.match(answered.json().message, /^event 1 of the batch: went in circles \(2 of 3/);
});

test('what is under way is bounded, and refused beyond', async () => {
  const here = await start({ maxBytes: 40_000 });
  const go = Promise.withResolvers<Accepted>();
  here.verdict = () => go.promise;
  const body = 'x'.repeat(15_000);
  const first = [here.ask({ headers: EVENT, body }), here.ask({ headers: EVENT, body })];
  while (here.taken.length < 2) await new Promise((resolve) => setImmediate(resolve));
  const third = await here.ask({ headers: EVENT, body });
  assert.deepEqual([third.status, third.json().reason], [503, 'overloaded']);
  assert.equal(third.headers['retry-after'], '1');
  assert.deepEqual(here.refused, ['broker/default/orders overloaded']);
  const growing = await here.ask({ headers: EVENT, body: Array(10).fill(body) });
  assert.equal(growing.status, 503);
  go.resolve({ accepted: true });
  for (const answered of await Promise.all(first)) assert.equal(answered.status, 202);
  assert.equal(here.ingress.bytes, 0);
  assert.equal(
    (await here.ask({ headers: EVENT, body: 'y'.repeat(100_000) })).status,
    202,
    'alone it may be larger',
  );
});

test('a producer that goes away leaves nothing behind', async () => {
  const here = await start();
  const socket = connect(here.gateway.address.port, '127.0.0.1');
  socket.write('POST /events/broker/default/orders HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\nbegun');
  while (here.ingress.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  while (here.ingress.bytes > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(here.taken, []);
});

test('a trace that is being recorded goes on with the event', async () => {
  const { ask, taken } = await start();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await ask({ headers: { ...EVENT, traceparent, tracestate: 'a=b' } });
  assert.deepEqual(taken[0]?.event.extensions, { traceparent, tracestate: 'a=b' });
  await ask({ headers: { ...EVENT, traceparent, 'ce-traceparent': 'own' } });
  assert.deepEqual(taken[1]?.event.extensions, { traceparent: 'own' });
});

test('requests to a source are its own', async () => {
  const here = await start();
  const asked: SourceRequest[] = [];
  here.source = async (request) => {
    asked.push(request);
    return { status: 201, headers: { 'X-Kind': 'hook', 'bad name': 'x', evil: 'a\r\nb: c' }, body: 'thanks' };
  };
  const path = '/events/source/default/hook/in?x=1';
  const answered = await here.ask({
    method: 'PUT',
    path,
    headers: { 'x-signature': 'abc' },
    body: 'payload',
  });
  assert.deepEqual([answered.status, answered.body, answered.headers['x-kind']], [201, 'thanks', 'hook']);
  assert.equal(answered.headers.evil, undefined);
  assert.equal(asked[0]?.method, 'PUT');
  assert.equal(asked[0].path, '/in?x=1');
  assert.equal(asked[0].body.toString(), 'payload');
  assert.equal(asked[0].headers[asked[0].headers.indexOf('x-signature') + 1], 'abc');
  here.source = async () => Promise.reject(new Error('broken'));
  assert.equal((await here.ask({ path })).status, 503);
});

test('a connection that breaks the protocol ends alone', async () => {
  const here = await start();
  const bad = connect(here.path);
  const closed = new Promise((resolve) => bad.on('close', resolve));
  bad.resume();
  bad.write(frame(FRAME.hello, 0, '{"version":1,"role":"data"}'));
  bad.write(frame(FRAME.data, 7, 'x'));
  await closed;
  assert.equal((await here.ask({ headers: EVENT })).status, 202);
});

test('a server that closes lets end what is under way', async () => {
  const here = await start();
  const go = Promise.withResolvers<Accepted>();
  here.verdict = () => go.promise;
  const under = here.ask({ headers: EVENT });
  while (here.taken.length < 1) await new Promise((resolve) => setImmediate(resolve));
  const closed = here.server.close(10_000);
  go.resolve({ accepted: true });
  assert.equal((await under).status, 202);
  await closed;
});

test('the server answers PING, and says so when it leaves', async () => {
  const here = await start();
  const socket = connect(here.path);
  let read = Buffer.alloc(0);
  const frames = (): number[] => {
    const types: number[] = [];
    for (let at = 0; at + FRAME_HEADER <= read.length; at += FRAME_HEADER + read.readUInt32LE(at))
      types.push(read[at + 4]!);
    return types;
  };
  socket.on('data', (chunk: Buffer) => {
    read = Buffer.concat([read, chunk]);
  });
  socket.write(frame(FRAME.hello, 0, '{"version":1,"role":"data"}'));
  socket.write(frame(FRAME.ping, 0, '12345678'));
  while (!frames().includes(FRAME.pong)) await new Promise((resolve) => setImmediate(resolve));
  const ended = new Promise((resolve) => socket.on('end', resolve));
  const closed = here.server.close(1000);
  await ended;
  socket.destroy();
  await closed;
  assert.deepEqual(frames(), [FRAME.hello, FRAME.pong, FRAME.goaway]);
});
