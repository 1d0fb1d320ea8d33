/**
 * From the bytes of a request head to what the gateway forwards. The head is parsed once, where it lies in the
 * receive buffer. Its header block is turned into the block for the instance (hop-by-hop fields removed, forwarding
 * fields added) and kept: a client that repeats the same bytes on its connection, as browsers and load generators
 * do, is recognised by one memory comparison, and the result is the same because it depends on those bytes alone.
 */
import { CR, HOST, LF, LOWER, SP, TARGET, TOKEN } from './chars.ts';
import { type Failure, refusal } from './failures.ts';
import {
  FIELD,
  FIELD_ERROR,
  FIELD_ERROR_TEXT,
  type FieldTable,
  HOP_BY_HOP,
  listTokens,
  parseContentLength,
} from './fields.ts';
import { validRequestId, validTraceparent } from './ids.ts';

/** Offsets of a request line; reused, read it before the next parse. */
export interface RequestLine {
  start: number;
  methodEnd: number;
  targetStart: number;
  targetEnd: number;
  /** Minor version of HTTP/1. */
  minor: number;
}

/** What a header block means, and what of it goes to the instance. Depends on the bytes (and the client's address) only. */
export interface RequestBlock {
  /** The block as received, empty line included. */
  raw: Buffer;
  /** The block to forward: lower-case names, no empty line, without a generated request id or trace context. */
  out: Buffer;
  /** Value of Host, as received. */
  host: string;
  /** Host without port and trailing dot, lower-case; `''` when absent. */
  hostKey: string;
  hostCount: number;
  /** -1 when absent. */
  contentLength: number;
  hasTransferEncoding: boolean;
  /** `Connection: close`. */
  close: boolean;
  /** `Connection: keep-alive`. */
  keepAlive: boolean;
  /** Protocols of Upgrade, when `Connection: upgrade` asks for it; `''` otherwise. */
  upgrade: string;
  /** `Expect: 100-continue`. */
  expectContinue: boolean;
  /** The client's own request id when it is acceptable, else `''` and one is generated. */
  requestId: string;
  /** A valid trace context is part of `out`. */
  hasTrace: boolean;
  /** What is wrong with the block whatever the request line says. */
  refused: Failure | null;
}

/** What the gateway says of a client in forwarding headers. */
export interface ClientAddress {
  /** Value for X-Forwarded-For. */
  address: string;
  /** Value for Forwarded's `for`: IPv6 is bracketed and quoted. */
  forwardedFor: string;
}

const PROTO = 'http';
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
  // HTTP/1.x CR LF, byte by byte so that a cut anywhere gives the same verdict
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

/** The refusal for a `FIELD_ERROR`. */
export function fieldRefusal(code: number): Failure {
  if (code === FIELD_ERROR.tooMany) return refusal('head_too_large', FIELD_ERROR_TEXT[code]!);
  return refusal('bad_request', FIELD_ERROR_TEXT[code] ?? 'malformed header');
}

