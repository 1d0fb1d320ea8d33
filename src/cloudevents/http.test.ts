import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { seeded } from '../../test/lib/random.ts';
import { type CloudEvent, InvalidEvent, newEvent, withAttributes } from './event.ts';
import {
  allFromHttp,
  claimsToBeEvent,
  contentMode,
  fromHttp,
  STRUCTURED_JSON,
  toHttp,
  toHttpBatch,
} from './http.ts';
import { arbitraryEvent } from './testing/events.ts';

const REQUIRED = ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't'];
const make = (fields: object = {}): CloudEvent =>
  newEvent({ type: 't', source: '/s', time: '2026-11-21T00:00:00Z', ...fields }, 0, () => '1');

/** What is wrong with a message: the attribute and the status. */
function refusal(headers: string[], body?: Buffer | string): [string, number] {
  try {
    allFromHttp(headers, body === undefined ? undefined : Buffer.from(body));
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidEvent, String(thrown));
    return [thrown.attribute, thrown.status];
  }
  return ['', 200];
}

test('binary mode: attributes from headers in any case, the body as data without a copy', () => {
  const body = Buffer.from('{"n":1}');
  const event = fromHttp(
    [
      ...['Host', 'example.com', 'CE-SpecVersion', '1.0', 'Ce-Id', '1', 'ce-source', '/s', 'ce-type', 't'],
      ...[
        'Content-Type',
        'application/json; charset=utf-8',
        'ce-MyExt',
        'value',
        'ce-n',
        '5',
        'cex-other',
        'y',
      ],
    ],
    body,
  );
  assert.equal(event.data, body);
  assert.equal(event.datacontenttype, 'application/json; charset=utf-8');
  assert.deepEqual(event.extensions, { myext: 'value', n: '5' });
  assert.equal(fromHttp(REQUIRED, Buffer.alloc(0)).data, undefined);
});

