/** Events as NATS messages, core and JetStream. Source: cloudevents/spec, `bindings/nats-protocol-binding.md`. */
import { EventBuilder } from './builder.ts';
import { contentMode, fromStructured, STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, DEFAULT_LIMITS, type EventLimits, InvalidEvent, isAttributeName } from './event.ts';
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';
import { fromJson, toJson } from './json.ts';

/** Names and values as clients have them (`MsgHdrs` is such an iterable). */
export type NatsHeaders = Iterable<readonly [string, string | readonly string[]]>;

/** What of a message an event is read from. */
export interface NatsMessage {
  /** Undefined: a message without headers, as all were before NATS 2.2. */
  headers?: NatsHeaders;
  data: Buffer;
}

/** A message to send. */
export interface NatsOutgoing {
  headers: [name: string, value: string][];
  data: Buffer;
}

/**
 * The event of a message: by its headers, or as JSON where no header tells of one. An empty message in binary mode is no data.
 * @throws InvalidEvent
 */
export function fromNats({ headers, data }: NatsMessage, limits: EventLimits = DEFAULT_LIMITS): CloudEvent {
  const builder = new EventBuilder();
  let attributes = 0;
  let type: string | undefined;
  for (const [rawName, values] of headers ?? []) {
    const name = rawName.toLowerCase();
    for (const value of typeof values === 'string' ? [values] : values) {
      if (name.startsWith('ce-')) {
        const attribute = name.slice(3);
        builder.set(attribute, decodeHeaderValue(attribute, value));
        attributes++;
      } else if (name === 'content-type') type = value;
    }
  }
  if (type !== undefined && contentMode(type) !== 'binary') return fromStructured(type, data, limits);
  if (attributes === 0) return fromJson(data, limits);
  builder.datacontenttype ??= type;
  return builder.finish(data.length === 0 ? undefined : data, limits);
}

/**
 * An event as a message. Unlike in HTTP, the content type of the data is a header like the other attributes.
 * @throws InvalidEvent when it has a name that no header can carry.
 */
export function toNats(event: CloudEvent, mode: 'binary' | 'structured' = 'binary'): NatsOutgoing {
  if (mode === 'structured') return { headers: [['content-type', STRUCTURED_JSON]], data: toJson(event) };
  const headers: [string, string][] = [['ce-specversion', '1.0']];
  const add = (name: string, value: unknown) => {
    if (value !== undefined) headers.push([`ce-${name}`, encodeHeaderValue(String(value))]);
  };
  add('id', event.id);
  add('source', event.source);
  add('type', event.type);
  add('subject', event.subject);
  add('time', event.time);
  add('datacontenttype', event.datacontenttype);
  add('dataschema', event.dataschema);
  for (const name in event.extensions) {
    if (!isAttributeName(name)) throw new InvalidEvent(name, 'the name of an extension is not valid');
    add(name, event.extensions[name]);
  }
  return { headers, data: event.data ?? EMPTY };
}

const EMPTY = Buffer.alloc(0);
