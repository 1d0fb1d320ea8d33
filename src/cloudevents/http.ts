/**
 * Events as HTTP messages, requests and responses alike: binary, structured and batched.
 * Source: cloudevents/spec, `bindings/http-protocol-binding.md`.
 */
import { EventBuilder } from './builder.ts';
import { BATCH_JSON, contentMode, fromStructured, jsonBody, STRUCTURED_JSON } from './content-mode.ts';
import { type CloudEvent, DEFAULT_LIMITS, type EventLimits, InvalidEvent, isAttributeName } from './event.ts';
import { decodeHeaderValue, encodeHeaderValue, isHeaderSafe } from './header-value.ts';
import { batchFromJson, batchToJson, MAX_BATCH, toJson } from './json.ts';

export { BATCH_JSON, type ContentMode, contentMode, STRUCTURED_JSON } from './content-mode.ts';

/** Headers as they came: a flat list of names and values (node's `rawHeaders`), or pairs (`Headers`, a `Map`). */
export type HeaderSource = readonly string[] | Iterable<readonly [string, string]>;

/** A message to send. */
export interface HttpMessage {
  /** Names and values in turn, as node's `writeHead` and `rawHeaders` have them; values are printable ASCII. */
  headers: string[];
  /** Undefined: an empty body. */
  body: Buffer | undefined;
}

/**
 * Whether a message claims to be an event: a content type of CloudEvents, or a `ce-specversion`. Tells a reply that is an
 * event from one that is not; whether it is a valid one, `fromHttp` says.
 */
export function claimsToBeEvent(headers: HeaderSource): boolean {
  const flat = flatten(headers);
  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at]!;
    if (name.length === 14 && name.toLowerCase() === 'ce-specversion') return true;
    if (isContentType(name) && contentMode(flat[at + 1]) !== 'binary') return true;
  }
  return false;
}

/**
 * The event of a message in binary or structured mode. Its data is `body` or a slice of it, never a copy. An empty body in
 * binary mode is no data. Headers other than `ce-…` and `content-type` are of no concern here.
 * @throws InvalidEvent with the HTTP status to answer with.
 */
export function fromHttp(
  headers: HeaderSource,
  body: Buffer | undefined,
  limits: EventLimits = DEFAULT_LIMITS,
): CloudEvent {
  const flat = flatten(headers);
  const builder = new EventBuilder();
  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at]!;
    if (
      name.length > 3 &&
      name.charCodeAt(2) === 45 &&
      (name.charCodeAt(0) | 32) === 99 &&
      (name.charCodeAt(1) | 32) === 101
    ) {
      const attribute = name.slice(3).toLowerCase();
      // The content type is what the content type says.
      if (attribute !== 'datacontenttype')
        builder.set(attribute, decodeHeaderValue(attribute, flat[at + 1]!));
    } else if (isContentType(name)) {
      const type = flat[at + 1]!;
      if (contentMode(type) !== 'binary') return fromStructured(type, body, limits);
      builder.set('datacontenttype', type);
    }
  }
  return builder.finish(body === undefined || body.length === 0 ? undefined : body, limits);
}

/**
 * The events of a message in any mode: one, or those of a batch.
 * @throws InvalidEvent when any of them is wrong; nothing is taken then.
 */
export function allFromHttp(
  headers: HeaderSource,
  body: Buffer | undefined,
  limits: EventLimits = DEFAULT_LIMITS,
  maxEvents = MAX_BATCH,
): CloudEvent[] {
  const flat = flatten(headers);
  for (let at = 0; at < flat.length; at += 2) {
    if (!isContentType(flat[at]!)) continue;
    const type = flat[at + 1]!;
    if (contentMode(type) === 'batch')
      return batchFromJson(jsonBody(type, body, limits, maxEvents), limits, maxEvents);
    break;
  }
  return [fromHttp(flat, body, limits)];
}

/**
 * An event as a message. In binary mode an event whose data is itself an event in JSON is written structured: with its
 * content type in the header, receivers would take the inner for the outer.
 * @throws InvalidEvent when it has a name or a content type that no header can carry.
 */
export function toHttp(event: CloudEvent, mode: 'binary' | 'structured' = 'binary'): HttpMessage {
  const type = event.datacontenttype;
  if (mode === 'structured' || contentMode(type) !== 'binary')
    return { headers: ['content-type', STRUCTURED_JSON], body: toJson(event) };
  const headers = [
    'ce-specversion',
    '1.0',
    'ce-id',
    encodeHeaderValue(event.id),
    'ce-source',
    encodeHeaderValue(event.source),
    'ce-type',
    encodeHeaderValue(event.type),
  ];
  if (event.subject !== undefined) headers.push('ce-subject', encodeHeaderValue(event.subject));
  if (event.time !== undefined) headers.push('ce-time', encodeHeaderValue(event.time));
  if (event.dataschema !== undefined) headers.push('ce-dataschema', encodeHeaderValue(event.dataschema));
  for (const name in event.extensions) {
    if (!isAttributeName(name)) throw new InvalidEvent(name, 'the name of an extension is not valid');
    headers.push(`ce-${name}`, encodeHeaderValue(String(event.extensions[name])));
  }
  if (type !== undefined) {
    if (!isHeaderSafe(type)) throw new InvalidEvent('datacontenttype', 'datacontenttype is not ASCII');
    headers.push('content-type', type);
  }
  return { headers, body: event.data };
}

/** Events as one message in batched mode. */
export function toHttpBatch(events: readonly CloudEvent[]): HttpMessage {
  return { headers: ['content-type', BATCH_JSON], body: batchToJson(events) };
}

const isContentType = (name: string): boolean =>
  name.length === 12 && (name.charCodeAt(0) | 32) === 99 && name.toLowerCase() === 'content-type';

function flatten(headers: HeaderSource): readonly string[] {
  if (Array.isArray(headers) && (headers.length === 0 || typeof headers[0] === 'string'))
    return headers as readonly string[];
  const flat: string[] = [];
  for (const [name, value] of headers as Iterable<readonly [string, string]>) flat.push(name, value);
  return flat;
}
