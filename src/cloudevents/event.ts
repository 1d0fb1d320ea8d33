/**
 * CloudEvents 1.0: the event that every other part passes on, and the rules an event must keep.
 * Source: cloudevents/spec, `cloudevents/spec.md` (Context Attributes, Type System, Size Limits).
 */
import { PetrelError } from '../base/errors.ts';
import { badTextAt, isTimestamp, isUriReference, textBytes } from './text.ts';

/**
 * An event. Attributes are the strings of the wire's canonical form; data stays bytes until someone reads it.
 * Events are never changed in place: `withAttributes` makes a copy that shares the data.
 */
export interface CloudEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly specversion: '1.0';
  readonly subject?: string;
  /** RFC 3339, as it was written. */
  readonly time?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  /**
   * Extension attributes. Integers (32 bits) and booleans stay what they were in forms that have types (JSON, AMQP, the
   * record form); forms without (HTTP headers, Kafka, NATS, MQTT) carry and yield the canonical string. Read a name that
   * was not written in the code with `attribute`: this is a plain object, and an event may lack `constructor`.
   */
  readonly extensions: Readonly<Record<string, AttributeValue>>;
  /** Undefined: the event has no data, which is not the same as empty data. */
  readonly data?: Buffer;
}

/** What an extension attribute can be. Binary, URI and Timestamp are their canonical strings. */
export type AttributeValue = string | number | boolean;

/** How large an event may be. Numbers of bytes. */
export interface EventLimits {
  /** Names and values of all attributes together. */
  attributes: number;
  data: number;
}

/** Attributes: what HTTP servers commonly take in headers, four times over. Data: 1 MiB, sixteen times what the specification promises. */
export const DEFAULT_LIMITS: EventLimits = { attributes: 65_536, data: 1_048_576 };

/** An event, or what should have been one, breaks a rule. */
export class InvalidEvent extends PetrelError {
  /** The attribute at fault (`data` for the data), or empty when the message as a whole is. */
  readonly attribute: string;
  /** The HTTP status that tells the sender: 400 (not an event), 413 (too large), 415 (a form that is not understood). */
  readonly status: 400 | 413 | 415;

  constructor(
    attribute: string,
    message: string,
    options: { status?: 400 | 413 | 415; fix?: string; cause?: unknown } = {},
  ) {
    super('InvalidArgument', message, {
      fix: options.fix ?? 'Send a CloudEvent of version 1.0; https://cloudevents.io lists its attributes.',
      cause: options.cause,
    });
    this.name = 'InvalidEvent';
    this.attribute = attribute;
    this.status = options.status ?? 400;
  }
}

/** The attributes that every event has. */
export const REQUIRED_ATTRIBUTES = ['id', 'source', 'specversion', 'type'] as const;

/** The attributes that the specification names; all others are extensions. */
export const CORE_ATTRIBUTES: ReadonlySet<string> = new Set([
  ...REQUIRED_ATTRIBUTES,
  'subject',
  'time',
  'datacontenttype',
  'dataschema',
]);

/** The value of any attribute by name, or undefined where the event does not have it. */
export function attribute(event: CloudEvent, name: string): AttributeValue | undefined {
  switch (name) {
    case 'type':
      return event.type;
    case 'source':
      return event.source;
    case 'subject':
      return event.subject;
    case 'id':
      return event.id;
    case 'time':
      return event.time;
    case 'datacontenttype':
      return event.datacontenttype;
    case 'dataschema':
      return event.dataschema;
    case 'specversion':
      return event.specversion;
    default: {
      const value = event.extensions[name];
      // Whatever a plain object inherits is no value.
      return typeof value === 'object' || typeof value === 'function' ? undefined : value;
    }
  }
}

/** What `newEvent` makes an event of. */
export interface NewEvent {
  type: string;
  source: string;
  /** A new one when left out. */
  id?: string;
  /** Now when left out. */
  time?: string;
  subject?: string;
  /** `application/json` when left out and `data` is neither bytes nor text. */
  datacontenttype?: string;
  dataschema?: string;
  extensions?: Record<string, AttributeValue | undefined>;
  /** Bytes and text are taken as they are, anything else as JSON. */
  data?: unknown;
}

