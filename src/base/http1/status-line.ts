/** The first line of a response (RFC 9112 §4), strictly. */
import { CR, LF, SP, VALUE } from './chars.ts';

export interface StatusLine {
  minor: number;
  status: number;
}

const VERSION = Buffer.from('HTTP/1.', 'latin1');

function digit(byte: number): number {
  return byte >= 48 && byte <= 57 ? byte - 48 : -1;
}

/** Reads a status line at `pos`: the position after it, 0 when incomplete, -1 when malformed. */
export function parseStatusLine(buf: Buffer, pos: number, end: number, line: StatusLine): number {
  if (end - pos < 13) {
    const known = Math.min(7, end - pos);
    for (let k = 0; k < known; k++) if (buf[pos + k] !== VERSION[k]) return -1;
    return 0;
  }
  for (let k = 0; k < 7; k++) if (buf[pos + k] !== VERSION[k]) return -1;
  const minor = digit(buf[pos + 7]!);
  const a = digit(buf[pos + 9]!);
  const b = digit(buf[pos + 10]!);
  const c = digit(buf[pos + 11]!);
  if (minor < 0 || minor > 1 || buf[pos + 8] !== SP || a < 1 || a > 5 || b < 0 || c < 0) return -1;
  let i = pos + 12;
  if (buf[i] !== SP && buf[i] !== CR) return -1;
  while (i < end && VALUE[buf[i]!] === 1) i++;
  if (i >= end) return 0;
  if (buf[i] !== CR) return -1;
  if (i + 1 >= end) return 0;
  if (buf[i + 1] !== LF) return -1;
  line.minor = minor;
  line.status = a * 100 + b * 10 + c;
  return i + 2;
}
