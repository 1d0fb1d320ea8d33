/** Open files of all streams: those used lately, a bounded number, so that a stream nobody uses has none. */
import type { Files } from './files.ts';

interface Handle {
  fd: Promise<number>;
  users: number;
  /** To be closed by its last user. */
  gone: boolean;
}

/** How many there may be, over those that stay open unused, while that many are used at once; the next ones wait. */
const BUSY = 192;

export class Handles {
  readonly #files: Files;
  readonly #limit: number;
  /** In order of their last use. */
  readonly #open = new Map<string, Handle>();
  readonly #waiting: (() => void)[] = [];

  /** `limit`: how many stay open while nobody uses them. */
  constructor(files: Files, limit: number) {
    this.#files = files;
    this.#limit = limit;
  }

  /** Carries out `work` with the file open; it may not use another one. Rejects with what opening or `work` said. */
  async use<T>(path: string, work: (fd: number) => Promise<T>): Promise<T> {
    const handle = await this.#take(path);
    try {
      let fd: number;
      try {
        fd = await handle.fd;
      } catch (error) {
        if (this.#open.get(path) === handle) this.#open.delete(path);
        handle.gone = false;
        throw error;
      }
      return await work(fd);
    } finally {
      handle.users--;
      if (handle.gone && handle.users === 0) this.#close(handle);
      if (this.#open.size > this.#limit) this.#trim(this.#limit);
      this.#waiting.shift()?.();
    }
  }

  /** The handle with one user more. */
  #take(path: string): Handle | Promise<Handle> {
    let handle = this.#open.get(path);
    if (handle !== undefined) {
      // Last in the order.
      this.#open.delete(path);
    } else {
      const most = this.#limit + BUSY;
      if (this.#open.size >= most) this.#trim(most - 1);
      if (this.#open.size >= most)
        return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#take(path));
      handle = { fd: this.#files.open(path, false), users: 0, gone: false };
    }
    handle.users++;
    this.#open.set(path, handle);
    return handle;
  }

  /** The file is not used any more under this name. */
  forget(path: string): void {
    const handle = this.#open.get(path);
    if (handle === undefined) return;
    this.#open.delete(path);
    handle.gone = true;
    if (handle.users === 0) this.#close(handle);
  }

  /** Closes all that nobody uses. */
  async close(): Promise<void> {
    const all = [...this.#open.values()];
    for (const path of [...this.#open.keys()]) this.forget(path);
    await Promise.allSettled(all.map(({ fd }) => fd));
  }

  /** Closes those that nobody uses, least lately used first, until no more than that are open. */
  #trim(limit: number): void {
    for (const [path, handle] of this.#open) {
      if (this.#open.size <= limit) return;
      if (handle.users === 0) this.forget(path);
    }
  }

  #close(handle: Handle): void {
    handle.gone = false;
    // Everything written was on disk when it was answered: what closing says changes nothing.
    handle.fd.then((fd) => this.#files.close(fd)).catch(() => {});
  }
}
