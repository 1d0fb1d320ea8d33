/** Where the bytes of packages are kept: a directory, a bucket, a registry. What is done with them is the same everywhere (`store.ts`). */

/** One kept archive. */
export interface KeptArchive {
  /** SHA-256 of its bytes, hexadecimal. */
  hex: string;
  bytes: number;
  /** When it was put or touched last, milliseconds since the epoch. */
  modifiedMs: number;
}

export interface ArchiveDriver {
  /** Nobody else keeps archives here: what this platform does not need, nobody needs. */
  readonly exclusive: boolean;
  /** Size of an archive, undefined when it is not here. */
  bytesOf(hex: string): Promise<number | undefined>;
  /** Keeps the file at `path`, whose bytes are known to be `hex`; durable, and seen as a whole or not at all. The file may be gone afterwards. */
  put(hex: string, path: string, bytes: number): Promise<void>;
  /** The bytes, or undefined when it is not here. */
  read(hex: string): Promise<{ bytes: number; stream: AsyncIterable<Uint8Array> } | undefined>;
  /** Where the archive is as a file of this machine, if it is one. */
  file?(hex: string): string;
  /** Counts as new again. */
  touch(hex: string): Promise<void>;
  list(): AsyncIterable<KeptArchive>;
  remove(hex: string): Promise<void>;
  /** A short text under a name (`[0-9a-f-]+`): what was built from which inputs. */
  note(name: string): Promise<string | undefined>;
  putNote(name: string, text: string): Promise<void>;
  /** Names of the notes whose text is not in `texts`; only asked of exclusive drivers. */
  dropNotes(keep: (text: string) => Promise<boolean>): Promise<void>;
}
