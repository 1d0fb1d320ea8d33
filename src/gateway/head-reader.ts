/**
 * Reads the heads of one client's requests, strictly, and keeps the header block it saw last: a client that repeats
 * its fields, as browsers and load generators do, is recognised by one memory comparison.
 */
import { CR, LF } from '../base/http1/chars.ts';
import { type FieldTable, parseFields } from '../base/http1/fields.ts';
import { type Failure, refusal } from './failures.ts';
import type { GatewayLimits } from './limits.ts';
import { buildRequestBlock, type ClientAddress, fieldRefusal, type RequestBlock } from './request-block.ts';
import { LINE_REFUSAL, parseRequestLine, type RequestLine } from './request-line.ts';

/** Where offsets of the head read last are found; shared by all clients of a worker. */
export interface HeadSurroundings {
  readonly limits: GatewayLimits;
  readonly fields: FieldTable;
  readonly line: RequestLine;
}

/** Header blocks up to this size are remembered per connection. */
const REMEMBER_LIMIT = 4096;

export class HeadReader {
  /** After a position was returned: the block, and the offsets of its request line in the surroundings. */
  block: RequestBlock | null = null;
  /** After -1: why. */
  failure: Failure | null = null;
  readonly #around: HeadSurroundings;
  readonly #address: ClientAddress;
  #remembered: RequestBlock | null = null;
  #misses = 0;

  constructor(around: HeadSurroundings, address: ClientAddress) {
    this.#around = around;
    this.#address = address;
  }

  /** The client's IP address. */
  get address(): string {
    return this.#address.address;
  }

  /** Reads the head at `pos`: the position after it, 0 when it is not complete, -1 when it is refused. */
  read(buf: Buffer, pos: number, end: number): number {
    const { limits, line, fields } = this.#around;
    let start = pos;
    if (buf[start] === CR && start + 1 < end && buf[start + 1] === LF) start += 2;
    else if (buf[start] === CR && start + 1 === end) return 0;
    const fieldsAt = parseRequestLine(buf, start, end, limits.maxUriBytes, line);
    if (fieldsAt <= 0) return fieldsAt === 0 ? 0 : this.#refuse(LINE_REFUSAL[fieldsAt]!);
    const known = this.#remembered;
    if (known !== null && known.raw.length <= end - fieldsAt) {
      const after = fieldsAt + known.raw.length;
      if (buf.compare(known.raw, 0, known.raw.length, fieldsAt, after) === 0) {
        this.#misses = 0;
        this.block = known;
        return after;
      }
    }
    const limit = start + limits.maxHeadBytes;
    const after = parseFields(buf, fieldsAt, Math.min(end, limit), fields, false);
    if (after < 0) return this.#refuse(fieldRefusal(after));
    if (after === 0) {
      if (end < limit) return 0;
      return this.#refuse(refusal('head_too_large', `the head is larger than ${limits.maxHeadBytes} bytes`));
    }
    let authority: string | null = null;
    if (buf[line.targetStart] !== 47) {
      authority = this.#absolute(buf);
      if (authority === '')
        return this.#refuse(refusal('bad_request', 'the request target has no known form'));
    }
    const keep = authority === null && after - fieldsAt <= REMEMBER_LIMIT && this.#worthRemembering();
    const block = buildRequestBlock(buf, fieldsAt, after, fields, this.#address, authority, keep);
    if (keep) this.#remembered = block.refused === null ? block : null;
    this.block = block;
    return after;
  }

  #refuse(why: Failure): -1 {
    this.failure = why;
    return -1;
  }

  /** A client whose blocks never repeat is tried again only now and then: remembering costs a copy. */
  #worthRemembering(): boolean {
    const misses = this.#misses++;
    return misses < 4 || misses % 16 === 0;
  }

  /** Takes an absolute-form target apart: leaves the path in the line's offsets, returns the authority or `''`. */
  #absolute(buf: Buffer): string | null {
    const { line } = this.#around;
    if (line.targetEnd - line.targetStart === 1 && buf[line.targetStart] === 42) return null;
    const target = buf.toString('latin1', line.targetStart, line.targetEnd);
    const match = /^https?:\/\/([^/?]+)/i.exec(target);
    if (match === null || match[1]!.includes('@')) return '';
    line.targetStart += match[0].length;
    return match[1]!;
  }
}
