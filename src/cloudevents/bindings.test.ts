import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../test/lib/random.ts';
import { fromAmqp, isAmqpEvent, toAmqp } from './amqp.ts';
import { STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, InvalidEvent, newEvent } from './event.ts';
import { toJson } from './json.ts';
import { fromKafka, isKafkaEvent, toKafka } from './kafka.ts';
import { fromMqtt, isMqttEvent, toMqtt } from './mqtt.ts';
import { fromNats, toNats } from './nats.ts';
import { arbitraryEvent } from './testing/events.ts';

const make = (fields: object = {}): CloudEvent =>
  newEvent({ type: 't', source: '/s', time: '2026-11-21T00:00:00Z', ...fields }, 0, () => '1');

/** As forms without types give an event back: extensions are their canonical strings. */
const asText = (event: CloudEvent): CloudEvent => ({
  ...event,
  extensions: Object.fromEntries(
    Object.entries(event.extensions).map(([name, value]) => [name, String(value)]),
  ),
});

const MODES = ['binary', 'structured'] as const;

test('any event comes back the same through every protocol and mode', () => {
  const random = seeded(13);
  for (let round = 0; round < 200; round++) {
    const event = arbitraryEvent(random);
    for (const mode of MODES) {
      const expected = mode === 'binary' ? asText(event) : event;
      const kafka = toKafka(event, { mode });
      assert.deepEqual(
        fromKafka({ headers: new Map(kafka.headers), value: kafka.value }),
        expected,
        `kafka ${mode}`,
      );
      assert.deepEqual(fromNats(toNats(event, mode)), expected, `nats ${mode}`);
      const amqp = toAmqp(event, mode);
      assert.deepEqual(fromAmqp(amqp), event, `amqp ${mode}`);
      assert.deepEqual(fromMqtt(toMqtt(event, 5, mode)), expected, `mqtt 5 ${mode}`);
      assert.deepEqual(fromMqtt(toMqtt(event, 4, mode)), event, `mqtt 3 ${mode}`);
    }
  }
});

test('an event inside an event goes structured where the content type would tell of the inner one', () => {
  const outer = make({
    subject: 'outer',
    datacontenttype: STRUCTURED_JSON,
    data: toJson(make({ subject: 'inner' })),
  });
  const kafka = toKafka(outer);
  assert.deepEqual(fromKafka(kafka), outer);
  assert.deepEqual(fromNats(toNats(outer)), outer);
  assert.deepEqual(fromAmqp(toAmqp(outer)), outer);
  assert.deepEqual(fromMqtt(toMqtt(outer, 5)), outer);
});

test('Kafka: headers with ce_, the content type apart, no percent-encoding', () => {
  const event = make({ subject: 'Zürich %', datacontenttype: 'text/plain', data: 'x', extensions: { n: 5 } });
  assert.deepEqual(toKafka(event), {
    key: undefined,
    value: Buffer.from('x'),
    headers: [
      ['ce_specversion', '1.0'],
      ['ce_id', '1'],
      ['ce_source', '/s'],
      ['ce_type', 't'],
      ['ce_subject', 'Zürich %'],
      ['ce_time', '2026-11-21T00:00:00Z'],
      ['ce_n', '5'],
      ['content-type', 'text/plain'],
    ],
  });
  const bytes = toKafka(event).headers.map(
    ([name, value]) => [Buffer.from(name), Buffer.from(value)] as const,
  );
  assert.deepEqual(
    fromKafka({
      headers: new Map([...bytes, [Buffer.from('other'), Buffer.from([255])]]),
      value: event.data,
    }),
    asText(event),
  );
  assert.ok(isKafkaEvent(bytes));
  assert.ok(isKafkaEvent([['Content-Type', STRUCTURED_JSON]]));
  assert.ok(!isKafkaEvent([['content-type', 'application/json']]));
  assert.ok(!isKafkaEvent(undefined));
});

test('Kafka: the key is what was given, or the partition key; a tombstone is an event without data', () => {
  const event = make({ extensions: { partitionkey: 'p-1' } });
  assert.deepEqual(toKafka(event).key, Buffer.from('p-1'));
  assert.deepEqual(toKafka(event, { key: 'k' }).key, Buffer.from('k'));
  assert.deepEqual(toKafka(event, { mode: 'structured' }).key, Buffer.from('p-1'));
  assert.equal(fromKafka(toKafka(event)).extensions.partitionkey, 'p-1');
  assert.equal(toKafka(event).value, null);
  assert.notEqual(toKafka(event, { mode: 'structured' }).value, null);
  assert.equal(fromKafka(toKafka(make({ data: '' }))).data?.length, 0);
});

test('Kafka: broken records are refused by attribute', () => {
  const good = toKafka(make()).headers;
  const refused = (headers: [string, string | Buffer][], value: Buffer | null = null) => {
    try {
      fromKafka({ headers, value });
    } catch (thrown) {
      assert.ok(thrown instanceof InvalidEvent);
      return [thrown.attribute, thrown.status];
    }
    return [];
  };
  assert.deepEqual(refused([]), ['specversion', 400]);
  assert.deepEqual(refused([...good, ['ce_id', '2']]), ['id', 400]);
  assert.deepEqual(refused([...good, ['ce_Bad', '2']]), ['Bad', 400]);
  assert.deepEqual(refused([...good, ['ce_x', Buffer.from([0xc0])]]), ['x', 400]);
  assert.deepEqual(refused([['content-type', STRUCTURED_JSON]]), ['', 400]);
  assert.deepEqual(refused([['content-type', 'application/cloudevents-batch+json']]), ['', 415]);
  assert.deepEqual(refused([['content-type', 'application/cloudevents+avro']]), ['', 415]);
});