/** Host without port and trailing dot, lower-case; null when it is no host. */
export function normaliseHost(host: string): string | null {
  for (let i = 0; i < host.length; i++) if (HOST[host.charCodeAt(i)] !== 1) return null;
  let name = host.toLowerCase();
  const colon = name.lastIndexOf(':');
  if (colon >= 0 && name.indexOf(']', colon) < 0) {
    if (!/^\d{0,5}$/.test(name.slice(colon + 1))) return null;
    name = name.slice(0, colon);
    if (name.includes(':') && !name.startsWith('[')) return null;
  }
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

let scratch: Buffer = Buffer.allocUnsafeSlow(8 * 1024);
let used = 0;

function reserve(bytes: number): void {
  if (used + bytes <= scratch.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(scratch.length * 2, used + bytes));
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
}

function line(name: string, value: string): void {
  reserve(name.length + value.length + 4);
  used += scratch.write(`${name}: ${value}\r\n`, used, 'latin1');
}

function copyField(buf: Buffer, t: FieldTable, k: number): void {
  const nameEnd = t.nameEnd[k]!;
  const valueEnd = t.valueEnd[k]!;
  let i = t.nameStart[k]!;
  let v = t.valueStart[k]!;
  reserve(nameEnd - i + valueEnd - v + 4);
  let at = used;
  const out = scratch;
  for (; i < nameEnd; i++) out[at++] = LOWER[buf[i]!]!;
  out[at++] = 58;
  out[at++] = SP;
  for (; v < valueEnd; v++) out[at++] = buf[v]!;
  out[at++] = CR;
  out[at++] = LF;
  used = at;
}

function isChunked(value: string): boolean {
  return value.length === 7 && value.toLowerCase() === 'chunked';
}

/**
 * Interprets the fields in `t` (of `buf`, the block being `start`…`end`). `authority` is the host of an absolute-form
 * target, which replaces Host (RFC 9112 §3.2.2).
 */
export function buildRequestBlock(
  buf: Buffer,
  start: number,
  end: number,
  t: FieldTable,
  client: ClientAddress,
  authority: string | null,
): RequestBlock {
  const block: RequestBlock = {
    raw: Buffer.from(buf.subarray(start, end)),
    out: scratch,
    host: '',
    hostKey: '',
    hostCount: 0,
    contentLength: -1,
    hasTransferEncoding: false,
    close: false,
    keepAlive: false,
    upgrade: '',
    expectContinue: false,
    requestId: '',
    hasTrace: false,
    refused: null,
  };
  const refuse = (message: string) => {
    block.refused ??= refusal('bad_request', message);
  };
  let named: Set<string> | null = null;
  let upgradeAsked = false;
  let upgrade = '';
  let traces = 0;
  let traceparent = '';
  let ids = 0;
  let forwardedFor = '';
  let forwarded = '';
  let proto = '';
  let forwardedHost = '';
  for (let k = 0; k < t.count; k++) {
    switch (t.id[k]) {
      case FIELD.host:
        block.hostCount++;
        block.host = t.value(buf, k);
        break;
      case FIELD.contentLength:
        if (block.contentLength >= 0) refuse('more than one Content-Length');
        block.contentLength = parseContentLength(buf, t.valueStart[k]!, t.valueEnd[k]!);
        if (block.contentLength < 0) refuse('Content-Length is no number');
        break;
      case FIELD.transferEncoding:
        if (block.hasTransferEncoding) refuse('more than one Transfer-Encoding');
        block.hasTransferEncoding = true;
        if (!isChunked(t.value(buf, k))) refuse('Transfer-Encoding is not exactly "chunked"');
        break;
      case FIELD.connection:
        for (const token of listTokens(t.value(buf, k))) {
          if (token === 'close') block.close = true;
          else if (token === 'keep-alive') block.keepAlive = true;
          else if (token === 'upgrade') upgradeAsked = true;
          else {
            named ??= new Set();
            named.add(token);
          }
        }
        break;
      case FIELD.upgrade:
        upgrade = upgrade === '' ? t.value(buf, k) : `${upgrade}, ${t.value(buf, k)}`;
        break;
      case FIELD.expect:
        if (t.value(buf, k).toLowerCase() === '100-continue') block.expectContinue = true;
        else block.refused ??= refusal('expectation_failed', 'the only expectation known is 100-continue');
        break;
      case FIELD.xRequestId:
        ids++;
        block.requestId = t.value(buf, k);
        break;
      case FIELD.traceparent:
        traces++;
        traceparent = t.value(buf, k);
        break;
      default:
    }
  }
  if (block.hasTransferEncoding && block.contentLength >= 0)
    refuse('both Content-Length and Transfer-Encoding');
  if (ids !== 1 || !validRequestId(block.requestId)) block.requestId = '';
  block.hasTrace = traces === 1 && validTraceparent(traceparent);
  if (block.hostCount > 1) refuse('more than one Host');
  if (authority !== null) block.host = authority;
  const hostKey = normaliseHost(block.host);
  if (hostKey === null) refuse('Host is no valid host');
  else block.hostKey = hostKey;
  // h2c is not spoken here; a server may ignore an upgrade (RFC 9110 §7.8)
  if (upgradeAsked && upgrade !== '' && !/(^|,)\s*h2c\s*(,|$)/i.test(upgrade)) block.upgrade = upgrade;

  used = 0;
  if (block.host !== '') line('host', block.host);
  for (let k = 0; k < t.count; k++) {
    const id = t.id[k]!;
    if (id === FIELD.other) {
      if (named?.has(t.name(buf, k))) continue;
      copyField(buf, t, k);
      continue;
    }
    if (HOP_BY_HOP.has(id) || id === FIELD.host || id === FIELD.expect) continue;
    if (id === FIELD.contentLength) {
      copyField(buf, t, k);
      continue;
    }
    if (named?.has(t.name(buf, k))) continue;
    if (id === FIELD.xForwardedFor) forwardedFor += `${t.value(buf, k)}, `;
    else if (id === FIELD.forwarded) forwarded += `${t.value(buf, k)}, `;
    else if (id === FIELD.xForwardedProto) proto ||= t.value(buf, k);
    else if (id === FIELD.xForwardedHost) forwardedHost ||= t.value(buf, k);
    else if (id === FIELD.xRequestId) {
      if (block.requestId !== '') copyField(buf, t, k);
    } else if (id === FIELD.traceparent || id === FIELD.tracestate) {
      if (block.hasTrace) copyField(buf, t, k);
    } else copyField(buf, t, k);
  }
  if (named?.has('x-request-id')) block.requestId = '';
  if (named?.has('traceparent')) block.hasTrace = false;
  line('x-forwarded-for', forwardedFor + client.address);
  line('x-forwarded-proto', proto || PROTO);
  if (forwardedHost !== '' || block.host !== '') line('x-forwarded-host', forwardedHost || block.host);
  const hostPart = block.host === '' ? '' : `;host="${block.host}"`;
  line('forwarded', `${forwarded}for=${client.forwardedFor}${hostPart};proto=${PROTO}`);
  block.out = Buffer.from(scratch.subarray(0, used));
  return block;
}

/** How the client of a socket is named in forwarding headers. */
export function clientAddress(remote: string | undefined): ClientAddress {
  const address = (remote ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '');
  return { address, forwardedFor: address.includes(':') ? `"[${address}]"` : address };
}
