/**
 * What strangers send to the address of a broker: bodies without end, heads and bodies that never come, nesting and batches meant to break a parser,
 * and bytes that no header may have. The platform's memory is bounded, everybody else is served, and all of it is counted.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { MAX_BATCH } from '../../src/cloudevents/json.ts';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { BROKERS, TRIGGERS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const MIB = 1024 * 1024;
/**
 * What the platform may take beyond what it took before, whatever strangers send: bodies under way (64 MiB), what is joined, written and delivered of them
 * (as much each), windows of connections, and what has not been collected yet.
 */
const MORE_BYTES = 400 * MIB;
const SMALL = '/events/broker/default/default';
const LARGE = '/events/broker/default/large';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
const came = new Map<string, Record<string, string | string[] | undefined>>();
let events = 0;
const sink = createServer((incoming, response) => {
  incoming.resume().on('end', () => {
    events++;
    came.set(decodeURIComponent(String(incoming.headers['ce-id'])), incoming.headers);
    response.writeHead(202).end();
  });
});

before(async () => {
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  platform = await petrel.up();
  const uri = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`;
  await petrel.json(['trigger', 'create', 'all', '--to', uri]);
  const api = await petrel.api();
  try {
    const annotations = { 'eventing.petrel.dev/max-event-size': '64Mi' };
    const metadata = { namespace: 'default', name: 'large', annotations };
    const apiVersion = 'eventing.knative.dev/v1';
    await api.create(BROKERS, { apiVersion, kind: 'Broker', metadata, spec: {} } as UntypedObject);
  } finally {
    api.close();
  }
  await petrel.json(['trigger', 'create', 'large', '--broker', 'large', '--to', uri]);
});
after(async () => {
  await petrel.stop();
  sink.close().closeAllConnections();
  scratch.dispose();
});

const EVENT = { 'ce-specversion': '1.0', 'ce-source': '/faults', 'ce-type': 'com.shop.paid' };
const send = async (id: string, body = 'x', path = SMALL) => {
  const headers = { ...EVENT, 'ce-id': encodeURIComponent(id) };
  return (await call(platform.gateway, path, { headers, body })).status;
};
/** An honest producer: taken now, and delivered. */
const served = async (id: string, body?: string, path?: string) => {
  assert.equal(await send(id, body, path), 202);
  await eventually(`${id} is delivered`, async () => came.has(id));
};

const resident = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${platform.pid}/status`, 'utf8'))?.[1]) * 1024;

const metrics = async () => {
  const lines = (await petrel.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
};
const refused = async (reason: string, stream = 'broker/default/default') =>
  (await metrics()).get(`petrel_events_refused_total{stream="${stream}",reason="${reason}"}`) ?? 0;

/** A connection on which anything may be written; `answer` is its first status line. */
function raw(head: string): { socket: Socket; answer: Promise<number> } {
  const [host = '', port] = platform.gateway.split(':');
  const socket = connect(Number(port), host);
  const answer = new Promise<number>((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? [];
      if (status !== undefined && status !== '100') resolve(Number(status));
    });
    socket.on('close', () => resolve(0));
  });
  socket.on('error', () => {});
  socket.write(head, 'latin1');
  return { socket, answer };
}

