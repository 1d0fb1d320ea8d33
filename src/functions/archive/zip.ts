/**
 * Zip archives, read by their central directory from a file. Stored and deflated entries, no encryption, no zip64.
 * Source of the format: PKWARE APPNOTE.TXT 6.3.
 */
import type { FileHandle } from 'node:fs/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { pump } from '../../base/archive/pump.ts';
import type { TarEntry } from '../../base/archive/tar.ts';
import { PetrelError } from '../../base/errors.ts';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** Largest central directory that is read into memory, bytes. */
const MAX_DIRECTORY = 64 * 1024 * 1024;

function damaged(what: string): PetrelError {
  return new PetrelError('UnsafeArchive', `The zip archive is damaged: ${what}.`, {
    why: 'It was cut short, or uses a variant of the format that is not read here (encryption, zip64).',
    fix: 'Upload the package as .tar.gz instead.',
  });
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw damaged('it ends too early');
  return buffer;
}

async function* range(file: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  let at = start;
  for (let missing = length; missing > 0; ) {
    const part = await readAt(file, at, Math.min(missing, 64 * 1024));
    at += part.length;
    missing -= part.length;
    yield part;
  }
}

/** The entries of a zip archive, in the shape of tar entries. Sizes are as declared; count what really comes. */
export async function* readZip(file: FileHandle, archiveBytes: number): AsyncGenerator<TarEntry> {
  const tail = await readAt(file, Math.max(0, archiveBytes - 65_557), Math.min(archiveBytes, 65_557));
  let end = tail.length - 22;
  while (end >= 0 && tail.readUInt32LE(end) !== END) end--;
  if (end < 0) throw damaged('its directory is missing');
  const count = tail.readUInt16LE(end + 10);
  const size = tail.readUInt32LE(end + 12);
  const start = tail.readUInt32LE(end + 16);
  if (count === 0xffff || start === 0xffffffff) throw damaged('zip64 is not supported');
  if (size > MAX_DIRECTORY || start + size > archiveBytes) throw damaged('its directory lies outside of it');
  const directory = await readAt(file, start, size);

  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL)
      throw damaged('a directory entry is cut');
    const flags = directory.readUInt16LE(at + 8);
    const method = directory.readUInt16LE(at + 10);
    const checksum = directory.readUInt32LE(at + 16);
    const packed = directory.readUInt32LE(at + 20);
    const declared = directory.readUInt32LE(at + 24);
    const nameLength = directory.readUInt16LE(at + 28);
    const skip = directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    const unix = directory.readUInt8(at + 5) === 3 ? directory.readUInt32LE(at + 38) >>> 16 : 0;
    const local = directory.readUInt32LE(at + 42);
    if (at + 46 + nameLength > directory.length) throw damaged('a name is cut');
    const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
    at += 46 + nameLength + skip;
    if (flags & 1) throw damaged(`"${name}" is encrypted`);
    if (method !== 0 && method !== 8) throw damaged(`"${name}" uses compression method ${method}`);
    if (method === 0 && packed !== declared) throw damaged(`"${name}" has two sizes`);

    const body = async function* (): AsyncGenerator<Buffer> {
      const head = await readAt(file, local, 30);
      if (head.readUInt32LE(0) !== LOCAL) throw damaged(`"${name}" is not where the directory says`);
      const data = local + 30 + head.readUInt16LE(26) + head.readUInt16LE(28);
      if (data + packed > archiveBytes) throw damaged(`"${name}" lies outside of it`);
      const raw = range(file, data, packed);
      let real = 0;
      let sum = 0;
      try {
        for await (const part of method === 8 ? pump(raw, createInflateRaw()) : raw) {
          real += part.length;
          sum = crc32(part, sum);
          if (real > declared) throw damaged(`"${name}" is larger than its directory says`);
          yield part;
        }
      } catch (error) {
        const broken = String((error as NodeJS.ErrnoException).code).startsWith('Z_');
        throw broken ? damaged(`"${name}" does not decompress`) : error;
      }
      if (real !== declared) throw damaged(`"${name}" is smaller than its directory says`);
      if (sum !== checksum) throw damaged(`"${name}" does not have the checksum that its directory says`);
    };
    const kind = unix & 0o170000;
    const link = kind === 0o120000;
    if (link && declared > 4096) throw damaged(`the link "${name}" is too long`);
    let target = '';
    if (link) for await (const part of body()) target += part.toString('utf8');
    const special = kind !== 0 && kind !== 0o100000 && kind !== 0o040000 && !link;
    const type = name.endsWith('/') ? 'directory' : link ? 'symlink' : special ? 'special' : 'file';
    yield { type, name, link: target, size: type === 'file' ? declared : 0, mode: unix & 0o7777, body };
  }
}
