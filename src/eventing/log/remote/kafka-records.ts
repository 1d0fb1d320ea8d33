/**
 * Events of a stream as Kafka records, in the binary binding, so that whoever else reads the topic finds events in it. One header more says
 * whose they are: the Broker's uid, as a digest, and the digest of the event's key where a window of duplicates is kept. Pure.
 */
import { createHash } from 'node:crypto';
import type { KafkaRecord, MessageToProduce, RecordsBatch } from '../../../clients/kafka/index.ts';
import { fromKafka, isKafkaEvent, toKafka } from '../../../cloudevents/kafka.ts';
import { decodeRecord, encodeRecord } from '../../../cloudevents/record.ts';
import type { Entry } from '../contract.ts';
import { writeDigest } from '../dedup.ts';
import { KEY_BYTES } from '../frame.ts';

const HEADER = Buffer.from('petrel');
const UID_BYTES = 8;
/** Attributes of a batch. Source: Kafka's record batch format. */
const BATCH = { timeOfAppend: 8, control: 32 };
/** An event's own limits are looked at where it comes in. */
const NO_LIMITS = { attributes: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY };

export type Message = MessageToProduce<Buffer, Buffer, Buffer, Buffer>;

/** Whose events they are: a Broker of the same name later begins anew. */
export const labelOf = (uid: string): Buffer =>
  createHash('sha256').update(uid).digest().subarray(0, UID_BYTES);

/** What a record of ours costs beyond the event's own bytes, about. */
export const RECORD_OVERHEAD = 64;

export function toMessage(
  topic: string,
  record: Buffer,
  at: number,
  label: Buffer,
  key?: Uint32Array,
): Message {
  const event = decodeRecord(record);
  // Headers are text, and the client sends empty values as none: what would not come back the same goes as JSON.
  const plain =
    event.data?.length !== 0 && Object.values(event.extensions).every((value) => typeof value === 'string');
  const made = toKafka(event, { mode: plain ? 'binary' : 'structured' });
  const headers = new Map<Buffer, Buffer>();
  for (const [name, value] of made.headers) headers.set(Buffer.from(name), Buffer.from(value));
  let tag = label;
  if (key !== undefined) {
    tag = Buffer.allocUnsafe(UID_BYTES + KEY_BYTES);
    tag.set(label);
    writeDigest(key, tag, UID_BYTES);
  }
  headers.set(HEADER, tag);
  return {
    topic,
    partition: 0,
    timestamp: BigInt(at),
    headers,
    ...(made.key === undefined ? {} : { key: made.key }),
    ...(made.value === null ? {} : { value: made.value }),
  };
}

/** A record of the topic. */
export interface Found {
  offset: number;
  at: number;
  /** What it has in the topic, bytes, about. */
  bytes: number;
  /** Undefined: somebody else has written it. */
  label: Buffer | undefined;
  /** Where the digest of the event's key is. */
  key: { buffer: Buffer; position: number } | undefined;
  /** @throws InvalidEvent when it is none. */
  entry(): Entry;
}

/** The records of a batch; transactions' marks are none. */
export function foundIn(batch: RecordsBatch): Found[] {
  if ((batch.attributes & BATCH.control) !== 0) return [];
  const first = Number(batch.firstOffset);
  const appended = (batch.attributes & BATCH.timeOfAppend) === 0 ? undefined : Number(batch.maxTimestamp);
  return batch.records.map((record) => {
    const tag = tagOf(record);
    const offset = first + record.offsetDelta;
    const at = appended ?? Number(batch.firstTimestamp + record.timestampDelta);
    return {
      offset,
      at,
      bytes: record.length,
      label: tag?.subarray(0, UID_BYTES),
      key: tag?.length === UID_BYTES + KEY_BYTES ? { buffer: tag, position: UID_BYTES } : undefined,
      entry: () => ({ offset, at, record: recordOf(record) }),
    };
  });
}

/** The offset after a batch. */
export const endOf = (batch: RecordsBatch): number => Number(batch.firstOffset) + batch.lastOffsetDelta + 1;

/** It is written last. */
function tagOf({ headers }: KafkaRecord): Buffer | undefined {
  for (let i = headers.length - 1; i >= 0; i--) {
    const [name, value] = headers[i] ?? [];
    if (name?.equals(HEADER) && value && value.length >= UID_BYTES) return value;
  }
  return undefined;
}

function recordOf({ headers, value }: KafkaRecord): Buffer {
  const own = headers.filter(
    (header): header is [Buffer, Buffer | null] => header[0] !== null && !header[0].equals(HEADER),
  );
  if (!isKafkaEvent(own)) throw new Error('it is no event');
  return encodeRecord(fromKafka({ headers: own, value }, NO_LIMITS));
}