const HEAD = (path: string, lines: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nce-specversion: 1.0\r\nce-id: f\r\nce-source: /f\r\nce-type: t\r\n${lines}\r\n\r\n`;

test('200 connections that send 64 MB each, with and without telling', async (t) => {
  await served('before');
  const at = resident();
  let peak = at;
  const looking = setInterval(() => {
    peak = Math.max(peak, resident());
  }, 20);
  const piece = Buffer.alloc(64 * 1024, 'x');
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]);
  const flood = Array.from({ length: 200 }, async (_, i) => {
    const told = i % 2 === 0;
    const path = i % 4 < 2 ? SMALL : LARGE;
    const head = HEAD(path, told ? `content-length: ${64 * MIB}` : 'transfer-encoding: chunked');
    const { socket, answer } = raw(head);
    const bytes = told ? piece : chunk;
    let status: number | undefined;
    void answer.then((one) => {
      status = one;
    });
    for (let sent = 0; sent < 1024 && status === undefined && !socket.destroyed; sent++)
      if (!socket.write(bytes))
        await Promise.race([answer, new Promise((resolve) => socket.once('drain', resolve))]);
    if (!told && status === undefined) socket.write('0\r\n\r\n');
    status = await answer;
    socket.destroy();
    return status;
  });
  const statuses = await Promise.all(flood);
  clearInterval(looking);
  const counts = Object.fromEntries(
    Map.groupBy(statuses, String)
      .entries()
      .map(([k, v]) => [k, v.length]),
  );
  t.diagnostic(
    `answers ${JSON.stringify(counts)}, ${Math.round((peak - at) / MIB)} MiB more than ${Math.round(at / MIB)}`,
  );
  assert.ok(peak - at < MORE_BYTES, `${Math.round((peak - at) / MIB)} MiB more`);
  assert.equal(
    statuses.filter((status) => ![0, 202, 413, 503].includes(status)).length,
    0,
    JSON.stringify(counts),
  );
  await served('after the flood');
  assert.ok((await refused('too_large')) > 0);
});

test('heads and bodies that do not come hold up nobody', async () => {
  const OVERLOADED = 'petrel_events_refused_total{stream="broker/default/default",reason="overloaded"}';
  const overloaded = (await metrics()).get(OVERLOADED) ?? 0;
  const slow = [
    ...Array.from({ length: 200 }, () => raw(`POST ${SMALL} HTTP/1.1\r\nhost: x\r\nce-`)),
    // Each tells of as much as is allowed, and sends a byte.
    ...Array.from({ length: 200 }, () => raw(`${HEAD(SMALL, `content-length: ${MIB}`)}x`)),
    ...Array.from({ length: 20 }, () => raw(`${HEAD(LARGE, `content-length: ${60 * MIB}`)}x`)),
    ...Array.from({ length: 200 }, () => raw(`${HEAD(SMALL, 'transfer-encoding: chunked')}1\r\nx\r\n`)),
  ];
  try {
    for (let i = 0; i < 20; i++) await served(`slow${i}`, 'x'.repeat(100_000));
    await served('slow and large', 'x'.repeat(20 * MIB), LARGE);
    assert.equal((await metrics()).get(OVERLOADED) ?? 0, overloaded);
  } finally {
    for (const { socket } of slow) socket.destroy();
  }
  await served('after the slow ones');
});

test('nesting, long batches and long expressions are read or refused, and the engine is the same afterwards', async () => {
  await served('before the bombs');
  const accepted =
    (await metrics()).get('petrel_events_accepted_total{stream="broker/default/default"}') ?? 0;
  const post = async (contentType: string, body: string, path = SMALL) =>
    (await call(platform.gateway, path, { headers: { 'content-type': contentType }, body })).status;
  const event = (id: string, data: string) =>
    `{"specversion":"1.0","id":"${id}","source":"/f","type":"t","data":${data}}`;
  const deep = (depth: number, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);
  const single = 'application/cloudevents+json';
  const batch = 'application/cloudevents-batch+json';
  const bombs: [type: string, body: string][] = [
    [single, event('deep', deep(200_000))],
    [single, event('deeper', deep(100_000, '{"a":', '1}'))],
    [single, `{"specversion":"1.0","id":"x","source":"/f","type":"t","extra":${deep(100_000)}}`],
    [single, deep(400_000)],
    [single, '['.repeat(1_000_000)],
    [single, '{"a":'.repeat(200_000)],
    [batch, deep(400_000)],
    [batch, `[${'{},'.repeat(200_000)}{}]`],
    [batch, `[${event('in', deep(200_000))}]`],
    [single, `{${Array.from({ length: 50_000 }, (_, i) => `"x${i}":"y"`).join(',')}}`],
    [single, `{"specversion":"1.0","id":"${'i'.repeat(900_000)}","source":"/f","type":"t"}`],
    [single, `{"specversion":"1.0","id":"\\ud800","source":"/f","type":"t"}`],
    [single, `{"specversion":"1.0","id":"a","id":"b","source":"/f","type":"t","__proto__":{"x":1}}`],
  ];
  for (const [type, body] of bombs) {
    const status = await post(type, body);
    assert.ok([202, 400, 413].includes(status), `${status} for ${type} ${body.slice(0, 60)}`);
  }
  // What was taken is delivered, however deep it is.
  await served('after the bombs');
  const now = (await metrics()).get('petrel_events_accepted_total{stream="broker/default/default"}') ?? 0;
  assert.ok(now > accepted, 'counts go on: the engine did not begin again');
  assert.ok((await refused('not_an_event')) > 0);

  const before = events;
  const many = `[${Array.from({ length: 100_000 }, (_, i) => `{"specversion":"1.0","id":"m${i}","source":"/f","type":"t"}`).join(',')}]`;
  assert.equal(await post(batch, many), 413, 'more than one event may be');
  assert.equal(await post(batch, many, LARGE), 413, 'events of one batch are counted');
  const fewer = `[${Array.from({ length: MAX_BATCH }, (_, i) => `{"specversion":"1.0","id":"m${i}","source":"/f","type":"t"}`).join(',')}]`;
  assert.equal(await post(batch, fewer, LARGE), 202);
  await eventually('all of the batch is delivered', async () => events - before >= MAX_BATCH);
  await served('after the batch');
});

test('expressions of strangers are refused with their place, or are cheap', async () => {
  const api = await petrel.api();
  const create = (name: string, cesql: string) =>
    api.create(TRIGGERS, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Trigger',
      metadata: { namespace: 'default', name },
      spec: { broker: 'default', filters: [{ cesql }], subscriber: { uri: 'http://127.0.0.1:9/' } },
    } as UntypedObject);
  try {
    for (const bomb of [
      `${'('.repeat(50_000)}1${')'.repeat(50_000)}`,
      `${'NOT '.repeat(50_000)}TRUE`,
      Array.from({ length: 50_000 }, () => 'TRUE').join(' AND '),
      `type = '${'x'.repeat(500_000)}'`,
      'type LIKE',
    ])
      await assert.rejects(create('bomb', bomb), /cesql/, bomb.slice(0, 40));
    await create('likes', `type LIKE '${'%a'.repeat(200)}%b'`);
    const body = 'x';
    const type = 'a'.repeat(20_000);
    const taken = await call(platform.gateway, SMALL, {
      headers: { ...EVENT, 'ce-id': 'like', 'ce-type': type },
      body,
    });
    assert.ok([202, 400, 413, 431].includes(taken.status), String(taken.status));
    await served('after the expressions');
  } finally {
    await api.delete(TRIGGERS, 'default', 'likes').catch(() => {});
    api.close();
  }
});

test('bytes that no header may have end their own request, and reach nobody', async () => {
  const rows: [lines: string, statuses: number[]][] = [
    ['ce-a: x\ny: z\r\ncontent-length: 0', [400, 202]],
    ['ce-a: x\ry: z\r\ncontent-length: 0', [400]],
    ['ce-a: x\0y\r\ncontent-length: 0', [400]],
    ['ce-a\0b: x\r\ncontent-length: 0', [400]],
    ['ce-\xe4: x\r\ncontent-length: 0', [400]],
    ['ce-a b: x\r\ncontent-length: 0', [400]],
    ['ce-a: gr\xfcn\r\ncontent-length: 0', [202, 400]],
    ['ce-a: %0d%0Aset-cookie%3A%20x%00\r\ncontent-length: 0', [202, 400]],
    ['ce-a: %ff%fe\r\ncontent-length: 0', [202, 400]],
    ['ce-id: second\r\ncontent-length: 0', [400, 202]],
    ['content-type: text/plain\rx: y\r\ncontent-length: 0', [400]],
    ['content-type: application/cloudevents+xml\r\ncontent-length: 1', [415]],
    ['content-length: 1\r\ncontent-length: 2', [400]],
  ];
  for (const [lines, statuses] of rows) {
    const { socket, answer } = raw(`${HEAD(SMALL, lines)}x`);
    const status = await answer;
    socket.destroy();
    assert.ok(statuses.includes(status), `${status} for ${JSON.stringify(lines)}`);
  }
  const structured = await call(platform.gateway, SMALL, {
    headers: { 'content-type': 'application/cloudevents+json' },
    body: JSON.stringify({
      ...{ specversion: '1.0', id: 'cr', source: '/f', type: 't' },
      subject: 'a\r\nset-cookie: x',
      other: 'b\nc',
    }),
  });
  assert.ok([202, 400].includes(structured.status));
  await served('after the headers');
  for (const headers of came.values()) {
    assert.equal(headers['set-cookie'], undefined);
    assert.equal(headers.y, undefined);
  }
});
