/** The first line of a request (RFC 9112 §3), read byte by byte so that a cut anywhere gives the same verdict. */
import { CR, LF, SP, TARGET, TOKEN } from '../base/http1/chars.ts';
import { type Failure, refusal } from './failures.ts';

/** Offsets of a request line; reused, read it before the next parse. */
export interface RequestLine {
  start: number;
  methodEnd: number;
  targetStart: number;
  targetEnd: number;
  /** Minor version of HTTP/1. */
  minor: number;
}

const MAX_METHOD = 32;
const VERSION = Buffer.from('HTTP/1.', 'latin1');

/** Why a request line was refused. */
export const LINE_ERROR = { bad: -1, bareLf: -2, version: -3, tooLong: -4 } as const;

export const LINE_REFUSAL: Record<number, Failure> = {
  [LINE_ERROR.bad]: refusal('bad_request', 'the request line is malformed'),
  [LINE_ERROR.bareLf]: refusal('bad_request', 'a line ends with LF alone'),
  [LINE_ERROR.version]: refusal('version_not_supported', 'only HTTP/1.1 and HTTP/1.0 are spoken here'),
  [LINE_ERROR.tooLong]: refusal('uri_too_long', 'the request target is too long'),
};

/**
 * Reads `METHOD SP target SP HTTP/1.x CRLF` at `pos`. Returns the position after it, 0 when incomplete, or a
 * `LINE_ERROR`.
 */
export function parseRequestLine(
  buf: Buffer,
  pos: number,
  end: number,
  maxUri: number,
  line: RequestLine,
): number {
  let i = pos;
  let c = 0;
  const methodLimit = pos + MAX_METHOD;
  for (; ; i++) {
    if (i >= end) return 0;
    c = buf[i]!;
    if (TOKEN[c] === 0) break;
    if (i >= methodLimit) return LINE_ERROR.bad;
  }
  if (c !== SP || i === pos) return c === LF ? LINE_ERROR.bareLf : LINE_ERROR.bad;
  line.start = pos;
  line.methodEnd = i;
  const targetStart = ++i;
  const targetLimit = targetStart + maxUri;
  for (; ; i++) {
    if (i >= end) return 0;
    c = buf[i]!;
    if (TARGET[c] === 0) break;
    if (i >= targetLimit) return LINE_ERROR.tooLong;
  }
  if (c !== SP || i === targetStart) return c === LF ? LINE_ERROR.bareLf : LINE_ERROR.bad;
  line.targetStart = targetStart;
  line.targetEnd = i;
  i++;
  for (let k = 0; k < 7; k++, i++) {
    if (i >= end) return 0;
    if (buf[i] === VERSION[k]) continue;
    const later = k === 5 && buf[i]! >= 48 && buf[i]! <= 57;
    return later ? LINE_ERROR.version : LINE_ERROR.bad;
  }
  if (i >= end) return 0;
  const minor = buf[i]! - 48;
  if (minor < 0 || minor > 9) return LINE_ERROR.bad;
  if (minor > 1) return LINE_ERROR.version;
  i++;
  if (i >= end) return 0;
  if (buf[i] !== CR) return buf[i] === LF ? LINE_ERROR.bareLf : LINE_ERROR.bad;
  i++;
  if (i >= end) return 0;
  if (buf[i] !== LF) return LINE_ERROR.bad;
  line.minor = minor;
  return i + 1;
}
