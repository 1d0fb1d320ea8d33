/** Attribute values as HTTP headers carry them. Source: cloudevents/spec, `bindings/http-protocol-binding.md`, 3.1.3.2. */
import { isUtf8 } from 'node:buffer';
import { InvalidEvent } from './event.ts';

const HEX = '0123456789ABCDEF';

/** A value as a header carries it: printable ASCII alone, so nothing in it can end the header or begin another. */
export function encodeHeaderValue(value: string): string {
  return ENCODED.test(value) ? percentEncoded(value) : value;
}

/** What is percent-encoded. */
const ENCODED = /[^!#$&-~]/;

function percentEncoded(value: string): string {
  let out = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    if (byte < 0x21 || byte > 0x7e || byte === 0x22 || byte === 0x25)
      out += `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
    else out += String.fromCharCode(byte);
  }
  return out;
}

/**
 * The value that a header carries; `name` is its attribute. Double quotes around the whole, percent-encoding that was not
 * needed, percent signs that encode nothing and raw UTF-8 (read by node as Latin-1) are understood: older senders wrote so.
 * @throws InvalidEvent when encoded bytes are not UTF-8.
 */
export function decodeHeaderValue(name: string, value: string): string {
  return TO_DECODE.test(value) ? decoded(name, value) : value;
}

const TO_DECODE = /["%\x7f-\uffff]/;

function decoded(name: string, raw: string): string {
  let value = raw;
  if (/[\x80-\xff]/.test(value) && !/[^\x00-\xff]/.test(value)) {
    const bytes = Buffer.from(value, 'latin1');
    if (!isUtf8(bytes)) throw notUtf8(name);
    value = bytes.toString('utf8');
  }
  if (value.length >= 2 && value.startsWith('"') && value.endsWith('"')) {
    value = value.slice(1, -1).replace(/\\(.)/g, '$1');
  }
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value.replace(/%(?![0-9a-fA-F]{2})/g, '%25'));
  } catch {
    throw notUtf8(name);
  }
}

const notUtf8 = (name: string) =>
  new InvalidEvent(name, `the header of ${name} is not percent-encoded UTF-8`, {
    fix: 'Encode the bytes of UTF-8, each as %XY.',
  });

/** Whether a text can stand in a header as it is: printable ASCII and spaces. */
export const isHeaderSafe = (value: string): boolean => !/[^ -~]/.test(value);
