/** A published Go module as files in memory: downloaded from the module proxy, verified, unpacked. */
import { createHash } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';

export interface GoModule {
  path: string;
  version: string;
  /** The module's `h1:` sum as go.sum has it. */
  sum: string;
}

/** Files of a module by path inside it, for example `core/v1/types.go`. Throws when the bytes are not those of `sum`. */
export async function moduleFiles(module: GoModule): Promise<Map<string, string>> {
  const proxy = process.env.GOPROXY?.split(/[,|]/)[0]?.replace(/\/$/, '') ?? 'https://proxy.golang.org';
  const url = `${proxy}/${module.path}/@v/${module.version}.zip`;
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  const entries = unzip(Buffer.from(await answer.arrayBuffer()));
  const sum = dirHash(entries);
  if (sum !== module.sum)
    throw new Error(`${module.path}@${module.version}: sum is ${sum}, expected ${module.sum}`);
  const prefix = `${module.path}@${module.version}/`;
  return new Map([...entries].map(([name, bytes]) => [name.slice(prefix.length), bytes.toString('utf8')]));
}

/** go.sum's hash of a module zip (`dirhash.Hash1`): SHA-256 over the sorted list of each file's SHA-256 and name. */
function dirHash(entries: Map<string, Buffer>): string {
  const sha = (data: Buffer | string) => createHash('sha256').update(data);
  const list = [...entries.keys()]
    .sort()
    .map((name) => `${sha(entries.get(name) ?? '').digest('hex')}  ${name}\n`);
  return `h1:${sha(list.join('')).digest('base64')}`;
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const DEFLATED = 8;

function unzip(zip: Buffer): Map<string, Buffer> {
  let end = zip.length - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw new Error('not a zip archive');
  const files = new Map<string, Buffer>();
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (zip.readUInt32LE(at) !== DIRECTORY_ENTRY) throw new Error('damaged zip directory');
    const method = zip.readUInt16LE(at + 10);
    const size = zip.readUInt32LE(at + 20);
    const [nameLength, extra, comment] = [28, 30, 32].map((o) => zip.readUInt16LE(at + o)) as [
      number,
      number,
      number,
    ];
    const local = zip.readUInt32LE(at + 42);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const data = zip.subarray(start, start + size);
    files.set(name, method === DEFLATED ? inflateRawSync(data) : data);
    at += 46 + nameLength + extra + comment;
  }
  return files;
}