/**
 * A new event, checked. `now`: milliseconds since the epoch; `randomId`: makes an id that nobody else makes.
 * @throws InvalidEvent
 */
export function newEvent(
  fields: NewEvent,
  now: number,
  randomId: () => string,
  limits = DEFAULT_LIMITS,
): CloudEvent {
  const { data } = fields;
  const json = data !== undefined && typeof data !== 'string' && !(data instanceof Uint8Array);
  const extensions: Record<string, AttributeValue> = {};
  for (const name in fields.extensions) {
    const value = fields.extensions[name];
    if (value !== undefined) extensions[name] = value;
  }
  return validate(
    makeEvent(
      fields.id ?? randomId(),
      fields.source,
      fields.type,
      fields.subject,
      fields.time ?? new Date(now).toISOString(),
      fields.datacontenttype ?? (json ? 'application/json' : undefined),
      fields.dataschema,
      extensions,
      data === undefined ? undefined : bytesOf(data),
    ),
    limits,
  );
}

function bytesOf(data: unknown): Buffer {
  if (Buffer.isBuffer(data)) return data;
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  if (text === undefined) throw new InvalidEvent('data', 'data cannot be written as JSON');
  return Buffer.from(text);
}

/** An event of its parts, unchecked. Every event is made here, so that all have one hidden class. */
export function makeEvent(
  id: string,
  source: string,
  type: string,
  subject: string | undefined,
  time: string | undefined,
  datacontenttype: string | undefined,
  dataschema: string | undefined,
  extensions: Record<string, AttributeValue>,
  data: Buffer | undefined,
): CloudEvent {
  return {
    id,
    source,
    type,
    specversion: '1.0',
    subject,
    time,
    datacontenttype,
    dataschema,
    extensions,
    data,
  };
}

/**
 * A copy with attributes set, or taken away where the value is undefined; it shares the data. Unchecked: for names and
 * values that the platform itself writes.
 */
export function withAttributes(
  event: CloudEvent,
  changes: Readonly<Record<string, AttributeValue | undefined>>,
): CloudEvent {
  const core: Record<string, unknown> = {};
  const extensions: Record<string, AttributeValue> = { ...event.extensions };
  for (const name in changes) {
    const value = changes[name];
    if (CORE_ATTRIBUTES.has(name)) core[name] = value;
    else if (value === undefined) delete extensions[name];
    else extensions[name] = value;
  }
  return { ...event, ...core, extensions };
}

/** The data as text: UTF-8, or empty when there is none. */
export function dataText(event: CloudEvent): string {
  return event.data?.toString('utf8') ?? '';
}

/**
 * The data as JSON, parsed anew each time; undefined when there is none.
 * @throws InvalidEvent naming `data` when it is not JSON.
 */
export function dataJson(event: CloudEvent): unknown {
  if (event.data === undefined || event.data.length === 0) return undefined;
  try {
    return JSON.parse(event.data.toString('utf8'));
  } catch (cause) {
    throw new InvalidEvent('data', 'data is not JSON', { cause });
  }
}

/** Whether data of this content type is JSON: no type at all, `application/json`, `text/json`, or any `+json`. */
export function isJson(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return true;
  const end = contentType.indexOf(';');
  const media = (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  return media.endsWith('/json') || media.endsWith('+json');
}

/** Whether a name is one that an attribute can have: lower-case letters and digits. `data` is what it is not. */
export function isAttributeName(name: string): boolean {
  if (name.length === 0 || name === 'data') return false;
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (!((code >= 97 && code <= 122) || (code >= 48 && code <= 57))) return false;
  }
  return true;
}

/**
 * The same event when it keeps all rules.
 * @throws InvalidEvent naming the attribute that breaks one.
 */
