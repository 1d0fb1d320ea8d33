/** A Kafka message that is no CloudEvent as the event that Knative's KafkaSource makes of it. Pure. */
import { type CloudEvent, makeEvent } from '../../../cloudevents/event.ts';
import { badTextAt } from '../../../cloudevents/text.ts';

export interface KafkaMessage {
  topic: string;
  partition: number;
  offset: bigint;
  /** Milliseconds since the epoch. */
  timestamp: bigint;
  key?: Buffer;
  /** Absent: a tombstone. */
  value?: Buffer;
  headers: [Buffer, Buffer][];
}

/** The event. `namespace` and `name` are of the source. */
export function plainEvent(message: KafkaMessage, namespace: string, name: string): CloudEvent {
  const { topic, partition, offset, timestamp, key, value, headers } = message;
  const extensions: Record<string, string> = {};
  let contentType: string | undefined;
  for (const [header, content] of headers) {
    const title = header.toString('utf8');
    if (title.toLowerCase() === 'content-type') contentType = attributeText(content);
    const plain = title.toLowerCase().replace(/[^a-z0-9]/g, '');
    if (plain !== '') extensions[`kafkaheader${plain}`] = attributeText(content);
  }
  if (key !== undefined) {
    extensions.key = attributeText(key);
    extensions.partitionkey = extensions.key;
  }
  return makeEvent(
    `partition:${partition}/offset:${offset}`,
    `/apis/v1/namespaces/${namespace}/kafkasources/${name}#${encodeURIComponent(topic)}`,
    'dev.knative.kafka.event',
    `partition:${partition}#${offset}`,
    timestamp > 0n ? new Date(Number(timestamp)).toISOString() : undefined,
    contentType !== undefined && /^[^/;\s]+\/[^;\s]/.test(contentType) ? contentType : undefined,
    undefined,
    extensions,
    value,
  );
}

/** As text where it is some that an attribute can have, else base64: nothing is lost. */
function attributeText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return badTextAt(text) < 0 && !text.includes('\uFFFD') ? text : bytes.toString('base64');
}

/** The event of a message: the one that it carries, else the one about it. */
export function toEvent(message: KafkaMessage, namespace: string, name: string): CloudEvent {
  return plainEvent(message, namespace, name);
}
