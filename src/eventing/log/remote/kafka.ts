/**
 * Streams in Apache Kafka: a topic of one partition, whose offsets are the stream's. Acknowledged means that all replicas in sync have it.
 * Kafka neither refuses what is too much nor looks for duplicates: both is done here.
 */
import { createHash } from 'node:crypto';
import { sleep, type Timer } from '../../../base/clock.ts';
import { PetrelError } from '../../../base/errors.ts';
import { loadClient } from '../../../clients/load.ts';
import type { Fields } from '../../connectors/fields.ts';
import { KAFKA_FIELDS, kafkaName } from '../../connectors/kafka.ts';
import type { StreamSpec } from '../../model.ts';
import type { Entry } from '../contract.ts';
import { Dedup, DedupMemory, digest, digestIn } from '../dedup.ts';
import { FollowedStream, settingsOf } from './followed.ts';
import { lost, movedFrom, OPEN, type OpenRemote, type RemoteSurroundings } from './index.ts';
import { type Found, labelOf, RECORD_OVERHEAD, toMessage } from './kafka-records.ts';
import { answered, isGone, Topic } from './kafka-topic.ts';
import { TopicWriter, unreachable } from './kafka-writer.ts';

const FIELDS = {
  ...KAFKA_FIELDS,
  replicationFactor: {
    is: 'count',
    min: 1,
    max: 100,
    what: 'brokers that keep each event; default: what the brokers say',
  },
} as const satisfies Fields;

/** Wait after a failure, ms. */
const AGAIN_MS = 500;
/** How long Kafka holds a fetch of what is not there yet, ms. */
const WAIT_MS = 5000;
const FETCH_BYTES = 1024 * 1024;
/** Longest name of a topic. Source: Kafka, `Topic.MAX_NAME_LENGTH`. */
const NAME_LENGTH = 249;

/** Of all streams in Kafka. */
const memory = new DedupMemory();
/** Topics that are open, and whose: two Brokers may come to the same name. */
const open = new Map<string, string>();

/** Upstream's name of a Broker's topic. */
const topicOf = (key: string): string => {
  const name = `knative-${key.replace(/[^A-Za-z0-9._-]+/g, '-')}`;
  if (name.length <= NAME_LENGTH) return name;
  const mark = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return `${name.slice(0, NAME_LENGTH - 9)}-${mark}`;
};

export const openKafka: OpenRemote = async (spec, around) => {
  const stream = new KafkaStream(spec, { ...around, client: await loadClient('kafka') });
  try {
    await stream.begin();
  } catch (error) {
    await stream.close(false);
    throw error instanceof PetrelError ? error : unreachable(stream.place, error);
  }
  return stream;
};

interface Around extends RemoteSurroundings {
  client: typeof import('../../../clients/kafka/index.ts');
}

type Appended = { offset: number; duplicate: boolean };

class KafkaStream extends FollowedStream<Around> {
  /** The topic's. */
  readonly #name: string;
  #topic: Topic;
  #id = '';
  place = '';
  readonly #label: Buffer;
  readonly #writer: TopicWriter;
  #following: Promise<void> | undefined;
  /** Acknowledged, counted, and not heard of yet. */
  readonly #counted = new Set<number>();
  readonly #dedup = new Dedup(memory);
  readonly #coming = new Map<string, Promise<Appended>>();
  #expiry: Timer | undefined;
  /** What is no event is told of once. */
  #strange = false;

