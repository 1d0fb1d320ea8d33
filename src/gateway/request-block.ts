/**
 * From a request's header fields to what the gateway forwards: hop-by-hop fields removed, names in lower case,
 * forwarding fields added. A block can be kept: a client that repeats the same bytes on its connection, as browsers
 * and load generators do, is recognised by one memory comparison, and the result is the same because it depends on
 * those bytes (and the client's address) alone.
 */
import { CR, HOST, LF, LOWER, SP } from '../base/http1/chars.ts';
import {
  FIELD,
  FIELD_ERROR,
  FIELD_ERROR_TEXT,
  type FieldTable,
  HOP_BY_HOP,
  isGrpc,
  listTokens,
  parseContentLength,
} from '../base/http1/fields.ts';
import { type Failure, refusal } from './failures.ts';
import { validRequestId, validTraceparent } from './ids.ts';

/** What a header block means, and what of it goes to the instance. Depends on the bytes (and the client's address) only. */
export interface RequestBlock {
  /** The block as received, empty line included; empty unless the block is to be remembered. */
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
  /** `Content-Type: application/grpc`: long-lived by its nature, and its failures are told in gRPC's own way. */
  grpc: boolean;
  /** A valid trace context is part of `out`. */
  hasTrace: boolean;
  /** To be carried out later: `Prefer: respond-async` (RFC 7240 §4.1), or `X-Petrel-Invoke-Mode: async` or `batch`. */
  later: boolean;
  /** How often the request has passed a gateway of this kind already (`X-Petrel-Hops`). */
  hops: number;
  /** What is wrong with the block whatever the request line says. */
  refused: Failure | null;
}

/** What the gateway says of a client in forwarding headers. */
export interface ClientAddress {
  /** Value for X-Forwarded-For. */
  address: string;
  /** Value for Forwarded's `for`: IPv6 is bracketed and quoted. */
  forwardedFor: string;
  /** The Host this client sent last, and what follows from it. */
  host: string;
  hostKey: string | null;
  /** Forwarding lines for a request that brought none. */
  lines: Buffer;
}

const PROTO = 'http';
const NONE = Buffer.alloc(0);

