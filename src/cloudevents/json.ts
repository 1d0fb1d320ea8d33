/** The JSON event format, one event or a batch. Source: cloudevents/spec, `formats/json-format.md`. */
import { isUtf8 } from 'node:buffer';
import { EventBuilder } from './builder.ts';
import {
  type CloudEvent,
  DEFAULT_LIMITS,
  type EventLimits,
  InvalidEvent,
  isJson,
  tooMuchData,
} from './event.ts';
import { isJsonText, NotJson, skipKey, skipSpace, skipString, skipValue, stringAt } from './json-scan.ts';

/** More events in one batch are refused, unless the caller says otherwise. */
export const MAX_BATCH = 1_000;

/**
 * The event that a JSON object describes. Its data is a slice of `bytes`, not a copy, where it is JSON.
 * @throws InvalidEvent
 */
export function fromJson(bytes: Buffer, limits: EventLimits = DEFAULT_LIMITS): CloudEvent {
  return scanning(bytes, () => {
    const read = { next: skipSpace(bytes, 0) };
    const event = readEvent(bytes, read, limits);
    if (skipSpace(bytes, read.next) !== bytes.length) throw new NotJson(read.next);
    return event;
  });
}

/**
 * The events of a JSON array, in its order; the whole batch or nothing.
 * @throws InvalidEvent that says which event is wrong; 413 with more than `maxEvents`.
 */
export function batchFromJson(
  bytes: Buffer,
  limits: EventLimits = DEFAULT_LIMITS,
  maxEvents = MAX_BATCH,
): CloudEvent[] {
  return scanning(bytes, () => {
    const events: CloudEvent[] = [];
    const read = { next: skipSpace(bytes, 0) };
    if (bytes[read.next] !== 0x5b) throw new NotJson(read.next);
    read.next = skipSpace(bytes, read.next + 1);
    while (bytes[read.next] !== 0x5d || events.length > 0) {
      if (events.length === maxEvents)
        throw new InvalidEvent('', `the batch has more than ${maxEvents} events`, {
          status: 413,
          fix: 'Send it in parts.',
        });
      try {
        events.push(readEvent(bytes, read, limits));
      } catch (thrown) {
        if (!(thrown instanceof InvalidEvent)) throw thrown;
        throw new InvalidEvent(
          thrown.attribute,
          `event ${events.length} of the batch: ${thrown.message}`,
          thrown,
        );
      }
      read.next = skipSpace(bytes, read.next);
      if (bytes[read.next] !== 0x2c) break;
      read.next = skipSpace(bytes, read.next + 1);
    }
    if (bytes[read.next] !== 0x5d || skipSpace(bytes, read.next + 1) !== bytes.length)
      throw new NotJson(read.next);
    return events;
  });
}

function scanning<T>(bytes: Buffer, scan: () => T): T {
  if (!isUtf8(bytes)) throw new InvalidEvent('', 'the body is not UTF-8');
  try {
    return scan();
  } catch (thrown) {
    if (!(thrown instanceof NotJson)) throw thrown;
    throw new InvalidEvent('', `the body is not an event in JSON: see byte ${thrown.at}`);
  }
}

/** Reads the object at `read.next` and leaves `read.next` behind it. */
function readEvent(bytes: Buffer, read: { next: number }, limits: EventLimits): CloudEvent {
  const builder = new EventBuilder();
  let at = read.next;
  let start = -1;
  let end = -1;
  let base64: string | undefined;
  if (bytes[at] !== 0x7b) throw new NotJson(at);
  at = skipSpace(bytes, at + 1);
  let more = bytes[at] !== 0x7d;
  while (more) {
    const name = stringAt(bytes, at, skipString(bytes, at));
    const from = skipKey(bytes, at);
    const to = skipValue(bytes, from);
    if (name === 'data') {
      if (start !== -1) throw new InvalidEvent('data', 'data is there twice');
      start = from;
      end = to;
    } else {
      const value = valueAt(bytes, from, to);
      if (name === 'data_base64') {
        if (base64 !== undefined) throw new InvalidEvent('data', 'data_base64 is there twice');
        if (typeof value === 'string') base64 = value;
        else if (value !== null) throw new InvalidEvent('data', 'data_base64 is not a string');
      } else if (value !== null) builder.set(name, value);
    }
    at = skipSpace(bytes, to);
    more = bytes[at] === 0x2c;
    if (more) at = skipSpace(bytes, at + 1);
  }
  if (bytes[at] !== 0x7d) throw new NotJson(at);
  read.next = at + 1;
  if (base64 !== undefined && start !== -1)
    throw new InvalidEvent('data', 'data and data_base64 are both there', { fix: 'Send one of them.' });
  if (base64 !== undefined) return builder.finish(fromBase64(base64, limits), limits);
  if (start === -1) return builder.finish(undefined, limits);
  // Without a content type `data` is JSON, and whoever reads the event in another form has to be told.
  builder.datacontenttype ??= 'application/json';
  const type = builder.datacontenttype;
  const text = bytes[start] === 0x22 && typeof type === 'string' && !isJson(type);
  const data = text ? Buffer.from(stringAt(bytes, start, end)) : bytes.subarray(start, end);
  return builder.finish(data, limits);
}

