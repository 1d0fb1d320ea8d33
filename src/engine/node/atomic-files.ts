/** Files that change all at once for whoever reads them. As kubelet's `AtomicWriter` leaves them. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  /** Relative to the volume. */
  path: string;
  data: Buffer;
  mode: number;
}

/** Identifies the content of a volume, without telling it. */
function versionOf(files: VolumeFile[]): string {
  const content = JSON.stringify(files.map(({ path, data, mode }) => [path, data.toString('base64'), mode]));
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}

/**
 * Writes the files so that a reader sees either all the old ones or all the new ones: a directory per version, a link
 * `..data` that is switched, and a link per file. Does nothing when nothing has changed.
 */
export function writeFiles(dir: string, files: VolumeFile[], handOver: (path: string) => void): boolean {
  const version = versionOf(files);
  const data = join(dir, '..data');
  const fresh = join(dir, `..${version}`);
  if (statSync(fresh, { throwIfNoEntry: false })) return false;
  mkdirSync(fresh, { recursive: true, mode: 0o755 });
  for (const { path, data: bytes, mode } of files) {
    const target = join(fresh, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, bytes);
    chmodSync(target, mode);
    handOver(target);
  }
  const link = join(dir, '..data_tmp');
  rmSync(link, { force: true });
  symlinkSync(`..${version}`, link);
  renameSync(link, data);
  const names = new Set(files.map(({ path }) => path.split('/')[0]!));
  for (const name of names) {
    if (!statSync(join(dir, name), { throwIfNoEntry: false })) {
      rmSync(join(dir, name), { force: true });
      symlinkSync(`..data/${name}`, join(dir, name));
    }
  }
  for (const name of readdirSync(dir)) {
    if (name === '..data' || name === `..${version}` || names.has(name)) continue;
    rmSync(join(dir, name), { recursive: true, force: true });
  }
  return true;
}