/** The refusal for a `FIELD_ERROR`. */
export function fieldRefusal(code: number): Failure {
  if (code === FIELD_ERROR.tooMany) return refusal('head_too_large', FIELD_ERROR_TEXT[code]!);
  return refusal('bad_request', FIELD_ERROR_TEXT[code] ?? 'malformed header');
}
/** Host without port and trailing dot, lower-case; null when it is no host. */
function normaliseHost(host: string): string | null {
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

/** How the client of a socket is named in forwarding headers. */
export function clientAddress(remote: string | undefined): ClientAddress {
  const address = (remote ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '');
  const forwardedFor = address.includes(':') ? `"[${address}]"` : address;
  return { address, forwardedFor, host: '', hostKey: null, lines: NONE };
}

/**
 * Where blocks are put together, one behind the other. Full arenas are left to the blocks that lie in them; blocks
 * that stay (remembered ones) are copied out, so that an idle connection does not keep an arena alive.
 */
const ARENA = 64 * 1024;
let arena: Buffer = Buffer.allocUnsafeSlow(ARENA);
let begin = 0;
let used = 0;

function reserve(bytes: number): void {
  if (used + bytes <= arena.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(ARENA, 2 * (used - begin + bytes)));
  arena.copy(larger, 0, begin, used);
  used -= begin;
  begin = 0;
  arena = larger;
}

function line(name: string, value: string): void {
  reserve(name.length + value.length + 4);
  used += arena.write(`${name}: ${value}\r\n`, used, 'latin1');
}

/** Copies the fields `from`…`to`: in one piece where the client wrote them as `name: value`, as nearly all do. */
function copyFields(buf: Buffer, t: FieldTable, from: number, to: number): void {
  for (let k = from; k < to; k++) {
    const first = k;
    while (k < to && t.valueStart[k] === t.nameEnd[k]! + 2 && plain(buf, t, k)) k++;
    if (k > first) {
      const start = t.nameStart[first]!;
      const end = t.valueEnd[k - 1]! + 2;
      reserve(end - start);
      buf.copy(arena, used, start, end);
      const shift = used - start;
      for (let f = first; f < k; f++) {
        const nameEnd = t.nameEnd[f]! + shift;
        for (let i = t.nameStart[f]! + shift; i < nameEnd; i++) arena[i] = LOWER[arena[i]!]!;
      }
      used += end - start;
    }
    if (k < to) copyField(buf, t, k);
  }
}

/** One space after the colon, none after the value. */
function plain(buf: Buffer, t: FieldTable, k: number): boolean {
  return buf[t.nameEnd[k]! + 1] === SP && buf[t.valueEnd[k]!] === CR;
}

function copyField(buf: Buffer, t: FieldTable, k: number): void {
  const nameEnd = t.nameEnd[k]!;
  const valueEnd = t.valueEnd[k]!;
  let i = t.nameStart[k]!;
  let v = t.valueStart[k]!;
  reserve(nameEnd - i + valueEnd - v + 4);
  for (; i < nameEnd; i++) arena[used++] = LOWER[buf[i]!]!;
  arena[used++] = 58;
  arena[used++] = SP;
  for (; v < valueEnd; v++) arena[used++] = buf[v]!;
  arena[used++] = CR;
  arena[used++] = LF;
}

/** What was gathered on the way through the fields and is not part of the result. */
interface Notes {
  named: Set<string> | null;
  upgradeAsked: boolean;
  upgrade: string;
  traces: number;
  traceparent: string;
  ids: number;
}

function refuse(block: RequestBlock, message: string): void {
  block.refused ??= refusal('bad_request', message);
}

function readConnection(block: RequestBlock, notes: Notes, value: string): void {
  for (const token of listTokens(value)) {
    if (token === 'close') block.close = true;
    else if (token === 'keep-alive') block.keepAlive = true;
    else if (token === 'upgrade') notes.upgradeAsked = true;
    else {
      notes.named ??= new Set();
      notes.named.add(token);
    }
  }
}

/** What one field means to the gateway. */
function interpret(buf: Buffer, t: FieldTable, k: number, block: RequestBlock, notes: Notes): void {
  switch (t.id[k]) {
    case FIELD.host:
      block.hostCount++;
      block.host = t.value(buf, k);
      break;
    case FIELD.contentLength:
      if (block.contentLength >= 0) refuse(block, 'more than one Content-Length');
      block.contentLength = parseContentLength(buf, t.valueStart[k]!, t.valueEnd[k]!);
      if (block.contentLength < 0) refuse(block, 'Content-Length is no number');
      break;
    case FIELD.transferEncoding:
      if (block.hasTransferEncoding) refuse(block, 'more than one Transfer-Encoding');
      block.hasTransferEncoding = true;
      if (t.value(buf, k).toLowerCase() !== 'chunked')
        refuse(block, 'Transfer-Encoding is not exactly "chunked"');
      break;
    case FIELD.connection:
      readConnection(block, notes, t.value(buf, k));
      break;
    case FIELD.upgrade:
      notes.upgrade = notes.upgrade === '' ? t.value(buf, k) : `${notes.upgrade}, ${t.value(buf, k)}`;
      break;
    case FIELD.expect:
      if (t.value(buf, k).toLowerCase() === '100-continue') block.expectContinue = true;
      else block.refused ??= refusal('expectation_failed', 'the only expectation known is 100-continue');
      break;
    case FIELD.xRequestId:
      notes.ids++;
      block.requestId = t.value(buf, k);
      break;
    case FIELD.contentType:
      block.grpc = isGrpc(t.value(buf, k));
      break;
    case FIELD.prefer:
      block.later ||= listTokens(t.value(buf, k)).some((token) => /^respond-async(?:$|[ ;])/.test(token));
      break;
    case FIELD.invokeMode:
      block.later ||= /^(?:async|batch)$/i.test(t.value(buf, k));
      break;
    case FIELD.hops:
      readHops(block, t.value(buf, k));
      break;
    case FIELD.traceparent:
      notes.traces++;
      notes.traceparent = t.value(buf, k);
      break;
    default:
  }
}

/** Requests that pass so many functions, one calling the next, are taken for a loop. */
export const MAX_HOPS = 16;

function readHops(block: RequestBlock, value: string): void {
  if (!/^\d{1,4}$/.test(value)) {
    refuse(block, 'X-Petrel-Hops is no number');
    return;
  }
  block.hops = Math.max(block.hops, Number(value));
  if (block.hops < MAX_HOPS) return;
  const message = `the request has passed ${block.hops} functions, one calling the next: it is taken for a loop`;
  block.refused ??= refusal('loop_detected', message);
}

/** Judgements that need all fields. */
function conclude(block: RequestBlock, notes: Notes, client: ClientAddress, authority: string | null): void {
  if (block.hasTransferEncoding && block.contentLength >= 0) {
    refuse(block, 'both Content-Length and Transfer-Encoding');
  }
  const { named } = notes;
  if (notes.ids !== 1 || !validRequestId(block.requestId) || named?.has('x-request-id')) block.requestId = '';
  block.hasTrace = notes.traces === 1 && validTraceparent(notes.traceparent) && !named?.has('traceparent');
  if (block.hostCount > 1) refuse(block, 'more than one Host');
  if (authority !== null) block.host = authority;
  if (block.host !== client.host || client.hostKey === null) rememberHost(client, block.host);
  if (client.hostKey === null) refuse(block, 'Host is no valid host');
  else block.hostKey = client.hostKey;
  // h2c is not spoken here; a server may ignore an upgrade (RFC 9110 §7.8)
  const { upgrade } = notes;
  if (notes.upgradeAsked && upgrade !== '' && !/(^|,)\s*h2c\s*(,|$)/i.test(upgrade)) block.upgrade = upgrade;
}

function rememberHost(client: ClientAddress, host: string): void {
  client.host = host;
  client.hostKey = normaliseHost(host);
  client.lines = Buffer.from(forwardingLines(client, host, '', '', '', ''), 'latin1');
}

function forwardingLines(
  client: ClientAddress,
  host: string,
  forwardedFor: string,
  forwarded: string,
  proto: string,
  forwardedHost: string,
): string {
  const original = forwardedHost || host;
  const hostLine = original === '' ? '' : `x-forwarded-host: ${original}\r\n`;
  const hostPart = host === '' ? '' : `;host="${host}"`;
  return (
    `x-forwarded-for: ${forwardedFor}${client.address}\r\nx-forwarded-proto: ${proto || PROTO}\r\n${hostLine}` +
    `forwarded: ${forwarded}for=${client.forwardedFor}${hostPart};proto=${PROTO}\r\n`
  );
}

/** Whether the instance sees the field as the client sent it. */
function passes(
  buf: Buffer,
  t: FieldTable,
  k: number,
  block: RequestBlock,
  notes: Notes,
  ownHost: boolean,
): boolean {
  const id = t.id[k]!;
  if (id === FIELD.other) return notes.named === null || !notes.named.has(t.name(buf, k));
  // Connection must not take away what the request means, whatever it names
  if (id === FIELD.contentLength) return true;
  if (id === FIELD.host) return ownHost;
  if (DROPPED.has(id) || notes.named?.has(t.name(buf, k))) return false;
  if (id === FIELD.xRequestId) return block.requestId !== '';
  if (id === FIELD.traceparent || id === FIELD.tracestate) return block.hasTrace;
  return true;
}

/** Fields that are the gateway's to set, or end with it. */
const DROPPED: ReadonlySet<number> = new Set<number>([
  ...HOP_BY_HOP,
  FIELD.expect,
  FIELD.xForwardedFor,
  FIELD.xForwardedProto,
  FIELD.xForwardedHost,
  FIELD.xForwardedPrefix,
  FIELD.forwarded,
  FIELD.hops,
]);

function addForwarding(buf: Buffer, t: FieldTable, notes: Notes, host: string, client: ClientAddress): void {
  let forwardedFor = '';
  let forwarded = '';
  let proto = '';
  let forwardedHost = '';
  let any = false;
  for (let k = 0; k < t.count; k++) {
    const id = t.id[k]!;
    if (id < FIELD.xForwardedFor || id > FIELD.forwarded || notes.named?.has(t.name(buf, k))) continue;
    any = true;
    const value = t.value(buf, k);
    if (id === FIELD.xForwardedFor) forwardedFor += `${value}, `;
    else if (id === FIELD.forwarded) forwarded += `${value}, `;
    else if (id === FIELD.xForwardedProto) proto ||= value;
    else forwardedHost ||= value;
  }
  const lines = any
    ? Buffer.from(forwardingLines(client, host, forwardedFor, forwarded, proto, forwardedHost), 'latin1')
    : client.lines;
  reserve(lines.length);
  arena.set(lines, used);
  used += lines.length;
}

/**
 * Interprets the fields in `t` (of `buf`, the block being `start`…`end`). `authority` is the host of an absolute-form
 * target, which replaces Host (RFC 9112 §3.2.2). With `keep` the result can be remembered.
 */
export function buildRequestBlock(
  buf: Buffer,
  start: number,
  end: number,
  t: FieldTable,
  client: ClientAddress,
  authority: string | null,
  keep: boolean,
): RequestBlock {
  const block: RequestBlock = {
    raw: NONE,
    out: NONE,
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
    grpc: false,
    hasTrace: false,
    later: false,
    hops: 0,
    refused: null,
  };
  const notes: Notes = { named: null, upgradeAsked: false, upgrade: '', traces: 0, traceparent: '', ids: 0 };
  for (let k = 0; k < t.count; k++) if (t.id[k] !== FIELD.other) interpret(buf, t, k, block, notes);
  conclude(block, notes, client, authority);
  begin = used;
  if (authority !== null) line('host', authority);
  let first = 0;
  for (let k = 0; k < t.count; k++) {
    if (passes(buf, t, k, block, notes, authority === null)) continue;
    copyFields(buf, t, first, k);
    first = k + 1;
  }
  copyFields(buf, t, first, t.count);
  if (block.hops > 0) line('x-petrel-hops', String(block.hops + 1));
  addForwarding(buf, t, notes, block.host, client);
  const out = arena.subarray(begin, used);
  if (keep) {
    block.out = Buffer.from(out);
    block.raw = Buffer.from(buf.subarray(start, end));
    used = begin;
  } else block.out = out;
  return block;
}
