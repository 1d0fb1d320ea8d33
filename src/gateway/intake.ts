/** From a complete request head to the exchange that is admitted, or to why there is none; the same for every protocol. */
import { Exchange, type Front } from './exchange.ts';
import { type Failure, failure, methodRefusal, refusal } from './failures.ts';
import type { HeadSurroundings } from './head-reader.ts';
import type { Destination } from './plane-types.ts';
import type { RequestBlock } from './request-block.ts';
import type { RequestLine } from './request-line.ts';
import { putBytes } from './request-writer.ts';

export interface IntakePlane extends HeadSurroundings {
  /** Chooses the revision by path routes, by host or, only when the host is not bound, path, and by what the route's policy says. */
  route(
    block: RequestBlock,
    address: string,
    buf: Buffer,
    targetStart: number,
    targetEnd: number,
  ): Destination;
}

/** What HTTP demands of a request line and its block together. */
export function objection(
  line: RequestLine,
  buf: Buffer,
  block: RequestBlock,
  http10: boolean,
): Failure | null {
  if (block.hostCount === 0 && !http10) return refusal('bad_request', 'Host is missing');
  if (http10 && block.hasTransferEncoding) return refusal('bad_request', 'Transfer-Encoding in HTTP/1.0');
  const c = buf[line.start];
  if (c === 67 || c === 84 || buf[line.targetStart] === 42) {
    const method = buf.toString('latin1', line.start, line.methodEnd);
    if (method === 'CONNECT' || method === 'TRACE') {
      return methodRefusal(method);
    }
    if (buf[line.targetStart] === 42 && method !== 'OPTIONS') {
      return refusal('bad_request', 'the target * is for OPTIONS only');
    }
  }
  if (block.upgrade !== '' && (block.hasTransferEncoding || block.contentLength > 0)) {
    return refusal('bad_request', 'an upgrade with a body');
  }
  return null;
}

/**
 * Where lines of requests lie, one behind the other: what they were read into is used again. A full piece is left to the requests whose lines
 * lie in it; it is small, because some requests stay for long.
 */
const LINES = 4096;
let lines: Buffer = Buffer.allocUnsafeSlow(LINES);
let used = 0;

/** Copies a line to `lines`, and returns where it begins. */
function keepLine(buf: Buffer, start: number, end: number): number {
  if (used + end - start > lines.length) {
    lines = Buffer.allocUnsafeSlow(Math.max(LINES, end - start));
    used = 0;
  }
  const at = used;
  used = putBytes(lines, at, buf, start, end);
  return at;
}

/** The refusal of a body over the revision's limit. */
export function tooLarge(max: number): Failure {
  return refusal('body_too_large', `the request body is larger than ${max} bytes`);
}

/**
 * Makes the exchange of the request whose line stands in `plane.line`. A failure with the reason `ok` is an answer of
 * the gateway itself.
 */
export function takeIn(
  plane: IntakePlane,
  front: Front,
  buf: Buffer,
  block: RequestBlock,
  requestId: string,
  kind: number,
  head: boolean,
  startedAt: number,
): Exchange | Failure {
  const line = plane.line;
  const destination = plane.route(block, front.address, buf, line.targetStart, line.targetEnd);
  const revision = destination.revision;
  if (destination.failure !== null || revision === null) {
    return destination.failure ?? failure('not_ready', 'no revision');
  }
  const max = revision.entry.maxRequestBytes;
  if (max > 0 && block.contentLength > max) {
    const { lines } = destination;
    return lines === '' ? tooLarge(max) : { ...tooLarge(max), lines };
  }
  let source: Buffer;
  let lineStart = 0;
  let lineEnd: number;
  const prefix = destination.prefix;
  const contiguous = line.targetStart === line.methodEnd + 1;
  const { target } = destination;
  if (prefix !== '' || target !== null || !contiguous || buf[line.targetStart] !== 47) {
    const method = buf.toString('latin1', line.start, line.methodEnd);
    const rest = target ?? buf.toString('latin1', line.targetStart + prefix.length, line.targetEnd);
    source = Buffer.from(`${method} ${rest.startsWith('/') ? '' : '/'}${rest}`, 'latin1');
    lineEnd = source.length;
  } else {
    lineStart = keepLine(buf, line.start, line.targetEnd);
    lineEnd = used;
    source = lines;
  }
  const x = new Exchange(
    front,
    revision,
    destination.block ?? block,
    source,
    lineStart,
    lineEnd,
    prefix,
    requestId,
    kind,
    head,
    startedAt,
  );
  if (destination.terms !== null) destination.terms.apply(x);
  return x;
}
