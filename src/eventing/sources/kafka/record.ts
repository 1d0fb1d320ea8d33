/** A Kafka message that is no CloudEvent as the event that Knative's KafkaSource makes of it. Pure. */
import { type CloudEvent, withAttributes } from '../../../cloudevents/event.ts';
import { fromKafka, isKafkaEvent } from '../../../cloudevents/kafka.ts';
import { about, attributeName, attributeText, carried } from '../../connectors/messages.ts';

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
  return about({
    id: `partition:${partition}/offset:${offset}`,
    type: 'dev.knative.kafka.event',
    origin: { namespace, name, plural: 'kafkasources', of: topic },
    subject: `partition:${partition}#${offset}`,
    at: timestamp > 0n ? Number(timestamp) : undefined,
    contentType,
    extensions,
    data: value,
  });
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
