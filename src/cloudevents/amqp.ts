/**
 * Events as AMQP messages: application properties of AMQP 1.0, headers of AMQP 0-9-1 (RabbitMQ).
 * Source: cloudevents/spec, `bindings/amqp-protocol-binding.md`.
 */
import { EventBuilder } from './builder.ts';
import { contentMode, fromStructured, STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, DEFAULT_LIMITS, type EventLimits } from './event.ts';
import { toJson } from './json.ts';

/** What of a message an event is read from. */
export interface AmqpMessage {
  contentType?: string;
  /** Application properties, in 0-9-1 headers; values as the client decodes them. */
  properties?: Readonly<Record<string, unknown>>;
  body: Buffer;
}

/** A message to send. */
export interface AmqpOutgoing {
  contentType: string | undefined;
  properties: Record<string, string | number | boolean>;
  body: Buffer;
}

/** Both are read; `_` is written, which JMS can read too. */
const PREFIXES = ['cloudEvents_', 'cloudEvents:'];

/** Whether a message claims to be an event; queues carry anything. */
export function isAmqpEvent({ contentType, properties = {} }: Omit<AmqpMessage, 'body'>): boolean {
  return (
    contentMode(contentType) !== 'binary' ||
    PREFIXES.some((prefix) => properties[`${prefix}specversion`] !== undefined)
  );
}

/**
 * The event of a message. An empty body in binary mode is no data.
 * @throws InvalidEvent
 */
export function fromAmqp(message: AmqpMessage, limits: EventLimits = DEFAULT_LIMITS): CloudEvent {
  const { contentType, properties = {}, body } = message;
  if (contentType !== undefined && contentMode(contentType) !== 'binary')
    return fromStructured(contentType, body, limits);
  const builder = new EventBuilder();
  for (const [name, value] of Object.entries(properties)) {
    const prefix = PREFIXES.find((one) => name.startsWith(one));
    if (prefix === undefined || value === null || value === undefined) continue;
    const attribute = name.slice(prefix.length);
    if (attribute !== 'datacontenttype') builder.set(attribute, canonical(value));
  }
  builder.datacontenttype = contentType;
  return builder.finish(body.length === 0 ? undefined : body, limits);
}

/** A value of AMQP's types as an attribute: times and bytes as text, integers of any width as integers. */
function canonical(value: unknown): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? value : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint') return Number(value);
  // How 0-9-1 clients decode a timestamp: seconds.
  if (typeof value === 'object' && value !== null && '!' in value && 'value' in value) {
    const { '!': type, value: seconds } = value;
    if (type === 'timestamp' && typeof seconds === 'number') return canonical(new Date(seconds * 1000));
  }
  return value;
}

/** An event as a message: integers and booleans as what they are, everything else as text. */
export function toAmqp(event: CloudEvent, mode: 'binary' | 'structured' = 'binary'): AmqpOutgoing {
  if (mode === 'structured' || contentMode(event.datacontenttype) !== 'binary')
    return { contentType: STRUCTURED_JSON, properties: {}, body: toJson(event) };
  const properties: AmqpOutgoing['properties'] = {};
  const add = (name: string, value: string | number | boolean | undefined) => {
    if (value !== undefined) properties[`cloudEvents_${name}`] = value;
  };
  add('specversion', '1.0');
  add('id', event.id);
  add('source', event.source);
  add('type', event.type);
  add('subject', event.subject);
  add('time', event.time);
  add('dataschema', event.dataschema);
  for (const name in event.extensions) add(name, event.extensions[name]);
  return { contentType: event.datacontenttype, properties, body: event.data ?? EMPTY };
}

const EMPTY = Buffer.alloc(0);
