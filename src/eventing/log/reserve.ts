/**
 * Room at the end of a file that grows slowly: zeros that are there before the entries come. A write over what is there changes nothing but
 * content, while one that makes a file longer has the file system write of its blocks and its length, too: the slow ones of a hundred are
 * twice as slow then.
 */
import type { Files } from './files.ts';
import type { Handles } from './handles.ts';

/** Made at once, and when less than a half of it is left. */
const ROOM_BYTES = 1024 * 1024;
/** A file that holds less may never be written to again. */
const WORTH_BYTES = 64 * 1024;
/** Whose groups are larger is written to as fast as the disk goes: zeros would only take from that. */
const SLOW_GROUP_BYTES = 64 * 1024;

export class Reserve {
  readonly #files: Files;
  readonly #handles: Handles;
  readonly #path: string;
  /** Where the file ends, when that is behind the entries. */
  #end = 0;
  #filling: Promise<void> | undefined;
  /** The disk does not want to. */
  #refused = false;

  constructor(files: Files, handles: Handles, path: string) {
    this.#files = files;
    this.#handles = handles;
    this.#path = path;
  }

  /** Before a write that ends there: zeros may not come after it. Undefined: at once. */
  before(end: number): Promise<void> | undefined {
    return end > this.#end ? this.#filling : undefined;
  }

  /** After a group was written, up to `size`: makes room where that is worth while, up to `most`. Nobody has to wait for it. */
  after(size: number, group: number, most: number): void {
    if (this.#end < size) this.#end = size;
    if (this.#filling !== undefined || this.#refused) return;
    if (size < WORTH_BYTES || group > SLOW_GROUP_BYTES || this.#end - size > ROOM_BYTES / 2) return;
    const from = this.#end;
    const bytes = Math.min(ROOM_BYTES, most - from);
    if (bytes <= 0) return;
    const write = (fd: number) => this.#files.write(fd, [Buffer.alloc(bytes)], from);
    this.#filling = this.#handles
      .use(this.#path, write)
      .then(() => {
        this.#end = from + bytes;
      })
      .catch(() => {
        // Any part of it may be there.
        this.#end = from + bytes;
        this.#refused = true;
      })
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** Takes the room away: the file ends with its entries. */
  async trim(size: number): Promise<void> {
    await this.#filling;
    if (this.#end <= size) return;
    await this.#handles.use(this.#path, (fd) => this.#files.truncate(fd, size));
    this.#end = size;
  }

  /** The file was cut there. */
  cut(size: number): void {
    this.#end = size;
  }
}

/** Whether there is nothing but room. */
export function isRoom(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