  constructor(spec: StreamSpec, around: Around) {
    super(spec, around, 0);
    this.#name = topicOf(spec.key);
    this.#label = labelOf(spec.uid);
    this.#topic = this.#reach();
    this.#writer = new TopicWriter(
      () => this.#topic,
      () => this.place,
    );
  }

  /** The topic, by what the spec says now. */
  #reach(): Topic {
    const settings = settingsOf(this.spec, FIELDS);
    this.place = kafkaName(settings);
    const { client, clock } = this.around;
    return new Topic({
      client,
      config: settings,
      name: this.#name,
      clientId: this.spec.key.replaceAll('/', '-'),
      replicas: settings.replicationFactor,
      clock,
    });
  }

  /** Makes the topic where it is not there, and follows it from its end on. */
  async begin(): Promise<void> {
    const other = open.get(this.#name);
    if (other !== undefined && other !== this.spec.key)
      throw new PetrelError('InvalidArgument', `the topic ${this.#name} is already that of ${other}`, {
        fix: 'Give the Broker another name.',
      });
    const { id, partitions } = await this.#topic.make(this.spec.maxEventBytes);
    if (partitions !== 1)
      throw new PetrelError(
        'InvalidArgument',
        `the topic ${this.#name} has ${partitions} partitions; a Broker's has one`,
        {
          why: 'the position of a Trigger is one number',
          fix: 'Delete the topic, or give the Broker another name.',
        },
      );
    let { start, end } = await this.#topic.range();
    const newest = await this.#newest(start, end);
    if (newest.others) {
      await this.#topic.dropUntil(end);
      start = end;
    }
    this.#id = id;
    this.start = start;
    this.end = end;
    this.bytes = Math.round((end - start) * newest.each);
    await this.#remember();
    open.set(this.#name, this.spec.key);
    this.#following = this.#follow();
  }

  /** Looks at the newest records: whether they are another Broker's, and how large they are. */
  async #newest(start: number, end: number): Promise<{ others: boolean; each: number }> {
    const seen: Found[] = [];
    for (let at = Math.max(start, end - 100); at < end; ) {
      const { found, next } = await this.#topic.read(at, FETCH_BYTES);
      if (next === at) break;
      seen.push(...found);
      at = next;
    }
    const last = seen.findLast(({ label }) => label !== undefined);
    return {
      others: last?.label !== undefined && !last.label.equals(this.#label),
      each: seen.reduce((sum, { bytes }) => sum + bytes, 0) / Math.max(seen.length, 1),
    };
  }

  /** The keys of the window, of before the start. */
  async #remember(): Promise<void> {
    const { dedupMs } = this.spec;
    if (dedupMs === 0 || this.start === this.end) return;
    const from = await this.#topic.seek(this.around.clock.now() - dedupMs);
    for (let at = Math.max(from ?? this.end, this.start); at < this.end; ) {
      const { found, next } = await this.#topic.read(at, FETCH_BYTES);
      if (next === at) break;
      for (const one of found) this.#keep(one);
      at = next;
    }
  }

  #keep({ key, offset, at }: Found): void {
    const { dedupMs } = this.spec;
    if (key === undefined || dedupMs === 0) return;
    if (this.#dedup.add(digestIn(key.buffer, key.position), offset, at, dedupMs)) this.#expire();
  }

  #expire(): void {
    const { clock } = this.around;
    const { dedupMs } = this.spec;
    const newest = this.#dedup.expire(clock.now() - dedupMs);
    this.#expiry?.cancel();
    this.#expiry =
      newest === undefined
        ? undefined
        : clock.after(Math.max(newest + dedupMs + 1 - clock.now(), 1000), () => this.#expire());
  }

  update(spec: StreamSpec): void {
    const before = this.spec;
    this.spec = spec;
    if (spec.dedupMs === 0) this.#dedup.clear();
    if (movedFrom(before, spec)) this.#move();
    else if (spec.maxEventBytes !== before.maxEventBytes)
      this.#topic
        .configure(spec.maxEventBytes)
        .catch((error: unknown) => this.warn('the limits of a topic could not be changed', error));
  }

  /** Reached in another way from now on. */
  #move(): void {
    const before = this.#topic;
    try {
      this.#topic = this.#reach();
    } catch (error) {
      this.around.report(this.spec.key, lost(error as PetrelError));
      return;
    }
    void before.close();
  }

  append(record: Buffer, at: number, dedupKey?: string): Promise<Appended> {
    if (this.closing.signal.aborted)
      return Promise.reject(unreachable(this.place, new Error('the stream is being closed')));
    const { dedupMs } = this.spec;
    if (dedupKey === undefined || dedupMs === 0) return this.#send(record, at);
    const first = this.#coming.get(dedupKey);
    if (first !== undefined) return first.then(({ offset }) => ({ offset, duplicate: true }));
    const words = digest(dedupKey);
    const known = this.#dedup.find(words, at, dedupMs);
    if (known >= 0) return Promise.resolve({ offset: known, duplicate: true });
    const coming = this.#send(record, at, words)
      .then((appended) => {
        if (this.#dedup.add(digest(dedupKey), appended.offset, at, dedupMs)) this.#expire();
        return appended;
      })
      .finally(() => this.#coming.delete(dedupKey));
    this.#coming.set(dedupKey, coming);
    return coming;
  }

  async #send(record: Buffer, at: number, key?: Uint32Array): Promise<Appended> {
    const bytes = record.length + RECORD_OVERHEAD;
    const { key: stream, hardMaxBytes } = this.spec;
    if (this.bytes + this.#writer.bytes + bytes > hardMaxBytes)
      throw new PetrelError('DiskFull', `${stream} is full`, {
        why: `it has ${this.bytes} of ${hardMaxBytes} bytes`,
        fix: 'See which subscription is behind (petrel trigger list), or give the Broker more room.',
      });
    const message = toMessage(this.#name, record, at, this.#label, key);
    const offset = await this.#writer.write(message, bytes);
    if (offset >= this.end) {
      this.bytes += bytes;
      this.#counted.add(offset);
    }
    return { offset, duplicate: false };
  }

  protected async readCold(from: number, maxBytes: number): Promise<Entry[]> {
    try {
      for (let at = from; at < this.end; ) {
        const { found, next } = await this.#topic.read(at, maxBytes);
        const entries = this.#entries(found.filter(({ offset }) => offset < this.end));
        if (entries.length > 0 || next === at) return entries;
        at = next;
      }
      return [];
    } catch (error) {
      throw unreachable(this.place, error);
    }
  }

  /** The events among records: those of another Broker that had the name are gone, and who else writes there may write anything. */
  #entries(found: readonly Found[]): Entry[] {
    const entries: Entry[] = [];
    for (const one of found) {
      if (one.label !== undefined && !one.label.equals(this.#label)) continue;
      try {
        entries.push(one.entry());
      } catch (error) {
        if (!this.#strange) this.warn('a record of the topic of a Broker is no event', error);
        this.#strange = true;
      }
    }
    return entries;
  }

  async seek(at: number): Promise<number> {
    const found = await this.#topic.seek(at);
    return Math.min(found ?? this.end, this.end);
  }

  /** Takes away what nobody needs and is too old or too much. */
  protected async retain(): Promise<void> {
    const count = this.end - this.start;
    if (count === 0) return;
    // Events of one stream are about alike.
    const each = Math.max(this.bytes / count, 1);
    const young = await this.seek(this.around.clock.now() - this.spec.maxAgeMs);
    const first = this.firstKept(young, each);
    if (first <= this.start) return;
    await this.#topic.dropUntil(first);
    this.bytes = Math.max(Math.round(this.bytes - (first - this.start) * each), 0);
    this.start = first;
  }

  /** Tells of what is appended, by whomever, in order; through lost connections. */
  async #follow(): Promise<void> {
    const { clock, report } = this.around;
    const { signal } = this.closing;
    const { key } = this.spec;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { found, next, start } = await this.#topic.follow(this.end, FETCH_BYTES, WAIT_MS);
        if (signal.aborted) return;
        this.start = Math.max(this.start, start);
        this.#hear(found, next);
        if (failures > 1) report(key, OPEN);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (++failures === 1) this.warn('the connection to a store of events is lost', error);
        // The first may be a change of the leader.
        else report(key, lost(unreachable(this.place, error)));
        await sleep(clock, AGAIN_MS, signal);
        await this.#recover(error).catch(() => {}); // the next fetch says why
      }
    }
  }

  /** What was followed may be another, or another part of it. */
  async #recover(error: unknown): Promise<void> {
    this.#topic.lookAgain();
    const gone = isGone(error);
    if (!gone && !answered(error, 'OFFSET_OUT_OF_RANGE')) return;
    const id = gone ? (await this.#topic.make(this.spec.maxEventBytes)).id : this.#id;
    const { start, end } = await this.#topic.range();
    const another = id !== this.#id;
    if (!another && end >= this.end && start <= this.end) return;
    this.hasLost({ start, end });
    this.#id = id;
    this.start = start;
    this.end = another ? start : Math.max(start, Math.min(this.end, end));
  }

  #hear(found: readonly Found[], next: number): void {
    for (const one of found) {
      this.#keep(one);
      if (!this.#counted.delete(one.offset)) this.bytes += one.bytes;
    }
    const entries = this.#entries(found);
    this.end = next;
    this.heard(entries);
  }

  async close(drop: boolean): Promise<void> {
    this.closing.abort();
    this.#expiry?.cancel();
    this.#dedup.clear();
    if (drop)
      await this.#topic
        .remove()
        .catch((error: unknown) => this.warn('a topic could not be taken away', error));
    await this.#topic.close();
    await this.#following;
    if (open.get(this.#name) === this.spec.key) open.delete(this.#name);
  }
}
