import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  attribute,
  type CloudEvent,
  DEFAULT_LIMITS,
  dataJson,
  dataText,
  InvalidEvent,
  isJson,
  makeEvent,
  newEvent,
  validate,
  withAttributes,
} from './event.ts';
import { isTimestamp, isUriReference, textBytes } from './text.ts';

const minimal = { type: 'com.example.made', source: '/here' };
const make = (fields: object = {}): CloudEvent =>
  newEvent({ ...minimal, ...fields }, Date.UTC(2026, 10, 21), () => 'id-1');

/** The attribute that a broken event is refused for. */
function refused(fields: object): string {
  try {
    make(fields);
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidEvent, String(thrown));
    assert.notEqual(thrown.message, '');
    return thrown.attribute;
  }
  return 'nothing';
}

test('a new event gets an id and a time of its own, and its data as bytes', () => {
  const event = make({ data: { big: 1 }, extensions: { region: 'eu', left: undefined } });
  assert.deepEqual(
    { ...event, data: event.data?.toString() },
    {
      id: 'id-1',
      source: '/here',
      type: 'com.example.made',
      specversion: '1.0',
      subject: undefined,
      time: '2026-11-21T00:00:00.000Z',
      datacontenttype: 'application/json',
      dataschema: undefined,
      extensions: { region: 'eu' },
      data: '{"big":1}',
    },
  );
  const bytes = Buffer.from([1, 2]);
  assert.equal(make({ data: bytes }).data, bytes);
  assert.equal(make({ data: 'text' }).datacontenttype, undefined);
  assert.equal(dataText(make({ data: 'text' })), 'text');
  assert.equal(make().data, undefined);
});

test('attributes are read by name, and nothing that objects inherit is one', () => {
  const event = make({ subject: 's', extensions: { n: 5, yes: true } });
  const read = (name: string) => attribute(event, name);
  assert.deepEqual(['id', 'source', 'type', 'specversion', 'subject', 'n', 'yes'].map(read), [
    'id-1',
    '/here',
    'com.example.made',
    '1.0',
    's',
    5,
    true,
  ]);
  for (const name of ['dataschema', 'missing', 'constructor', 'toString', '__proto__', 'data'])
    assert.equal(read(name), undefined, name);
  assert.equal(attribute(make({ extensions: { constructor: 'own' } }), 'constructor'), 'own');
});

test('a refusal names the attribute that breaks the rule', () => {
  const wrong: [object, string][] = [
    [{ id: '' }, 'id'],
    [{ source: '' }, 'source'],
    [{ source: 'has space' }, 'source'],
    [{ source: '/bad%2' }, 'source'],
    [{ type: '' }, 'type'],
    [{ type: 7 }, 'type'],
    [{ type: 'line\r\nbreak' }, 'type'],
    [{ subject: '' }, 'subject'],
    [{ subject: 'a\u0085b' }, 'subject'],
    [{ subject: '\ud800' }, 'subject'],
    [{ time: 'yesterday' }, 'time'],
    [{ time: '2026-02-29T00:00:00Z' }, 'time'],
    [{ datacontenttype: 'json' }, 'datacontenttype'],
    [{ dataschema: '' }, 'dataschema'],
    [{ dataschema: '<schema>' }, 'dataschema'],
    [{ extensions: { Upper: 'x' } }, 'Upper'],
    [{ extensions: { 'with-dash': 'x' } }, 'with-dash'],
    [{ extensions: { data: 'x' } }, 'data'],
    [{ extensions: { id: 'x' } }, 'id'],
    [{ extensions: { half: 0.5 } }, 'half'],
    [{ extensions: { large: 2 ** 31 } }, 'large'],
    [{ extensions: { object: {} } }, 'object'],
    [{ data: () => 1 }, 'data'],
  ];
  for (const [fields, name] of wrong) assert.equal(refused(fields), name, JSON.stringify(fields));
  const { id, source, type } = make();
  const lacking: CloudEvent = { id, source, type, extensions: {} } as never;
  assert.throws(() => validate(lacking), { attribute: 'specversion', status: 400 });
  assert.throws(() => validate({ ...lacking, specversion: '0.3' as never }), /"0.3" is not supported/);
});

test('what is allowed passes', () => {
  for (const fields of [
    { source: 'urn:uuid:0-1' },
    { source: 'https://[::1]:80/a?b=c&d#e' },
    { source: '/apis/v1/namespaces/a/kafkasources/b#topic' },
    { subject: 'Euro € 😀 "quoted" %' },
    { extensions: { empty: '', min: -(2 ** 31), max: 2 ** 31 - 1, no: false, '1st': 'x' } },
    { datacontenttype: 'application/json; charset=utf-8' },
    { dataschema: 'https://example.com/s.json#/a' },
  ])
    assert.equal(refused(fields), 'nothing', JSON.stringify(fields));
});

