/** A topic of one partition, as a stream needs it. The client makes its connections anew by itself; each call says how it went. */
import { type Clock, sleep } from '../../../base/clock.ts';
import type { Admin, Consumer, Producer } from '../../../clients/kafka/index.ts';
import { cutOff, kafkaOptions, kafkaReason } from '../../connectors/kafka.ts';
import { within } from '../../connectors/leave.ts';
import { causes } from '../../connectors/persist.ts';
import { endOf, type Found, foundIn, type Message } from './kafka-records.ts';

type Client = typeof import('../../../clients/kafka/index.ts');

export interface TopicOptions {
  client: Client;
  /** What `kafkaOptions` takes. */
  config: Parameters<typeof kafkaOptions>[0];
  name: string;
  clientId: string;
  /** Absent: what the brokers say. */
  replicas: number | undefined;
  clock: Clock;
}

/** A request that is not answered for so long has failed, ms. */
const REQUEST_MS = 5000;
/** Events that nobody needs leave the disk with their segment, bytes. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
/** What a request has beyond its records. */
const OVERHEAD = 128 * 1024;
const PARTITION = 0;
/** What the clients may take to close, ms. */
const CLOSE_MS = 2000;
/** Wait before a new topic is asked for again, ms. */
const SETTLE_MS = 50;

/** Whether Kafka answered with this error. */
export const answered = (error: unknown, id: string): boolean =>
  [...causes(error)].some((one) => (one as { apiId?: string }).apiId === id);

/** Whether the topic is not there, or not the one that it was. */
export const isGone = (error: unknown): boolean =>
  kafkaReason(error) === 'TopicNotFound' ||
  answered(error, 'UNKNOWN_TOPIC_ID') ||
  answered(error, 'INCONSISTENT_TOPIC_ID');

export interface Fetched {
  found: Found[];
  /** Offset to go on from. */
  next: number;
  /** Offset of the oldest record kept. */
  start: number;
}

export class Topic {
  readonly #options: TopicOptions;
  readonly #admin: Admin;
  readonly #producer: Producer;
  /** A fetch that waits holds up what comes after it on its connection. */
  readonly #follower: Consumer;
  readonly #reader: Consumer;

