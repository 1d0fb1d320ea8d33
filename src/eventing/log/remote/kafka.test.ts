/** Streams in a real Kafka: the promises of the log's contract, and how others see the topic. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { kafkaServer } from '../../../../test/lib/brokers/kafka.ts';
import { Admin, Producer } from '../../../clients/kafka/index.ts';
import { type AttributeValue, makeEvent } from '../../../cloudevents/event.ts';
import { decodeRecord, encodeRecord } from '../../../cloudevents/record.ts';
import { openKafka } from './kafka.ts';
import { all, around, holdToPromises, recordOf, texts, told } from './testing/promises.ts';

const server = await kafkaServer({ users: { alice: 'alice-secret' } });
const bootstrap = typeof server === 'string' ? '' : server.bootstrap;
const topicOf = (key: string) => `knative-${key.replaceAll('/', '-')}`;
holdToPromises('Kafka', {
  type: 'kafka',
  server,
  config: () => ({ bootstrapServers: [bootstrap] }),
  open: openKafka,
  wrong: { bootstrapServers: [bootstrap], replicationFactor: 0 },
  nowhere: { bootstrapServers: ['127.0.0.1:1'] },
  more({ spec, open }) {
    const clients = async () => {
      const options = { clientId: 'test', bootstrapBrokers: [bootstrap] };
      const [admin, producer] = [new Admin(options), new Producer({ ...options, acks: -1 })];
      after(() => Promise.allSettled([admin.close(), producer.close(true)]));
      return { admin, producer };
    };

    test('every event comes back the same', async () => {
      const stream = await open(spec());
      const event = (extensions: Record<string, AttributeValue>, data?: Buffer, type?: string) =>
        encodeRecord(
          makeEvent('ü 1', '/s', 't', 'sub', '2026-11-21T10:00:00Z', type, undefined, extensions, data),
        );
      const records = [
        event({}),
        event({}, Buffer.alloc(0), 'text/plain'),
        event({ count: 3, sure: true, text: '3' }, Buffer.from([0, 255]), 'image/png'),
        event({ partitionkey: 'k' }, Buffer.from('{}'), 'application/json'),
        event({ count: 1 }, Buffer.from('{"a":[1]}'), 'application/json'),
        event({}, Buffer.from('{"specversion":"1.0"}'), 'application/cloudevents+json'),
      ];
      const heard = told(stream);
      for (const record of records) await stream.append(record, Date.now());
      await heard.until(records.length);
      assert.deepEqual(
        heard.entries.map(({ record }) => decodeRecord(record)),
        records.map((record) => decodeRecord(record)),
      );
    });

    test('others who write to the topic are heard where it is an event, and passed over where it is none', async () => {
      const of = spec();
      const stream = await open(of);
      const heard = told(stream);
      const { producer } = await clients();
      const topic = topicOf(of.key);
      const headers = new Map(
        Object.entries({ ce_specversion: '1.0', ce_id: 'x', ce_source: '/o', ce_type: 't' }).map(
          ([name, value]) => [Buffer.from(name), Buffer.from(value)],
        ),
      );
      await producer.send({
        messages: [
          { topic, value: Buffer.from('no event') },
          { topic, value: Buffer.from('an event'), headers },
        ],
      });
      await stream.append(recordOf('ours'), Date.now());
      await heard.until(2);
      assert.deepEqual(texts(heard.entries), ['an event', 'ours']);
      assert.deepEqual(
        heard.entries.map(({ offset }) => offset),
        [1, 2],
      );
      await stream.close(false);
      assert.deepEqual(texts(await all(await open(of))), ['an event', 'ours']);
    });

    test('a topic that has more partitions, or is another Broker’s, is refused', async () => {
      const of = spec();
      const { admin } = await clients();
      await admin.createTopics({ topics: [topicOf(of.key)], partitions: 3, replicas: 1 });
      await assert.rejects(openKafka(of, around), { code: 'InvalidArgument', message: /3 partitions/ });
      await open(spec({ key: 'broker/a-b/c' }));
      await assert.rejects(openKafka(spec({ key: 'broker/a/b-c' }), around), { code: 'InvalidArgument' });
    });

    test('a topic that somebody takes away is made again', async () => {
      const of = spec();
      const stream = await open(of);
      const heard = told(stream);
      await stream.append(recordOf('lost'), Date.now());
      await heard.until(1);
      const { admin } = await clients();
      await admin.deleteTopics({ topics: [topicOf(of.key)] });
      for (;;) {
        try {
          await stream.append(recordOf('kept'), Date.now());
          break;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
      await heard.until(2);
      assert.equal(texts(heard.entries).at(-1), 'kept');
    });

    test('SASL and TLS', async () => {
      if (typeof server === 'string') return;
      const sasl = (password: string) => ({
        bootstrapServers: [server.sasl],
        sasl: { mechanism: 'SCRAM-SHA-256', username: 'alice', password },
      });
      for (const config of [
        sasl('alice-secret'),
        { bootstrapServers: [server.tls], tls: { caCerts: server.ca } },
      ]) {
        const stream = await open(spec({ backend: { type: 'kafka', config } }));
        await stream.append(recordOf('x'), Date.now());
        assert.deepEqual((await stream.append(recordOf('y'), Date.now())).duplicate, false);
      }
      await assert.rejects(openKafka(spec({ backend: { type: 'kafka', config: sasl('wrong') } }), around), {
        code: 'NotReady',
      });
    });
  },
});
