/** A Kafka message that is no CloudEvent as the event that Knative's KafkaSource makes of it. Pure. */
import { type CloudEvent, makeEvent, withAttributes } from '../../../cloudevents/event.ts';
import { fromKafka, isKafkaEvent } from '../../../cloudevents/kafka.ts';
import { attributeName, attributeText, carried, mediaType } from '../../connectors/messages.ts';

export interface KafkaMessage {
  topic: string;
  partition: number;
  offset: bigint;
  /** Milliseconds since the epoch. */
  timestamp: bigint;
  key?: Buffer;
  /** Absent: a tombstone. */
  value?: Buffer;
  headerEntries: [Buffer, Buffer][];
}

/** The event. `namespace` and `name` are of the source. */
export function plainEvent(message: KafkaMessage, namespace: string, name: string): CloudEvent {
  const { topic, partition, offset, timestamp, key, value, headerEntries: headers } = message;
  const extensions: Record<string, string> = {};
  let contentType: string | undefined;
  for (const [header, content] of headers) {
    const title = header.toString('utf8');
    if (title.toLowerCase() === 'content-type') contentType = attributeText(content);
    const plain = attributeName(title);
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
    mediaType(contentType),
    undefined,
    extensions,
    value,
  );
}

/** The event of a message: the one that it carries, with the key of the message, else the one about it. */
export function toEvent(message: KafkaMessage, namespace: string, name: string): CloudEvent {
  const { key, value, headerEntries: headers } = message;
  if (!isKafkaEvent(headers)) return plainEvent(message, namespace, name);
  const event = carried(
    () => fromKafka({ headers, value }),
    () => plainEvent(message, namespace, name),
  );
  return key === undefined || event.extensions.partitionkey !== undefined
    ? event
    : withAttributes(event, { partitionkey: attributeText(key) });
}