export function validate(event: CloudEvent, limits: EventLimits = DEFAULT_LIMITS): CloudEvent {
  // 14: specversion and its value.
  let bytes =
    14 +
    (2 + required('id', event.id)) +
    (6 + required('source', event.source)) +
    (4 + required('type', event.type));
  if (event.specversion !== '1.0') throw unknownVersion(event.specversion);
  if (!isUriReference(event.source)) throw notUri('source', event.source);
  if (event.subject !== undefined) bytes += 7 + required('subject', event.subject);
  if (event.time !== undefined) {
    if (typeof event.time !== 'string' || !isTimestamp(event.time))
      throw new InvalidEvent('time', `time ${shown(event.time)} is not an RFC 3339 timestamp`, {
        fix: 'Write it like 2026-11-21T09:30:00Z.',
      });
    bytes += 4 + event.time.length;
  }
  if (event.datacontenttype !== undefined) {
    bytes += 15 + required('datacontenttype', event.datacontenttype);
    if (!isMediaType(event.datacontenttype))
      throw new InvalidEvent(
        'datacontenttype',
        `datacontenttype ${shown(event.datacontenttype)} is not a media type`,
        { fix: 'Write it like application/json.' },
      );
  }
  if (event.dataschema !== undefined) {
    bytes += 10 + required('dataschema', event.dataschema);
    if (!isUriReference(event.dataschema)) throw notUri('dataschema', event.dataschema);
  }
  for (const name in event.extensions) {
    bytes += extension(name, event.extensions[name]);
  }
  if (bytes > limits.attributes)
    throw new InvalidEvent('', `the attributes have ${bytes} bytes, more than ${limits.attributes}`, {
      status: 413,
      fix: 'Put what is large into the data.',
    });
  if (event.data !== undefined && event.data.length > limits.data)
    throw tooMuchData(event.data.length, limits);
  return event;
}

/** The refusal of an event whose data has `bytes` bytes, for readers that know it before they have read them. */
export function tooMuchData(bytes: number, limits: EventLimits): InvalidEvent {
  return new InvalidEvent('data', `the data has ${bytes} bytes, more than ${limits.data}`, {
    status: 413,
    fix: 'Store the data elsewhere and send its address (dataref).',
  });
}

/** The refusal of any specversion but 1.0. */
export function unknownVersion(version: unknown): InvalidEvent {
  return new InvalidEvent(
    'specversion',
    version === undefined || version === ''
      ? 'the attribute specversion is missing'
      : `specversion ${shown(version)} is not supported, only "1.0"`,
  );
}

/** Bytes of a string attribute that may not be empty. */
function required(name: string, value: unknown): number {
  if (typeof value !== 'string')
    throw new InvalidEvent(
      name,
      value === undefined ? `the attribute ${name} is missing` : `${name} is not a string`,
    );
  if (value.length === 0) throw new InvalidEvent(name, `the attribute ${name} is empty`);
  return text(name, value);
}

function text(name: string, value: string): number {
  const bytes = textBytes(value);
  if (bytes < 0) {
    const code = value.charCodeAt(badTextAt(value)).toString(16).toUpperCase().padStart(4, '0');
    throw new InvalidEvent(name, `${name} contains U+${code}, which no attribute may contain`);
  }
  return bytes;
}

/** Bytes of an extension attribute, its name included. */
function extension(name: string, value: unknown): number {
  if (!isAttributeName(name) || CORE_ATTRIBUTES.has(name))
    throw new InvalidEvent(name, `${shown(name)} is not a name for an extension attribute`, {
      fix: 'Names are lower-case letters and digits.',
    });
  if (typeof value === 'string') return name.length + text(name, value);
  if (typeof value === 'boolean') return name.length + (value ? 4 : 5);
  if (typeof value === 'number' && (value | 0) === value) return name.length + 11;
  throw new InvalidEvent(name, `${name} is not a string, a boolean or an integer of 32 bits`);
}

const notUri = (name: string, value: string) =>
  new InvalidEvent(name, `${name} ${shown(value)} is not a URI reference`, {
    fix: 'Percent-encode what RFC 3986 does not allow, a space as %20.',
  });

/** `type/subtype`, with anything after a semicolon. */
function isMediaType(value: string): boolean {
  const slash = value.indexOf('/');
  return slash > 0 && slash < value.length - 1 && value.charCodeAt(slash + 1) !== 59;
}

/** A value inside a message: quoted, and short whatever a stranger sent. */
function shown(value: unknown): string {
  const quoted = JSON.stringify(value) ?? String(value);
  return quoted.length <= 80 ? quoted : `${quoted.slice(0, 76)}…"`;
}
