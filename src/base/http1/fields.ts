/**
 * Header fields of RFC 9112 §5, strictly: one pass over the bytes where they lie. Nothing is copied; the caller
 * gets offsets. The same function reads requests, responses, trailers and the header blocks of instances, so there
 * is one place that decides what a field is.
 */
import { COLON, CR, HTAB, LF, LOWER, SP, TOKEN, VALUE } from './chars.ts';

/** Fields that the gateway looks at (a client of the platform at some of them); every other one is passed through unread. */
export const FIELD = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  te: 5,
  trailer: 6,
  upgrade: 7,
  expect: 8,
  keepAlive: 9,
  proxyConnection: 10,
  proxyAuthenticate: 11,
  proxyAuthorization: 12,
  xForwardedFor: 13,
  xForwardedProto: 14,
  xForwardedHost: 15,
  forwarded: 16,
  xRequestId: 17,
  traceparent: 18,
  tracestate: 19,
  date: 20,
  http2Settings: 21,
  xForwardedPrefix: 22,
  contentType: 23,
  prefer: 24,
  invokeMode: 25,
  hops: 26,
  lambdaEvent: 27,
} as const;

const NAMES: Record<string, number> = {
  host: FIELD.host,
  connection: FIELD.connection,
  'content-length': FIELD.contentLength,
  'transfer-encoding': FIELD.transferEncoding,
  te: FIELD.te,
  trailer: FIELD.trailer,
  upgrade: FIELD.upgrade,
  expect: FIELD.expect,
  'keep-alive': FIELD.keepAlive,
  'proxy-connection': FIELD.proxyConnection,
  'proxy-authenticate': FIELD.proxyAuthenticate,
  'proxy-authorization': FIELD.proxyAuthorization,
  'x-forwarded-for': FIELD.xForwardedFor,
  'x-forwarded-proto': FIELD.xForwardedProto,
  'x-forwarded-host': FIELD.xForwardedHost,
  forwarded: FIELD.forwarded,
  'x-request-id': FIELD.xRequestId,
  traceparent: FIELD.traceparent,
  tracestate: FIELD.tracestate,
  date: FIELD.date,
  'http2-settings': FIELD.http2Settings,
  'x-forwarded-prefix': FIELD.xForwardedPrefix,
  'content-type': FIELD.contentType,
  prefer: FIELD.prefer,
  'x-petrel-invoke-mode': FIELD.invokeMode,
  // The same wish in Fission's words.
  'x-fission-invoke-mode': FIELD.invokeMode,
  'x-petrel-hops': FIELD.hops,
  'x-petrel-lambda-event': FIELD.lambdaEvent,
};

/**
 * Fields that never cross the gateway: those of one connection (RFC 9110 §7.6.1, and what old clients send), and what only a path route
 * may say.
 */
export const HOP_BY_HOP: ReadonlySet<number> = new Set<number>([
  FIELD.connection,
  FIELD.transferEncoding,
  FIELD.te,
  FIELD.upgrade,
  FIELD.keepAlive,
  FIELD.proxyConnection,
  FIELD.proxyAuthenticate,
  FIELD.proxyAuthorization,
  FIELD.http2Settings,
  FIELD.lambdaEvent,
]);

interface Known {
  bytes: Uint8Array;
  id: number;
}

/** Candidates by length of the name: almost every unknown name is dismissed by its length or first letter. */
const BY_LENGTH: (Known[] | undefined)[] = [];
for (const [name, id] of Object.entries(NAMES)) {
  let list = BY_LENGTH[name.length];
  if (list === undefined) BY_LENGTH[name.length] = list = [];
  list.push({ bytes: Buffer.from(name, 'latin1'), id });
}
for (let i = 0; i < BY_LENGTH.length; i++) BY_LENGTH[i] ??= undefined;

function identify(buf: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length >= BY_LENGTH.length) return 0;
  const list = BY_LENGTH[length];
  if (list === undefined) return 0;
  for (let k = 0; k < list.length; k++) {
    const known = list[k]!;
    const bytes = known.bytes;
    let i = 0;
    while (i < length && LOWER[buf[start + i]!] === bytes[i]) i++;
    if (i === length) return known.id;
  }
  return 0;
}

/** Why bytes are no header block; negative so that they share the result with positions. */
export const FIELD_ERROR = {
  badName: -1,
  badValue: -2,
  bareLf: -3,
  bareCr: -4,
  obsFold: -5,
  spaceBeforeColon: -6,
  tooMany: -7,
} as const;

