/** Events as Kafka records. Source: cloudevents/spec, `bindings/kafka-protocol-binding.md`. */
import { isUtf8 } from 'node:buffer';
import { EventBuilder } from './builder.ts';
import { contentMode, fromStructured, STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, DEFAULT_LIMITS, type EventLimits, InvalidEvent } from './event.ts';
import { toJson } from './json.ts';

/** Names and values as clients have them: a `Map`, a list of pairs, `Object.entries`; bytes or text. */
export type KafkaHeaders = Iterable<readonly [string | Buffer, string | Buffer | null | undefined]>;

/** What of a record an event is read from. */
export interface KafkaRecord {
  headers?: KafkaHeaders | null;
  /** Null is a tombstone. */
  value?: Buffer | null;
}

/** A record to send. */
export interface KafkaMessage {
  /** Undefined: the partition is the client's choice. */
  key: Buffer | undefined;
  /** Null, a tombstone, where a binary event has no data. */
  value: Buffer | null;
  headers: [name: string, value: string][];
}

/** Whether a record claims to be an event; topics carry anything. */
export function isKafkaEvent(headers: KafkaHeaders | null | undefined): boolean {
  for (const [name, value] of headers ?? []) {
    const text = String(name);
    if (text === 'ce_specversion') return true;
    if (isContentType(text) && value && contentMode(String(value)) !== 'binary') return true;
  }
  return false;
}

/**
 * The event of a record. Its key is not part of it. No value (a tombstone) is no data, an empty value is empty data.
 * @throws InvalidEvent
 */
export function fromKafka({ headers, value }: KafkaRecord, limits: EventLimits = DEFAULT_LIMITS): CloudEvent {
  const builder = new EventBuilder();
  for (const [rawName, rawValue] of headers ?? []) {
    const name = text('', rawName);
    if (name.startsWith('ce_')) {
      const attribute = name.slice(3);
      if (attribute !== 'datacontenttype') builder.set(attribute, text(attribute, rawValue ?? ''));
    } else if (isContentType(name)) {
      const type = text('datacontenttype', rawValue ?? '');
      if (contentMode(type) !== 'binary') return fromStructured(type, value ?? undefined, limits);
      builder.set('datacontenttype', type);
    }
  }
  return builder.finish(value ?? undefined, limits);
}

/**
 * An event as a record. The key is `key`, or else the extension `partitionkey`, which stays in the event as well. An event
 * whose data is itself an event in JSON goes structured.
 */
export function toKafka(
  event: CloudEvent,
  { mode = 'binary', key }: { mode?: 'binary' | 'structured'; key?: Buffer | string } = {},
): KafkaMessage {
  const { partitionkey } = event.extensions;
  const chosen = key ?? (partitionkey === undefined ? undefined : String(partitionkey));
  const bytes = typeof chosen === 'string' ? Buffer.from(chosen) : chosen;
  if (mode === 'structured' || contentMode(event.datacontenttype) !== 'binary')
    return { key: bytes, value: toJson(event), headers: [['content-type', STRUCTURED_JSON]] };
  const headers: [string, string][] = [
    ['ce_specversion', '1.0'],
    ['ce_id', event.id],
    ['ce_source', event.source],
    ['ce_type', event.type],
  ];
  if (event.subject !== undefined) headers.push(['ce_subject', event.subject]);
  if (event.time !== undefined) headers.push(['ce_time', event.time]);
  if (event.dataschema !== undefined) headers.push(['ce_dataschema', event.dataschema]);
  for (const name in event.extensions) headers.push([`ce_${name}`, String(event.extensions[name])]);
  if (event.datacontenttype !== undefined) headers.push(['content-type', event.datacontenttype]);
  return { key: bytes, value: event.data ?? null, headers };
}

const isContentType = (name: string): boolean => name.length === 12 && name.toLowerCase() === 'content-type';

function text(attribute: string, value: string | Buffer): string {
  if (typeof value === 'string') return value;
  if (!isUtf8(value))
    throw new InvalidEvent(attribute, `the header of ${attribute || 'a name'} is not UTF-8`);
  return value.toString('utf8');
}
