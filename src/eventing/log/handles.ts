/** Open files of all streams: those used lately, a bounded number, so that a stream nobody uses has none. */
import type { Files } from './files.ts';

interface Handle {
  fd: Promise<number>;
  users: number;
  /** To be closed by its last user. */
  gone: boolean;
}

export class Handles {
  readonly #files: Files;
  readonly #limit: number;
  /** In order of their last use. */
  readonly #open = new Map<string, Handle>();

  /** `limit`: how many stay open while nobody uses them. */
  constructor(files: Files, limit: number) {
    this.#files = files;
    this.#limit = limit;
  }

  /** Carries out `work` with the file open. Rejects with what opening or `work` said. */
  async use<T>(path: string, work: (fd: number) => Promise<T>): Promise<T> {
    let handle = this.#open.get(path);
    if (handle === undefined) {
      handle = { fd: this.#files.open(path, false), users: 0, gone: false };
      this.#open.set(path, handle);
      this.#trim();
    } else {
      this.#open.delete(path);
      this.#open.set(path, handle);
    }
    handle.users++;
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
    }
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

  #trim(): void {
    if (this.#open.size <= this.#limit) return;
    for (const [path, handle] of this.#open) {
      if (handle.users > 0) continue;
      this.forget(path);
      if (this.#open.size <= this.#limit) return;
    }
  }

  #close(handle: Handle): void {
    handle.gone = false;
    // Everything written was on disk when it was answered: what closing says changes nothing.
    handle.fd.then((fd) => this.#files.close(fd)).catch(() => {});
  }
}