export const FIELD_ERROR_TEXT: Record<number, string> = {
  [FIELD_ERROR.badName]: 'a header name has a character that is not allowed there',
  [FIELD_ERROR.badValue]: 'a header value has a control character',
  [FIELD_ERROR.bareLf]: 'a line ends with LF alone',
  [FIELD_ERROR.bareCr]: 'CR without LF',
  [FIELD_ERROR.obsFold]: 'a header is folded over several lines',
  [FIELD_ERROR.spaceBeforeColon]: 'white space between a header name and its colon',
  [FIELD_ERROR.tooMany]: 'too many headers',
};

/** Offsets of the fields found by the last `parseFields`; reused, so read it before the next call. */
export class FieldTable {
  readonly capacity: number;
  count = 0;
  readonly id: Uint8Array;
  readonly nameStart: Int32Array;
  readonly nameEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.id = new Uint8Array(capacity);
    this.nameStart = new Int32Array(capacity);
    this.nameEnd = new Int32Array(capacity);
    this.valueStart = new Int32Array(capacity);
    this.valueEnd = new Int32Array(capacity);
  }

  /** Value of field `i` as text. */
  value(buf: Buffer, i: number): string {
    return buf.toString('latin1', this.valueStart[i]!, this.valueEnd[i]!);
  }

  /** Lower-case name of field `i`. */
  name(buf: Buffer, i: number): string {
    return buf.toString('latin1', this.nameStart[i]!, this.nameEnd[i]!).toLowerCase();
  }
}

/**
 * Reads fields from `pos` up to and including the empty line. Returns the position after it, 0 when `end` comes
 * first, or a `FIELD_ERROR`. Strictly left to right, so the verdict does not depend on how the bytes arrived.
 * With `open` the block has no empty line of its own and ends at `end`.
 */
export function parseFields(buf: Uint8Array, pos: number, end: number, t: FieldTable, open: boolean): number {
  let n = 0;
  let i = pos;
  for (;;) {
    if (i >= end) {
      t.count = n;
      return open ? end : 0;
    }
    let c = buf[i]!;
    if (c === CR) {
      if (i + 1 >= end) return open ? FIELD_ERROR.bareCr : 0;
      if (buf[i + 1] !== LF) return FIELD_ERROR.bareCr;
      if (open) return FIELD_ERROR.badName;
      t.count = n;
      return i + 2;
    }
    if (n === t.capacity) return FIELD_ERROR.tooMany;
    const nameStart = i;
    while (TOKEN[c] === 1) {
      if (++i >= end) return open ? FIELD_ERROR.badName : 0;
      c = buf[i]!;
    }
    if (c !== COLON || i === nameStart) {
      if (c === LF) return FIELD_ERROR.bareLf;
      if (c === CR) return FIELD_ERROR.badName;
      if (c === SP || c === HTAB) return i === nameStart ? FIELD_ERROR.obsFold : FIELD_ERROR.spaceBeforeColon;
      return FIELD_ERROR.badName;
    }
    const nameEnd = i;
    do {
      if (++i >= end) return open ? FIELD_ERROR.badValue : 0;
      c = buf[i]!;
    } while (c === SP || c === HTAB);
    const valueStart = i;
    while (VALUE[c] === 1) {
      if (++i >= end) return open ? FIELD_ERROR.badValue : 0;
      c = buf[i]!;
    }
    if (c !== CR) return c === LF ? FIELD_ERROR.bareLf : FIELD_ERROR.badValue;
    if (i + 1 >= end) return open ? FIELD_ERROR.bareCr : 0;
    if (buf[i + 1] !== LF) return FIELD_ERROR.bareCr;
    let valueEnd = i;
    while (valueEnd > valueStart && (buf[valueEnd - 1] === SP || buf[valueEnd - 1] === HTAB)) valueEnd--;
    t.id[n] = identify(buf, nameStart, nameEnd);
    t.nameStart[n] = nameStart;
    t.nameEnd[n] = nameEnd;
    t.valueStart[n] = valueStart;
    t.valueEnd[n] = valueEnd;
    n++;
    i += 2;
  }
}

/** The tokens of a comma-separated value, lower-case, empty elements skipped. */
export function listTokens(value: string): string[] {
  const out: string[] = [];
  for (const part of value.split(',')) {
    const token = part.trim().toLowerCase();
    if (token !== '') out.push(token);
  }
  return out;
}

/** Whether a Content-Type is gRPC's own; gRPC-Web is ordinary HTTP. */
export function isGrpc(contentType: string): boolean {
  return /^application\/grpc(?:$|[+; ])/i.test(contentType);
}

/** A Content-Length: digits only, below 2^53; -1 for anything else (a list of equal numbers included). */
export function parseContentLength(buf: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 16) return -1;
  let n = 0;
  for (let i = start; i < end; i++) {
    const digit = buf[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n <= Number.MAX_SAFE_INTEGER ? n : -1;
}
