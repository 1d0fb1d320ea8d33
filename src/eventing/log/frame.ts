/**
 * An entry's form in a segment:
 *
 *     u32 length of the record, its top bit: a key follows the head
 *     u32 CRC-32 of all that follows, begun with the word before
 *     f64 offset, f64 time (ms since the epoch)
 *     16 bytes of key's digest, if so said
 *     the record
 *
 * All little-endian. The offset makes a frame known wherever it is found: what follows a damaged place is found again.
 */
import { crc32 } from 'node:zlib';

export const HEAD_BYTES = 24;
export const KEY_BYTES = 16;
/** Largest record. */
export const MAX_RECORD = 0x3fff_ffff;
const KEYED = 0x8000_0000;

/** Bytes that a record takes in a segment. */
export function frameBytes(record: number, keyed: boolean): number {
  return HEAD_BYTES + (keyed ? KEY_BYTES : 0) + record;
}

/** Writes the head of a frame whose record (and digest) are already in place. `length`: of the whole frame. */
export function sealFrame(
  buffer: Buffer,
  position: number,
  length: number,
  keyed: boolean,
  offset: number,
  at: number,
): void {
  const word = keyed ? (length - HEAD_BYTES - KEY_BYTES + KEYED) >>> 0 : length - HEAD_BYTES;
  buffer.writeUInt32LE(word, position);
  buffer.writeDoubleLE(offset, position + 8);
  buffer.writeDoubleLE(at, position + 16);
  buffer.writeUInt32LE(crc32(buffer.subarray(position + 8, position + length), word), position + 4);
}

/** The whole frame's length as its head, which is there, says; 0: this is none. */
export function frameLength(buffer: Buffer, position: number): number {
  const word = buffer.readUInt32LE(position);
  const record = word & 0x7fff_ffff;
  if (record === 0 || record > MAX_RECORD) return 0;
  return HEAD_BYTES + (word >= KEYED ? KEY_BYTES : 0) + record;
}

export const offsetOf = (buffer: Buffer, position: number): number => buffer.readDoubleLE(position + 8);
export const timeOf = (buffer: Buffer, position: number): number => buffer.readDoubleLE(position + 16);
export const isKeyed = (buffer: Buffer, position: number): boolean => (buffer[position + 3]! & 0x80) !== 0;

export function recordOf(buffer: Buffer, position: number, length: number): Buffer {
  return buffer.subarray(
    position + HEAD_BYTES + (isKeyed(buffer, position) ? KEY_BYTES : 0),
    position + length,
  );
}

/** Whether the frame, which is there in its whole length, is what was written. */
export function isIntact(buffer: Buffer, position: number, length: number): boolean {
  const word = buffer.readUInt32LE(position);
  return crc32(buffer.subarray(position + 8, position + length), word) === buffer.readUInt32LE(position + 4);
}

/** Where the next whole and intact frame begins, of an offset within the bounds; -1: nowhere. */
export function findFrame(buffer: Buffer, from: number, lowest: number, below: number): number {
  for (let position = from; position + HEAD_BYTES < buffer.length; position++) {
    const length = frameLength(buffer, position);
    if (length === 0 || position + length > buffer.length) continue;
    const offset = offsetOf(buffer, position);
    if (!(offset >= lowest && offset < below) || !Number.isInteger(offset)) continue;
    if (isIntact(buffer, position, length)) return position;
  }
  return -1;
}
