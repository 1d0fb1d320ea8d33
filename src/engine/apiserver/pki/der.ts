/** Writing DER, as far as a certificate needs it. Source: ITU-T X.690. */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
};

function element(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), content]);
}

export const sequence = (...parts: Uint8Array[]): Buffer => element(TAG.sequence, ...parts);
export const set = (...parts: Uint8Array[]): Buffer => element(TAG.set, ...parts);
export const octetString = (content: Uint8Array): Buffer => element(TAG.octetString, content);
export const utf8 = (text: string): Buffer => element(TAG.utf8, Buffer.from(text));
export const boolean = (value: boolean): Buffer => element(TAG.boolean, Buffer.from([value ? 0xff : 0]));
/** Explicit, constructed context tag. */
export const tagged = (number: number, ...parts: Uint8Array[]): Buffer => element(0xa0 | number, ...parts);
/** Implicit, primitive context tag. */
export const implicit = (number: number, content: Uint8Array): Buffer => element(0x80 | number, content);

/** A non-negative integer, big-endian. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  return (digits[0] ?? 0) & 0x80
    ? element(TAG.integer, Buffer.from([0]), digits)
    : element(TAG.integer, digits);
}

/** `unused` counts the bits at the end that mean nothing. */
export const bitString = (content: Uint8Array, unused = 0): Buffer =>
  element(TAG.bitString, Buffer.from([unused]), content);

/** `1.2.840.10045.4.3.2` */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let more = arc >>> 7; more > 0; more >>>= 7) digits.unshift(0x80 | (more & 0x7f));
    bytes.push(...digits);
  }
  return element(TAG.oid, Buffer.from(bytes));
}

/** Two-digit years until 2049, four digits from then on. Source: RFC 5280, 4.1.2.5. */
export function time(milliseconds: number): Buffer {
  const date = new Date(milliseconds);
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? element(TAG.utcTime, Buffer.from(digits.slice(2)))
    : element(TAG.generalizedTime, Buffer.from(digits));
}
