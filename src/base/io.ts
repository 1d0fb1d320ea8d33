/** Buffers for sockets: read into memory that is used again, write what a turn gathered at once. */
import type { Socket } from 'node:net';

const SMALLEST = 4 * 1024;
const LARGEST = 256 * 1024;

/**
 * The `onread` buffer of one socket. It is used again for the next read unless bytes of it are still waiting in a
 * slow client's socket; it starts small, because most of a thousand instances are quiet, and grows under load.
 */
export class ReadBuffer {
  #buffer: Buffer;
  #full = 0;
  /** Set when bytes of the current buffer outlive the read call. */
  retained = false;

  constructor(size = SMALLEST) {
    this.#buffer = Buffer.allocUnsafeSlow(size);
  }

  /** To be called with the bytes of each read. */
  noteRead(bytes: number): void {
    if (bytes === this.#buffer.length) this.#full++;
  }

  /** The buffer for the next read. */
  next(): Buffer {
    const size = this.#buffer.length;
    if (this.#full > 0 && size < LARGEST) {
      this.#full = 0;
      this.#buffer = Buffer.allocUnsafeSlow(size * 4);
    } else if (this.retained) this.#buffer = Buffer.allocUnsafeSlow(size);
    this.retained = false;
    return this.#buffer;
  }
}

/** Bytes gathered for one socket. Small writes are copied together, large ones go by reference between them. */
export class Outgoing {
  readonly #socket: Socket;
  #buffer: Buffer;
  #start = 0;
  #end = 0;
  #parts: Buffer[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#buffer = Buffer.allocUnsafeSlow(SMALLEST);
  }

  /** Makes room for `bytes`; write to `buffer` from `end` on, then `commit` the new end. */
  reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    this.#cut();
    const size = Math.min(64 * 1024, this.#buffer.length * 2);
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(size, bytes));
    this.#start = this.#end = 0;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  get end(): number {
    return this.#end;
  }

  commit(end: number): void {
    this.#end = end;
  }

  #cut(): void {
    if (this.#end > this.#start) this.#parts.push(this.#buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** Appends by reference; the bytes must not change any more. */
  attach(chunk: Buffer): void {
    this.#cut();
    this.#parts.push(chunk);
  }

  /** Writes everything gathered. */
  flush(): void {
    const socket = this.#socket;
    if (this.#parts.length === 0) {
      if (this.#end === this.#start) return;
      socket.write(this.#buffer.subarray(this.#start, this.#end));
    } else {
      this.#cut();
      socket.cork();
      for (const part of this.#parts) socket.write(part);
      socket.uncork();
      this.#parts = [];
    }
    // Sent at once as a rule; otherwise the kernel still reads from this memory.
    if (socket.writableLength > 0) this.#buffer = Buffer.allocUnsafeSlow(this.#buffer.length);
    this.#start = this.#end = 0;
  }
}