test('NATS: headers as in HTTP with the content type among them; without headers it is JSON', () => {
  const event = make({ subject: 'Zürich', datacontenttype: 'text/plain', data: 'x' });
  assert.deepEqual(Object.fromEntries(toNats(event).headers), {
    'ce-specversion': '1.0',
    'ce-id': '1',
    'ce-source': '/s',
    'ce-type': 't',
    'ce-subject': 'Z%C3%BCrich',
    'ce-time': '2026-11-21T00:00:00Z',
    'ce-datacontenttype': 'text/plain',
  });
  assert.deepEqual(fromNats({ data: toJson(event) }), event);
  assert.deepEqual(fromNats({ headers: [['Nats-Msg-Id', ['1']]], data: toJson(event) }), event);
  const lists = toNats(event).headers.map(([name, value]) => [name.toUpperCase(), [value]] as const);
  assert.deepEqual(fromNats({ headers: lists, data: event.data! }), event);
  const without = toNats(event).headers.filter(([name]) => name !== 'ce-datacontenttype');
  assert.equal(
    fromNats({ headers: [...without, ['Content-Type', 'a/b']], data: event.data! }).datacontenttype,
    'a/b',
  );
  assert.throws(() => fromNats({ headers: [['ce-id', ['1', '2']]], data: event.data! }), { attribute: 'id' });
  assert.throws(() => fromNats({ data: Buffer.from('text') }), InvalidEvent);
  for (const [, value] of toNats({ ...event, subject: 'a\r\nb: c' }).headers) assert.match(value, /^[!-~]*$/);
});

test('AMQP: both prefixes, native types both ways', () => {
  const event = make({ datacontenttype: 'text/plain', data: 'x', extensions: { n: 5, yes: true } });
  const sent = toAmqp(event);
  assert.equal(sent.contentType, 'text/plain');
  assert.deepEqual(sent.properties, {
    cloudEvents_specversion: '1.0',
    cloudEvents_id: '1',
    cloudEvents_source: '/s',
    cloudEvents_type: 't',
    cloudEvents_time: '2026-11-21T00:00:00Z',
    cloudEvents_n: 5,
    cloudEvents_yes: true,
  });
  const colons = Object.entries(sent.properties).map(([name, value]) => [name.replace('_', ':'), value]);
  assert.deepEqual(fromAmqp({ ...sent, properties: Object.fromEntries(colons) }), event);
  assert.ok(isAmqpEvent(sent) && isAmqpEvent({ contentType: STRUCTURED_JSON }));
  assert.ok(!isAmqpEvent({ contentType: 'text/plain', properties: { id: '1' } }));
  const native = (more: object) => fromAmqp({ ...sent, properties: { ...sent.properties, ...more } });
  assert.equal(native({ cloudEvents_time: new Date(0) }).time, '1970-01-01T00:00:00.000Z');
  assert.equal(native({ cloudEvents_time: { '!': 'timestamp', value: 1 } }).time, '1970-01-01T00:00:01.000Z');
  assert.equal(native({ cloudEvents_n: 7n }).extensions.n, 7);
  assert.equal(native({ cloudEvents_n: Buffer.from([1, 2]) }).extensions.n, 'AQI=');
  assert.equal(native({ 'x-death': [{}], cloudEvents_n: null }).extensions.n, undefined);
  for (const wrong of [2n ** 40n, 1.5, {}, new Date(Number.NaN), []])
    assert.throws(() => native({ cloudEvents_n: wrong }), { attribute: 'n' });
  assert.throws(() => native({ cloudEvents_id: 5 }), { attribute: 'id' });
  assert.throws(() => native({ 'cloudEvents:id': '2' }), { attribute: 'id' });
});

test('MQTT: names as they are in MQTT 5, JSON alone before', () => {
  const event = make({ datacontenttype: 'text/plain', data: 'x', extensions: { n: 5 } });
  assert.deepEqual(toMqtt(event, 5), {
    payload: Buffer.from('x'),
    properties: {
      contentType: 'text/plain',
      userProperties: {
        specversion: '1.0',
        id: '1',
        source: '/s',
        type: 't',
        time: '2026-11-21T00:00:00Z',
        n: '5',
      },
    },
  });
  assert.equal(toMqtt(event, 4).properties, undefined);
  assert.ok(isMqttEvent(toMqtt(event, 5)) && isMqttEvent(toMqtt(event, 5, 'structured')));
  assert.ok(!isMqttEvent(toMqtt(event, 4)));
  const { payload, properties } = toMqtt(event, 5);
  const user = (more: object, contentType = properties?.contentType) =>
    fromMqtt({
      payload,
      properties: { contentType, userProperties: { ...properties?.userProperties, ...more } },
    });
  assert.deepEqual(user({ 'Some-Other': 'y', data: 'z' }), asText(event));
  assert.equal(user({ datacontenttype: 'a/b' }).datacontenttype, 'text/plain');
  const { contentType: _, ...rest } = properties ?? {};
  const named = { ...rest.userProperties, datacontenttype: 'a/b' };
  assert.equal(fromMqtt({ payload, properties: { userProperties: named } }).datacontenttype, 'a/b');
  assert.throws(() => user({ id: ['1', '2'] }), { attribute: 'id' });
  assert.throws(() => user({ time: 'now' }), { attribute: 'time' });
  assert.deepEqual(fromMqtt({ payload: toJson(event), properties: {} }), event);
  assert.throws(() => fromMqtt({ payload: Buffer.from('21.5') }), InvalidEvent);
});