test('headers may come as pairs of any kind', () => {
  const headers = new Headers({ 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' });
  assert.equal(fromHttp(headers, undefined).id, '1');
  assert.equal(fromHttp(new Map(headers), undefined).type, 't');
  assert.equal(fromHttp([...headers] as unknown as Iterable<[string, string]>, undefined).source, '/s');
});

test('the content type of the data is that of the message, whatever ce-datacontenttype says', () => {
  const twice = [...REQUIRED, 'ce-datacontenttype', 'text/evil', 'content-type', 'text/plain'];
  assert.equal(fromHttp(twice, Buffer.from('x')).datacontenttype, 'text/plain');
  assert.equal(
    fromHttp([...REQUIRED, 'ce-datacontenttype', 'text/evil'], undefined).datacontenttype,
    undefined,
  );
});

test('header values are percent-encoded as the binding says, and decoded in every form that senders use', () => {
  const event = make({ subject: 'Euro € 😀', extensions: { quoted: 'say "hi" 100%', plain: "a/b?c=d&'~" } });
  const { headers } = toHttp(event);
  const sent = Object.fromEntries(headers.flatMap((name, at) => (at % 2 ? [] : [[name, headers[at + 1]]])));
  assert.equal(sent['ce-subject'], 'Euro%20%E2%82%AC%20%F0%9F%98%80');
  assert.equal(sent['ce-quoted'], 'say%20%22hi%22%20100%25');
  assert.equal(sent['ce-plain'], "a/b?c=d&'~");
  const subject = (value: string) => fromHttp([...REQUIRED, 'ce-subject', value], undefined).subject;
  for (const [wire, means] of [
    ['%e2%82%ac', '€'],
    ['%61bc', 'abc'],
    ['"Euro € 😀"', 'Euro € 😀'],
    ['"a \\"b\\" \\\\c%20d"', 'a "b" \\c d'],
    ['say "hi"', 'say "hi"'],
    ['100%', '100%'],
    ['100% of %41', '100% of A'],
    ['%2541', '%41'],
    [Buffer.from('Zürich €').toString('latin1'), 'Zürich €'],
  ] as const)
    assert.equal(subject(wire), means, wire);
  for (const bad of ['%C0%A0', '%ff', '%ED%A0%80', '\xff'])
    assert.deepEqual(refusal([...REQUIRED, 'ce-subject', bad]), ['subject', 400], bad);
  for (const forbidden of ['a%0d%0ab', '%00', '%7f', '%C2%85'])
    assert.deepEqual(refusal([...REQUIRED, 'ce-subject', forbidden]), ['subject', 400], forbidden);
});

test('nothing in an event can end a header or add one', () => {
  const broken = withAttributes(make(), {
    subject: 'a\r\nx-evil: 1',
    id: '\n',
    constructor: 'b\r\n\r\nbody' as never,
  });
  for (const value of toHttp(broken).headers) assert.match(value, /^[\x20-\x7e]*$/);
  assert.throws(() => toHttp(withAttributes(make(), { 'a: b\r\nc': 'd' })), InvalidEvent);
  assert.throws(() => toHttp(withAttributes(make(), { datacontenttype: 'text/plain\r\nx-evil: 1' })), {
    attribute: 'datacontenttype',
  });
});

test('what is not an event is refused with the attribute and a status', () => {
  const without = (name: string) => {
    const at = REQUIRED.indexOf(name);
    return REQUIRED.toSpliced(at, 2);
  };
  const cases: [[string, number], string[], string?][] = [
    [['specversion', 400], []],
    [['specversion', 400], without('ce-specversion')],
    [
      ['specversion', 400],
      ['ce-specversion', '0.3', ...without('ce-specversion')],
    ],
    [['id', 400], without('ce-id')],
    [['source', 400], without('ce-source')],
    [['type', 400], without('ce-type')],
    [
      ['id', 400],
      ['ce-id', '', ...without('ce-id')],
    ],
    [
      ['id', 400],
      [...REQUIRED, 'CE-ID', '2'],
    ],
    [
      ['x', 400],
      [...REQUIRED, 'ce-x', '1', 'ce-x', '1'],
    ],
    [
      ['datacontenttype', 400],
      [...REQUIRED, 'content-type', 'a/b', 'content-type', 'a/b'],
    ],
    [
      ['bad_name', 400],
      [...REQUIRED, 'ce-bad_name', '1'],
    ],
    [
      ['__proto__', 400],
      [...REQUIRED, 'ce-__proto__', '1'],
    ],
    [
      ['data', 400],
      [...REQUIRED, 'ce-data', '1'],
    ],
    [
      ['time', 400],
      [...REQUIRED, 'ce-time', 'now'],
    ],
    [['', 415], [...REQUIRED, 'content-type', 'application/cloudevents+avro'], 'x'],
    [['', 415], [...REQUIRED, 'content-type', 'application/cloudevents-batch+avro'], 'x'],
    [
      ['', 400],
      ['content-type', STRUCTURED_JSON],
    ],
    [['', 400], ['content-type', STRUCTURED_JSON], '[]'],
  ];
  for (const [expected, headers, body] of cases)
    assert.deepEqual(refusal(headers, body), expected, JSON.stringify(headers));
  assert.throws(() => fromHttp(REQUIRED, Buffer.alloc(4), { attributes: 100, data: 3 }), { status: 413 });
  assert.throws(
    () => fromHttp(['content-type', STRUCTURED_JSON], Buffer.alloc(2000, 32), { attributes: 100, data: 3 }),
    {
      status: 413,
    },
  );
  assert.throws(() => fromHttp(['content-type', 'application/cloudevents-batch+json'], Buffer.from('[]')), {
    status: 415,
  });
});

test('the mode is that of the content type alone', () => {
  for (const [type, mode] of [
    [undefined, 'binary'],
    ['application/json', 'binary'],
    ['application/cloud', 'binary'],
    ['application/cloudevents+json', 'structured'],
    ['Application/CloudEvents+JSON; charset=utf-8', 'structured'],
    [' application/cloudevents+json', 'structured'],
    ['application/cloudevents', 'structured'],
    ['application/cloudevents-batch+json', 'batch'],
    ['APPLICATION/CLOUDEVENTS-BATCH+JSON', 'batch'],
  ] as const)
    assert.equal(contentMode(type), mode, `${type}`);
  assert.ok(claimsToBeEvent(['CE-SpecVersion', '9']));
  assert.ok(claimsToBeEvent(new Map([['content-type', 'application/cloudevents+json']])));
  assert.ok(!claimsToBeEvent(['content-type', 'application/json', 'ce-id', '1']));
  assert.ok(!claimsToBeEvent([]));
});

test('an event inside an event goes structured, so that nobody takes the inner for the outer', () => {
  const inner = toHttp(make({ subject: 'inner' }), 'structured');
  const outer = make({ subject: 'outer', datacontenttype: STRUCTURED_JSON, data: inner.body });
  const message = toHttp(outer);
  assert.equal(message.headers[1], STRUCTURED_JSON);
  assert.deepEqual(fromHttp(message.headers, message.body), outer);
});

test('any event comes back the same in every mode', () => {
  const random = seeded(7);
  const events = Array.from({ length: 300 }, () => arbitraryEvent(random));
  for (const event of events) {
    const structured = toHttp(event, 'structured');
    assert.deepEqual(fromHttp(structured.headers, structured.body), event);
    const binary = toHttp(event, 'binary');
    // Headers have no types: integers and booleans come back as their canonical strings.
    const extensions = Object.fromEntries(
      Object.entries(event.extensions).map(([name, of]) => [name, `${of}`]),
    );
    assert.deepEqual(fromHttp(binary.headers, binary.body), { ...event, extensions });
  }
  const batch = toHttpBatch(events);
  assert.deepEqual(allFromHttp(batch.headers, batch.body), events);
  const [first] = events;
  const single = toHttp(first!, 'structured');
  assert.deepEqual(allFromHttp(single.headers, single.body), [first]);
});

test('a message passes a real HTTP connection unchanged, both ways', async () => {
  const event = make({
    subject: 'Zürich "€" 100%',
    data: { big: 1 },
    extensions: { constructor: 'x', empty: '' },
  });
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => {
      const reply = toHttp(fromHttp(incoming.rawHeaders, Buffer.concat(chunks)));
      response.writeHead(200, reply.headers).end(reply.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const back = await new Promise<CloudEvent>((resolve, reject) => {
      const message = toHttp(event);
      const { port } = server.address() as AddressInfo;
      const call = request(
        { port, method: 'POST', headers: ['Host', 'x', ...message.headers] as never },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk) => chunks.push(chunk));
          answer.on('end', () => resolve(fromHttp(answer.rawHeaders, Buffer.concat(chunks))));
        },
      );
      call.on('error', reject);
      call.end(message.body);
    });
    assert.deepEqual(back, event);
  } finally {
    server.close();
  }
});
