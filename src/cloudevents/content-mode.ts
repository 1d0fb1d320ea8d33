/** The content type that tells how a message of any protocol carries its event. Source: cloudevents/spec, `bindings/*.md`, 3. */
import { type CloudEvent, type EventLimits, InvalidEvent, tooMuchData } from './event.ts';
import { fromJson } from './json.ts';

export const STRUCTURED_JSON = 'application/cloudevents+json; charset=UTF-8';
export const BATCH_JSON = 'application/cloudevents-batch+json; charset=UTF-8';

/** How a message carries its event. */
export type ContentMode = 'binary' | 'structured' | 'batch';

const PREFIX = 'application/cloudevents';

/** How a message with this content type carries its event. Also where the format is one that is not understood. */
export function contentMode(contentType: string | undefined): ContentMode {
  if (contentType === undefined || contentType.length < PREFIX.length) return 'binary';
  const type = contentType.trimStart();
  // `a` of application, `c` of cloudevents: most types end here.
  if ((type.charCodeAt(0) | 32) !== 97 || (type.charCodeAt(12) | 32) !== 99) return 'binary';
  if (type.slice(0, PREFIX.length).toLowerCase() !== PREFIX) return 'binary';
  return type.slice(PREFIX.length, PREFIX.length + 6).toLowerCase() === '-batch' ? 'batch' : 'structured';
}

function isJsonFormat(contentType: string): boolean {
  const end = contentType.indexOf(';');
  const media = end === -1 ? contentType : contentType.slice(0, end);
  return media.trimEnd().toLowerCase().endsWith('+json');
}

/**
 * The event of a structured message with this content type.
 * @throws InvalidEvent, 415 for a batch or a format that is not understood.
 */
export function fromStructured(type: string, body: Buffer | undefined, limits: EventLimits): CloudEvent {
  if (contentMode(type) === 'batch')
    throw new InvalidEvent('', 'this is a batch, where one event is expected', {
      status: 415,
      fix: 'Send each event by itself.',
    });
  return fromJson(jsonBody(type, body, limits, 1), limits);
}

/** The body of a message that must be JSON, when it is not larger than `events` events can be. @throws InvalidEvent */
export function jsonBody(
  type: string,
  body: Buffer | undefined,
  limits: EventLimits,
  events: number,
): Buffer {
  if (!isJsonFormat(type))
    throw new InvalidEvent('', 'only the JSON format of CloudEvents is understood', {
      status: 415,
      fix: 'Send application/cloudevents+json, or the attributes as headers.',
    });
  // Base64 makes four bytes of three, escapes make six of one; what is larger than both need not be read.
  const most = events * 6 * (limits.attributes + limits.data);
  if (body !== undefined && body.length > most) throw tooMuchData(body.length, limits);
  return body ?? EMPTY;
}

const EMPTY = Buffer.alloc(0);
