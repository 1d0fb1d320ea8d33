/** Reading the protobuf wire format: keys, varints, fixed and length-delimited values. Source: protobuf.dev encoding. */

/** The bytes are no message of the expected form; the answer is 400 BadRequest. */
export class ProtobufError extends Error {}

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const TWO_32 = 2 ** 32;

/** A cursor over one message. Every read checks its bounds, so truncated input ends in a `ProtobufError`. */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next field's number and wire type. */
  key(): [number: number, wire: number] {
    const key = this.uint();
    const number = Math.floor(key / 8);
    if (number === 0) throw new ProtobufError('illegal tag 0');
    return [number, key % 8];
  }

  #varint(): [low: number, high: number] {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new ProtobufError('unexpected EOF');
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >> 4;
      } else high |= bits << (7 * (i - 5) + 3);
      if (byte < 0x80) return [low >>> 0, high >>> 0];
    }
    throw new ProtobufError('integer overflow');
  }

  /** An unsigned varint; exact up to 2^53. */
  uint(): number {
    const [low, high] = this.#varint();
    return high * TWO_32 + low;
  }

  /** A signed (two's complement, not zigzag) varint; exact within ±2^53. */
  int(): number {
    const [low, high] = this.#varint();
    if (high < 0x80000000) return high * TWO_32 + low;
    return -((~high >>> 0) * TWO_32 + (~low >>> 0) + 1);
  }

  /** A 64-bit float. */
  double(): number {
    return this.#take(8).readDoubleLE(0);
  }

  /** A 32-bit float. */
  float(): number {
    return this.#take(4).readFloatLE(0);
  }

  /** A length-delimited value; a view, not a copy. */
  bytes(): Buffer {
    return this.#take(this.uint());
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new ProtobufError('unexpected EOF');
    const view = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }

  /** Passes over the value of a field nobody knows. */
  skip(wire: number): void {
    if (wire === VARINT) this.#varint();
    else if (wire === FIXED64) this.#take(8);
    else if (wire === BYTES) this.bytes();
    else if (wire === FIXED32) this.#take(4);
    else throw new ProtobufError(`illegal wireType ${wire}`);
  }
}
