/**
 * Paths as path routes compare them: `%61` is `a` (RFC 3986 §6.2.2.2), so that a rule about a path cannot be walked around
 * by writing it differently. `%2F` stays: it separates nothing. Bytes are characters here, as in the request line.
 */
import { HEX } from '../../base/http1/chars.ts';

const PERCENT = 37;
const SLASH = 47;
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;

function isEscape(raw: string, at: number): boolean {
  const high = HEX[raw.charCodeAt(at + 1) & 255]!;
  const low = HEX[raw.charCodeAt(at + 2) & 255]!;
  return at + 2 < raw.length && high < 16 && low < 16 && (high << 4) + low !== SLASH;
}

/** The path that is compared; null for one with `.` or `..` segments, whose meaning nobody here decides. */
export function comparable(raw: string): string | null {
  let path = raw;
  if (raw.includes('%')) {
    path = '';
    let from = 0;
    for (let at = raw.indexOf('%'); at >= 0; at = raw.indexOf('%', at + 1)) {
      if (!isEscape(raw, at)) continue;
      const byte = (HEX[raw.charCodeAt(at + 1)]! << 4) + HEX[raw.charCodeAt(at + 2)]!;
      path += raw.slice(from, at) + String.fromCharCode(byte);
      from = at + 3;
      at += 2;
    }
    path += raw.slice(from);
  }
  return path.includes('/.') && DOT_SEGMENT.test(path) ? null : path;
}

/** How many characters of `raw` the first `length` characters of its comparable form were. */
export function rawLength(raw: string, length: number): number {
  let at = 0;
  for (let n = 0; n < length; n++) at += raw.charCodeAt(at) === PERCENT && isEscape(raw, at) ? 3 : 1;
  return at;
}

/** A path that somebody has written down, in the same form: UTF-8 bytes as characters, escapes resolved. */
export function written(value: string): string {
  const bytes = Buffer.from(value, 'utf8').toString('latin1');
  return comparable(bytes) ?? bytes;
}
