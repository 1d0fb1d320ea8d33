/**
 * What the strings of attributes may be. Every event that comes in passes here.
 * Source: cloudevents/spec, `spec.md` (Type System); RFC 3339; RFC 3986.
 */

/** Anything but printable ASCII. One class in one regular expression is measured twice as fast as a loop in JavaScript. */
const UNUSUAL = /[^ -~]/;

/** Bytes of a string as UTF-8, or -1 when it contains what no attribute may (`badTextAt` says where). */
export function textBytes(value: string): number {
  if (!UNUSUAL.test(value)) return value.length;
  return badTextAt(value) === -1 ? Buffer.byteLength(value) : -1;
}

/** Where the first character stands that no String may contain: controls, noncharacters, lone surrogates; -1: nowhere. */
export function badTextAt(value: string): number {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return at;
    if (code < 0xd800) continue;
    if (code <= 0xdfff) {
      const point = value.codePointAt(at) ?? 0;
      // Below U+10000 the surrogate stands alone; the last two of each plane are noncharacters.
      if (point < 0x10000 || (point & 0xfffe) === 0xfffe) return at;
      at++;
    } else if ((code >= 0xfdd0 && code <= 0xfdef) || code >= 0xfffe) return at;
  }
  return -1;
}

const digit = (text: string, at: number): number => {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57 ? code - 48 : Number.NaN;
};
const two = (text: string, at: number): number => digit(text, at) * 10 + digit(text, at + 1);

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether a text is an RFC 3339 timestamp of a day that exists; `t` and `z` may be small, a leap second is one. */
export function isTimestamp(text: string): boolean {
  const year = two(text, 0) * 100 + two(text, 2);
  const month = two(text, 5);
  const day = two(text, 8);
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1)) return false;
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (day > (DAYS[month - 1] ?? 0) + (leap ? 1 : 0)) return false;
  if (!(two(text, 11) <= 23 && two(text, 14) <= 59 && two(text, 17) <= 60)) return false;
  if (text[4] !== '-' || text[7] !== '-' || text[13] !== ':' || text[16] !== ':') return false;
  if (text[10] !== 'T' && text[10] !== 't') return false;
  let at = 19;
  if (text[at] === '.') {
    const first = ++at;
    while (digit(text, at) >= 0) at++;
    if (at === first) return false;
  }
  if (text[at] === 'Z' || text[at] === 'z') return at === text.length - 1;
  if (text[at] !== '+' && text[at] !== '-') return false;
  return at === text.length - 6 && two(text, at + 1) <= 23 && text[at + 3] === ':' && two(text, at + 4) <= 59;
}

/** What stands in no URI reference (RFC 3986, 2): controls, spaces, some signs, a percent sign that encodes nothing. */
const NOT_URI = /[\x00-\x20"<>\\^`{|}\x7f]|%(?![0-9A-Fa-f]{2})/;

/**
 * Whether a text can be read as a URI reference. Characters beyond ASCII pass (RFC 3987), as they do in the other
 * implementations.
 */
export const isUriReference = (text: string): boolean => !NOT_URI.test(text);