test('limits hold for attributes together and for data', () => {
  const large = 'é'.repeat(40_000);
  assert.throws(() => make({ subject: large }), { status: 413 });
  assert.equal(refused({ data: Buffer.alloc(DEFAULT_LIMITS.data) }), 'nothing');
  assert.equal(refused({ data: Buffer.alloc(DEFAULT_LIMITS.data + 1) }), 'data');
  assert.throws(() => validate(make({ data: 'four' }), { attributes: 500, data: 3 }), {
    attribute: 'data',
    status: 413,
  });
  // 11 + 3 of specversion, and each name with its value.
  const exact = make({ time: '2026-11-21T00:00:00Z', extensions: { a: 'b', yes: true } });
  const bytes = 14 + 'idid-1'.length + 'source/here'.length + 'typecom.example.made'.length + 24 + 2 + 7;
  validate(exact, { attributes: bytes, data: 0 });
  assert.throws(() => validate(exact, { attributes: bytes - 1, data: 0 }), { status: 413 });
});

test('messages stay short whatever a stranger sent', () => {
  assert.throws(
    () => make({ time: 'x'.repeat(50_000) }),
    (thrown: InvalidEvent) => thrown.message.length < 200,
  );
});

test('a changed copy shares the data and leaves the original as it is', () => {
  const event = make({ subject: 's', data: 'x', extensions: { keep: 'a', go: 'b' } });
  const changed = withAttributes(event, { subject: undefined, type: 'new', go: undefined, add: 1 });
  assert.equal(changed.data, event.data);
  assert.equal(changed.subject, undefined);
  assert.equal(changed.type, 'new');
  assert.deepEqual(changed.extensions, { keep: 'a', add: 1 });
  assert.deepEqual(event.extensions, { keep: 'a', go: 'b' });
});

test('data is read as JSON by who asks, and content types of JSON are known', () => {
  assert.deepEqual(dataJson(make({ data: '{"a":[1]}' })), { a: [1] });
  assert.equal(dataJson(make()), undefined);
  assert.throws(() => dataJson(make({ data: '{' })), { attribute: 'data' });
  for (const type of [
    undefined,
    'application/json',
    'text/json;charset=utf-8',
    'application/VND.x+JSON ; a=b',
  ])
    assert.ok(isJson(type), `${type}`);
  for (const type of ['text/plain', 'application/xml', 'application/jsonl']) assert.ok(!isJson(type), type);
});

test('timestamps are those of RFC 3339', () => {
  for (const good of [
    '2018-04-05T17:31:00Z',
    '2018-04-05t17:31:00.123456789z',
    '2018-04-05T03:56:24+02:00',
    '2016-12-31T23:59:60Z',
    '2024-02-29T00:00:00-23:59',
    '0000-01-01T00:00:00Z',
  ])
    assert.ok(isTimestamp(good), good);
  for (const bad of [
    '',
    '2018-04-05',
    '2018-04-05T17:31:00',
    '2018-04-05 17:31:00Z',
    '2018-04-05T17:31:00.Z',
    '2018-04-05T17:31:00Zx',
    '2018-13-05T17:31:00Z',
    '2018-04-31T17:31:00Z',
    '2018-04-05T24:00:00Z',
    '2018-04-05T17:60:00Z',
    '2018-04-05T17:31:61Z',
    '2018-04-05T17:31:00+0200',
    '2018-04-05T17:31:00+02:00Z',
    '1900-02-29T00:00:00Z',
    '２018-04-05T17:31:00Z',
  ])
    assert.ok(!isTimestamp(bad), bad);
});

test('bytes of a text are those of UTF-8, and forbidden characters are found', () => {
  for (const good of ['', 'abc', 'é€😀', '\u00a0', '\ufdf0', '\u{10fffd}'])
    assert.equal(textBytes(good), Buffer.byteLength(good), JSON.stringify(good));
  for (const bad of ['\0', 'a\n', '\x7f', '\x80', 'a\udc00', '\ud83d', '\ufdd0', '\ufffe', '\u{1fffe}'])
    assert.equal(textBytes(bad), -1, JSON.stringify(bad));
  assert.ok(isUriReference("a-._~:/?#[]@!$&'()*+,;=%20é"));
  for (const bad of ['a b', 'a"b', 'a\\b', '%zz', '%', 'a\tb']) assert.ok(!isUriReference(bad), bad);
});

test('every event has the same keys in the same order, however it was made', () => {
  const keys = Object.keys(make());
  const made = makeEvent('i', 's', 't', undefined, undefined, undefined, undefined, {}, undefined);
  assert.deepEqual(Object.keys(made), keys);
  assert.deepEqual(Object.keys(withAttributes(made, { subject: 'x' })), keys);
});
