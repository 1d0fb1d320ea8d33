/** Packages in a bucket that speaks S3: `<prefix>archives/<hex>` and `<prefix>builds/<inputs>`. */
import { openPlace, type PlaceOptions } from '../s3/place.ts';
import type { ArchiveDriver, KeptArchive } from './driver.ts';

export interface S3Options extends Omit<PlaceOptions, 'what' | 'setting'> {
  /** No other platform keeps packages under this prefix. */
  exclusive: boolean;
}

const archive = (hex: string) => `archives/${hex}`;
const note = (name: string) => `builds/${name}`;

export function createS3Driver(options: S3Options): ArchiveDriver {
  const place = openPlace({ ...options, what: 'package store', setting: 'PETREL_PACKAGES' });
  return {
    exclusive: options.exclusive,
    bytesOf: (hex) => place.bytesOf(archive(hex)),
    put: (hex, path, bytes) => place.put(archive(hex), path, bytes, hex),
    read: (hex) => place.read(archive(hex)),
    async touch(hex) {
      // Only age decides what may be collected, and only who collects needs to know it.
      if (options.exclusive) await place.touch(archive(hex));
    },
    async *list() {
      for await (const { key, bytes, modifiedMs } of place.list(archive('')))
        yield { hex: key.slice(archive('').length), bytes, modifiedMs } satisfies KeptArchive;
    },
    remove: (hex) => place.remove(archive(hex)),
    note: (name) => place.text(note(name)),
    putNote: (name, text) => place.putText(note(name), text),
    async dropNotes(keep) {
      for await (const { key } of place.list(note('')))
        if (!(await keep((await place.text(key)) ?? ''))) await place.remove(key);
    },
  };
}
