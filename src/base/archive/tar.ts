/**
 * Tar, read and written as a stream. Reads v7, ustar, GNU (long names, base-256 numbers) and pax archives.
 * Our own because an archive comes from a stranger: every length that a header declares is bounded before it is
 * believed. Source of the format: POSIX.1-2017 `pax`, and GNU tar's manual, "Basic Tar Format".
 */
import { PetrelError } from '../errors.ts';

const BLOCK = 512;
/** Longest extended header (pax records or a GNU long name) that is read into memory, bytes. */
const MAX_EXTENDED = 64 * 1024;

export type TarType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'special';

export interface TarHeader {
  type: TarType;
  name: string;
  /** Target of a link, else empty. */
  link: string;
  /** Bytes of the body; 0 for anything but a file. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Numbers of owner and group, where they are known. */
  uid?: number;
  gid?: number;
}

/** One entry; its body must be read (or left) before the next entry is asked for. */
export interface TarEntry extends TarHeader {
  body(): AsyncIterable<Buffer>;
}

const TYPES: Record<string, TarType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'special',
  '4': 'special',
  '5': 'directory',
  '6': 'special',
};

function damaged(what: string): PetrelError {
  return new PetrelError('UnsafeArchive', `The archive is damaged: ${what}.`, {
    why: 'It was cut short or is not a tar archive.',
    fix: 'Make the archive again and upload it once more.',
  });
}

/** Pulls exact amounts out of a stream of chunks. */
function byteReader(source: AsyncIterable<Uint8Array>) {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await iterator.next();
    if (next.done) return false;
    rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    return true;
  };
  return {
    /** Up to `max` bytes, whatever is there; undefined at the end of the stream. */
    async some(max: number): Promise<Buffer | undefined> {
      while (rest.length === 0) if (!(await more())) return undefined;
      const part = rest.subarray(0, max);
      rest = rest.subarray(part.length);
      return part;
    },
    /** Exactly `length` bytes, undefined when the stream ends before the first of them. */
    async exactly(length: number, what: string): Promise<Buffer | undefined> {
      const parts: Buffer[] = [];
      let missing = length;
      while (missing > 0) {
        const part = await this.some(missing);
        if (part === undefined) {
          if (missing === length) return undefined;
          throw damaged(`it ends in the middle of ${what}`);
        }
        parts.push(part);
        missing -= part.length;
      }
      return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    },
    async close(): Promise<void> {
      await iterator.return?.();
    },
  };
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? field.length : end);
}

function number(field: Buffer, what: string): number {
  const first = field[0] ?? 0;
  if (first & 0x80) {
    let value = BigInt(first & 0x7f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`${what} is not a sensible number`);
    return Number(value);
  }
  const digits = text(field).trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw damaged(`${what} is not an octal number`);
  return Number.parseInt(digits, 8);
}

function checksum(block: Buffer): number {
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number;
  return sum;
}

/** Whether a block of 512 bytes is a tar header. */
export function looksLikeTar(block: Buffer): boolean {
  if (block.length < BLOCK) return false;
  const declared = text(block.subarray(148, 156)).trim();
  return /^[0-7]+$/.test(declared) && Number.parseInt(declared, 8) === checksum(block);
}