  constructor(options: TopicOptions) {
    this.#options = options;
    const { client, config, clientId, name } = options;
    const common = { ...kafkaOptions(config, clientId), requestTimeout: REQUEST_MS, retries: 0 };
    this.#admin = new client.Admin(common);
    this.#producer = new client.Producer({
      ...common,
      acks: client.ProduceAcks.ALL,
      timeout: REQUEST_MS,
      autocreateTopics: false,
    });
    // It joins no group: the name is only what the client asks for.
    const reading = { ...common, groupId: clientId, requestTimeout: 2 * REQUEST_MS };
    this.#follower = new client.Consumer(reading);
    this.#reader = new client.Consumer(reading);
    for (const consumer of [this.#follower, this.#reader]) consumer.topics.track(name);
  }

  /** Makes the topic where it is not there. One of the same name that was made later has another id. */
  async make(maxEventBytes: number): Promise<{ id: string; partitions: number }> {
    const { name, replicas } = this.#options;
    const configs = configsOf(maxEventBytes);
    try {
      await this.#admin.createTopics({
        topics: [name],
        partitions: 1,
        replicas: replicas ?? -1,
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      });
    } catch (error) {
      if (!answered(error, 'TOPIC_ALREADY_EXISTS')) throw error;
      await this.configure(maxEventBytes);
    }
    return this.#known();
  }

  /** Brokers hear of a new topic some time after it is made; each client has its own idea of it. */
  async #known(): Promise<{ id: string; partitions: number }> {
    const { clock } = this.#options;
    const end = clock.monotonic() + REQUEST_MS;
    for (;;) {
      this.lookAgain();
      try {
        const [{ topicId: id, partitions }] = await Promise.all([
          this.#place(this.#reader),
          this.#place(this.#follower),
          this.#place(this.#producer),
          this.range(),
        ]);
        return { id, partitions };
      } catch (error) {
        if (clock.monotonic() > end) throw error;
        await sleep(clock, SETTLE_MS);
      }
    }
  }

  async configure(maxEventBytes: number): Promise<void> {
    const { client, name } = this.#options;
    await this.#admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: client.ConfigResourceTypes.TOPIC,
          resourceName: name,
          configs: Object.entries(configsOf(maxEventBytes)).map(([key, value]) => ({
            name: key,
            value,
            configOperation: client.IncrementalAlterConfigOperationTypes.SET,
          })),
        },
      ],
    });
  }

  /** The first offset at or after a time; undefined: there is none. */
  seek(at: number): Promise<number | undefined> {
    return this.#offset(BigInt(Math.max(at, 0)));
  }

  /** Offsets of the oldest record and after the newest. */
  async range(): Promise<{ start: number; end: number }> {
    const { LATEST, EARLIEST } = this.#options.client.ListOffsetTimestamps;
    const [start = 0, end = 0] = await Promise.all([this.#offset(EARLIEST), this.#offset(LATEST)]);
    return { start, end };
  }

  async #offset(timestamp: bigint): Promise<number | undefined> {
    const [found] = await this.#admin.listOffsets({
      topics: [{ name: this.#options.name, partitions: [{ partitionIndex: PARTITION, timestamp }] }],
    });
    const offset = Number(found?.partitions[0]?.offset ?? -1);
    return offset < 0 ? undefined : offset;
  }

  /** Offset of the first of them. They are on as many replicas as the topic asks for. */
  async send(messages: Message[]): Promise<number> {
    const { offsets } = await this.#producer.send({ messages });
    const first = offsets?.[0]?.offset;
    if (first === undefined || first < 0n) throw new Error('Kafka did not say where the events are');
    return Number(first);
  }

  /** What comes from that offset on; waits for something so long. */
  follow(from: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    return this.#fetch(this.#follower, from, maxBytes, waitMs);
  }

  read(from: number, maxBytes: number): Promise<Fetched> {
    return this.#fetch(this.#reader, from, maxBytes, 500);
  }

  async #fetch(consumer: Consumer, from: number, maxBytes: number, maxWaitTime: number): Promise<Fetched> {
    const { client } = this.#options;
    const { node, topicId } = await this.#place(consumer);
    const { responses } = await consumer.fetch({
      node,
      minBytes: 1,
      maxBytes,
      maxWaitTime,
      isolationLevel: client.FetchIsolationLevels.READ_UNCOMMITTED,
      topics: [
        {
          topicId,
          partitions: [
            {
              partition: PARTITION,
              currentLeaderEpoch: -1,
              fetchOffset: BigInt(from),
              lastFetchedEpoch: -1,
              partitionMaxBytes: maxBytes,
            },
          ],
        },
      ],
    });
    const part = responses[0]?.partitions[0];
    const batches = part?.records ?? [];
    const last = batches.at(-1);
    return {
      // A batch comes whole.
      found: batches.flatMap(foundIn).filter(({ offset }) => offset >= from),
      next: last === undefined ? from : Math.max(from, endOf(last)),
      start: Number(part?.logStartOffset ?? -1n),
    };
  }

  async #place(
    consumer: Consumer | Producer,
  ): Promise<{ node: number; topicId: string; partitions: number }> {
    const { name } = this.#options;
    const { topics } = await consumer.metadata({ topics: [name] });
    const topic = topics.get(name);
    const partition = topic?.partitions[PARTITION];
    if (topic === undefined || partition === undefined) throw new Error(`Unknown topic ${name}`);
    return { node: partition.leader, topicId: topic.id, partitions: topic.partitionsCount };
  }

  /** What is before that offset is gone. */
  async dropUntil(offset: number): Promise<void> {
    await this.#admin.deleteRecords({
      topics: [
        {
          name: this.#options.name,
          partitions: [{ partition: PARTITION, offset: BigInt(offset) }],
        },
      ],
    });
  }

  /** Forgets who leads: after a failure somebody else may. */
  lookAgain(): void {
    for (const each of [this.#admin, this.#producer, this.#follower, this.#reader]) each.clearMetadata();
  }

  async remove(): Promise<void> {
    await this.#admin.deleteTopics({ topics: [this.#options.name] });
  }

  async close(): Promise<void> {
    const closed = Promise.allSettled([
      this.#producer.close(true),
      this.#follower.close(true),
      this.#reader.close(true),
      this.#admin.close(),
    ]);
    await within(this.#options.clock, closed, CLOSE_MS);
    cutOff([this.#producer, this.#follower, this.#reader, this.#admin]);
  }
}

/** Nothing goes by itself: what is kept, and how long, is the stream's to say. */
const configsOf = (maxEventBytes: number): Record<string, string> => ({
  'cleanup.policy': 'delete',
  'retention.ms': '-1',
  'retention.bytes': '-1',
  'segment.bytes': String(SEGMENT_BYTES),
  'max.message.bytes': String(maxEventBytes + OVERHEAD),
});
