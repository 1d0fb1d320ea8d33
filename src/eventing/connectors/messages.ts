/** Making events of messages: what all brokers have in common. Pure. */
import { type CloudEvent, InvalidEvent, makeEvent } from '../../cloudevents/event.ts';
import { badTextAt } from '../../cloudevents/text.ts';

/** The event that a message carries; `plain`, the one about it, where it claims to carry one and does not: nothing is thrown away. */
export function carried(read: () => CloudEvent, plain: () => CloudEvent): CloudEvent {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidEvent) return plain();
    throw error;
  }
}

/** Bytes as text where they are some that an attribute can have, else as base64: nothing is lost. */
export function attributeText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return text !== '' && badTextAt(text) < 0 && !text.includes('\uFFFD') ? text : bytes.toString('base64');
}

/** A name as the end of an attribute's name: lower-case letters and digits are kept. */
export const attributeName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** A content type if it is a media type, else undefined: an event may have no other. */
export const mediaType = (text: string | undefined): string | undefined =>
  text !== undefined && /^[^/;\s]+\/[^;\s]/.test(text) ? text : undefined;

/** What a message that carries no event is made into one of. */
export interface Message {
  id: string;
  type: string;
  /** The object it came through: `/apis/v1/namespaces/<ns>/<plural>/<name>#<of>`, as Knative names its sources. */
  origin: { namespace: string; name: string; plural: string; of?: string };
  subject?: string;
  /** Milliseconds since the epoch. */
  at?: number;
  contentType?: string;
  /** Extension attributes; those whose value is undefined are left out. */
  extensions?: Readonly<Record<string, string | undefined>>;
  data?: Buffer;
}

/** Text that an attribute may have: what it may not is percent-encoded, for keys and topics may have anything. */
function plainText(text: string): string {
  let rest = text;
  for (let at = badTextAt(rest); at >= 0; at = badTextAt(rest)) {
    const sign = String.fromCodePoint(rest.codePointAt(at) ?? 0);
    rest = rest.slice(0, at) + encodeURIComponent(sign.toWellFormed()) + rest.slice(at + sign.length);
  }
  return rest;
}

/** The event about a message. */
export function about(message: Message): CloudEvent {
  const { namespace, name, plural, of } = message.origin;
  const extensions: Record<string, string> = {};
  for (const [key, value] of Object.entries(message.extensions ?? {}))
    if (value !== undefined && value !== '') extensions[key] = plainText(value);
  return makeEvent(
    plainText(message.id),
    `/apis/v1/namespaces/${namespace}/${plural}/${name}${of === undefined ? '' : `#${encodeURIComponent(of.toWellFormed())}`}`,
    plainText(message.type),
    message.subject ? plainText(message.subject) : undefined,
    message.at === undefined ? undefined : new Date(message.at).toISOString(),
    mediaType(message.contentType),
    undefined,
    extensions,
    message.data,
  );
}