/** `<length> <key>=<value>\n` records. */
function paxRecords(body: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(body.toString('latin1', at, space));
    if (!Number.isInteger(length) || length <= space - at + 1 || at + length > body.length) {
      throw damaged('a pax header has a wrong length');
    }
    const record = body.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw damaged('a pax header has no key');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

/** The entries of a tar archive in order. Throws `PetrelError` `UnsafeArchive` when it is damaged. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = byteReader(source);
  let longName = '';
  let longLink = '';
  let pax = new Map<string, string>();
  let seen = 0;
  try {
    while (true) {
      const block = await reader.exactly(BLOCK, 'a header');
      if (block === undefined) {
        if (seen === 0) throw damaged('it is empty');
        return;
      }
      if (block.every((byte) => byte === 0)) return;
      if (!looksLikeTar(block)) throw damaged('a header has a wrong checksum');
      seen++;
      const flag = String.fromCharCode(block[156] as number);
      let size = number(block.subarray(124, 136), 'a size');

      if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
        if (size > MAX_EXTENDED)
          throw damaged(`an extended header of ${size} bytes is longer than ${MAX_EXTENDED}`);
        const padded = Math.ceil(size / BLOCK) * BLOCK;
        const body = await reader.exactly(padded, 'an extended header');
        if (body === undefined && padded > 0) throw damaged('it ends after an extended header');
        const content = (body ?? Buffer.alloc(0)).subarray(0, size);
        if (flag === 'x') pax = paxRecords(content);
        else if (flag === 'L') longName = text(content);
        else if (flag === 'K') longLink = text(content);
        continue;
      }

      const ustar = block.toString('latin1', 257, 262) === 'ustar' && block[262] === 0;
      const prefix = ustar ? text(block.subarray(345, 500)) : '';
      const short = text(block.subarray(0, 100));
      const name = pax.get('path') ?? (longName || (prefix ? `${prefix}/${short}` : short));
      const declared = TYPES[flag] ?? 'special';
      const type = declared === 'file' && name.endsWith('/') ? 'directory' : declared;
      const paxSize = pax.get('size');
      if (paxSize !== undefined) {
        if (!/^\d{1,15}$/.test(paxSize)) throw damaged('a pax size is not a number');
        size = Number(paxSize);
      }
      const link = pax.get('linkpath') ?? (longLink || text(block.subarray(157, 257)));
      const mode = number(block.subarray(100, 108), 'a mode') & 0o7777;
      const owner = (key: string, from: number) =>
        pax.has(key) ? Number(pax.get(key)) : number(block.subarray(from, from + 8), 'an owner');
      const [uid, gid] = [owner('uid', 108), owner('gid', 116)];
      longName = '';
      longLink = '';
      pax = new Map();

      const hasBody = type === 'file' || type === 'special';
      let missing = hasBody ? size : 0;
      const padding = (BLOCK - (missing % BLOCK)) % BLOCK;
      const body = async function* (): AsyncGenerator<Buffer> {
        while (missing > 0) {
          const part = await reader.some(missing);
          if (part === undefined) throw damaged(`it ends in the middle of "${name}"`);
          missing -= part.length;
          yield part;
        }
      };
      yield { type, name, link, size: hasBody ? size : 0, mode, uid, gid, body };
      for await (const _ of body());
      if (padding > 0 && (await reader.exactly(padding, 'padding')) === undefined) {
        throw damaged(`it ends after "${name}"`);
      }
    }
  } finally {
    await reader.close();
  }
}

const FLAGS: Record<'file' | 'directory' | 'symlink', string> = { file: '0', directory: '5', symlink: '2' };

function paxRecord(key: string, value: string): Buffer {
  const tail = Buffer.from(` ${key}=${value}\n`);
  let length = tail.length + String(tail.length).length;
  if (tail.length + String(length).length > length) length++;
  return Buffer.concat([Buffer.from(String(length)), tail]);
}

function block(name: string, flag: string, link: string, size: number, mode: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 100, 'utf8');
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  header.write(flag, 156, 'latin1');
  header.write(link, 157, 100, 'utf8');
  header.write('ustar\x0000', 257, 'latin1');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** Zero bytes that fill a body of `size` up to a whole block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The two zero blocks that end an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** The header blocks of one entry, owner and time zero, so that equal trees give equal bytes. */
export function tarHeader(entry: TarHeader & { type: 'file' | 'directory' | 'symlink' }): Buffer {
  const records: Buffer[] = [];
  if (Buffer.byteLength(entry.name) > 100) records.push(paxRecord('path', entry.name));
  if (Buffer.byteLength(entry.link) > 100) records.push(paxRecord('linkpath', entry.link));
  if (entry.size > 0o77777777777) records.push(paxRecord('size', String(entry.size)));
  const size = entry.size > 0o77777777777 ? 0 : entry.size;
  const main = block(entry.name, FLAGS[entry.type], entry.link, size, entry.mode);
  if (records.length === 0) return main;
  const body = Buffer.concat(records);
  return Buffer.concat([block('pax', 'x', '', body.length, 0o644), body, tarPadding(body.length), main]);
}