/** The attribute between `from` and `to`: a string, boolean, number or null; containers are told as what they are. */
function valueAt(bytes: Buffer, from: number, to: number): unknown {
  switch (bytes[from]) {
    case 0x22:
      return stringAt(bytes, from, to);
    case 0x74:
      return true;
    case 0x66:
      return false;
    case 0x6e:
      return null;
    case 0x7b:
    case 0x5b:
      return {};
    default:
      return Number(bytes.toString('latin1', from, to));
  }
}

function fromBase64(text: string, limits: EventLimits): Buffer {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const length = Math.floor(((text.length - padding) * 3) / 4);
  if (length > limits.data) throw tooMuchData(length, limits);
  const data = Buffer.from(text, 'base64');
  // What is not of the alphabet is skipped by the decoder, and missing then.
  if (data.length !== length || (text.length - padding) % 4 === 1)
    throw new InvalidEvent('data', 'data_base64 is not Base64');
  return data;
}

/**
 * An event as a JSON object. Data that is JSON stands in it byte for byte; other text as a string; everything else, and JSON
 * data that is broken or whose content type is not given, as `data_base64`, so that reading it yields the same bytes.
 */
export function toJson(event: CloudEvent): Buffer {
  const { data } = event;
  const head = attributesAsJson(event);
  if (data === undefined) return Buffer.from(`${head}}`);
  const type = event.datacontenttype;
  if (type !== undefined && isUtf8(data)) {
    if (isJson(type)) {
      if (isJsonText(data)) return Buffer.concat([Buffer.from(`${head},"data":`), data, CLOSE]);
    } else if (isText(type)) return Buffer.from(`${head},"data":${JSON.stringify(data.toString('utf8'))}}`);
  }
  return Buffer.from(`${head},"data_base64":"${data.toString('base64')}"}`);
}

const CLOSE = Buffer.from('}');

function attributesAsJson(event: CloudEvent): string {
  let json = `{"specversion":"1.0","id":${JSON.stringify(event.id)},"source":${JSON.stringify(event.source)},"type":${JSON.stringify(event.type)}`;
  if (event.subject !== undefined) json += `,"subject":${JSON.stringify(event.subject)}`;
  if (event.time !== undefined) json += `,"time":${JSON.stringify(event.time)}`;
  if (event.datacontenttype !== undefined)
    json += `,"datacontenttype":${JSON.stringify(event.datacontenttype)}`;
  if (event.dataschema !== undefined) json += `,"dataschema":${JSON.stringify(event.dataschema)}`;
  for (const name in event.extensions)
    json += `,${JSON.stringify(name)}:${JSON.stringify(event.extensions[name])}`;
  return json;
}

/** Content types that people read, in UTF-8: `text/…`, XML and forms; a charset but UTF-8 makes them bytes. */
function isText(contentType: string): boolean {
  const type = contentType.toLowerCase();
  const [media = '', ...parameters] = type.split(';').map((part) => part.trim());
  if (parameters.some((part) => part.startsWith('charset=') && !/^charset="?(utf-?8|us-ascii)"?$/.test(part)))
    return false;
  return (
    media.startsWith('text/') ||
    media.endsWith('/xml') ||
    media.endsWith('+xml') ||
    media === 'application/x-www-form-urlencoded'
  );
}

/** Events as a JSON array. */
export function batchToJson(events: readonly CloudEvent[]): Buffer {
  const parts: Buffer[] = [];
  for (const event of events) parts.push(parts.length === 0 ? OPEN_BATCH : COMMA, toJson(event));
  if (parts.length === 0) parts.push(OPEN_BATCH);
  parts.push(CLOSE_BATCH);
  return Buffer.concat(parts);
}

const OPEN_BATCH = Buffer.from('[');
const CLOSE_BATCH = Buffer.from(']');
const COMMA = Buffer.from(',');
