/** Events as MQTT messages: binary and structured in MQTT 5, structured in MQTT 3.1.1. Source: cloudevents/spec, `bindings/mqtt-protocol-binding.md`. */
import { EventBuilder } from './builder.ts';
import { contentMode, fromStructured, STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, DEFAULT_LIMITS, type EventLimits, isAttributeName } from './event.ts';
import { fromJson, toJson } from './json.ts';

/** What of a PUBLISH an event is read from, as clients have it. */
export interface MqttMessage {
  payload: Buffer;
  /** Undefined in MQTT 3.1.1. */
  properties?: {
    contentType?: string;
    /** A property that is there several times has a list. */
    userProperties?: Readonly<Record<string, string | readonly string[]>>;
  };
}

/** A PUBLISH to send. */
export interface MqttOutgoing {
  payload: Buffer;
  /** Undefined in MQTT 3.1.1. */
  properties: { contentType?: string; userProperties?: Record<string, string> } | undefined;
}

/** Whether a message claims to be an event. In MQTT 3.1.1 nothing does: whoever subscribes has to know. */
export function isMqttEvent({ properties }: Omit<MqttMessage, 'payload'>): boolean {
  return (
    contentMode(properties?.contentType) !== 'binary' || properties?.userProperties?.specversion !== undefined
  );
}

/**
 * The event of a message: by its properties, or as JSON where none tells of one. User properties whose names no attribute
 * can have are of no concern here. An empty payload in binary mode is no data.
 * @throws InvalidEvent
 */
export function fromMqtt(
  { payload, properties }: MqttMessage,
  limits: EventLimits = DEFAULT_LIMITS,
): CloudEvent {
  const type = properties?.contentType;
  if (type !== undefined && contentMode(type) !== 'binary') return fromStructured(type, payload, limits);
  const user = properties?.userProperties ?? {};
  if (user.specversion === undefined && type === undefined) return fromJson(payload, limits);
  const builder = new EventBuilder();
  for (const [name, values] of Object.entries(user)) {
    if (!isAttributeName(name)) continue;
    // Senders may repeat the content type here; the property proper decides.
    if (name === 'datacontenttype' && type !== undefined) continue;
    for (const value of typeof values === 'string' ? [values] : values) builder.set(name, value);
  }
  if (type !== undefined) builder.datacontenttype = type;
  return builder.finish(payload.length === 0 ? undefined : payload, limits);
}

/** An event as a message for a connection of the protocol version `version` (3.1 and 3.1.1 are 3 and 4 on the wire). */
export function toMqtt(
  event: CloudEvent,
  version: 3 | 4 | 5,
  mode: 'binary' | 'structured' = 'binary',
): MqttOutgoing {
  if (version !== 5) return { payload: toJson(event), properties: undefined };
  if (mode === 'structured' || contentMode(event.datacontenttype) !== 'binary')
    return { payload: toJson(event), properties: { contentType: STRUCTURED_JSON } };
  const userProperties: Record<string, string> = { specversion: '1.0' };
  const add = (name: string, value: unknown) => {
    if (value !== undefined) userProperties[name] = String(value);
  };
  add('id', event.id);
  add('source', event.source);
  add('type', event.type);
  add('subject', event.subject);
  add('time', event.time);
  add('dataschema', event.dataschema);
  for (const name in event.extensions) add(name, event.extensions[name]);
  const contentType = event.datacontenttype === undefined ? {} : { contentType: event.datacontenttype };
  return { payload: event.data ?? EMPTY, properties: { ...contentType, userProperties } };
}

const EMPTY = Buffer.alloc(0);
