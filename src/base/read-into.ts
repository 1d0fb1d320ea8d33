/**
 * Reads of accepted sockets into memory that is theirs together. Node gives every read of a socket memory of its own, 64 KiB that shrink to
 * what came: for small requests that is most of what a server leaves to the garbage collector, and it counts as memory outside the heap, which
 * makes it collect everything. `onread` avoids it, but only `connect` takes it; a server's sockets are given it here, by the same fields.
 */
import { Socket } from 'node:net';

/** Takes what one read brought: `buffer` up to `bytes`, valid until it returns. */
export type OnRead = (bytes: number, buffer: Buffer) => void;

/** What `onread` sets in a socket. */
interface Fields {
  buffer: symbol;
  callback: symbol;
}

/** A socket's handle; there is none when it was destroyed before anybody looked. */
interface Handle {
  useUserBuffer?: (buffer: Buffer) => void;
}

let found: Fields | null | undefined;

function fields(): Fields | null {
  if (found === undefined) {
    const symbols = Object.getOwnPropertySymbols(new Socket());
    const named = (name: string) => symbols.find(({ description }) => description === name);
    const buffer = named('kBuffer');
    const callback = named('kBufferCb');
    found = buffer === undefined || callback === undefined ? null : { buffer, callback };
  }
  return found;
}

/**
 * Has a socket read into `buffer`, which others may read into, too: all of a thread read one after the other. Its `data` events cease.
 * A Node without those fields reads as ever, and hands over memory that is nobody else's.
 */
export function readInto(socket: Socket, buffer: Buffer, take: OnRead): void {
  const { _handle: handle } = socket as unknown as { _handle: Handle | null };
  const known = fields();
  if (known === null || typeof handle?.useUserBuffer !== 'function') {
    socket.on('data', (chunk: Buffer) => take(chunk.length, chunk));
    return;
  }
  const open = socket as unknown as Record<symbol, unknown>;
  open[known.buffer] = buffer;
  open[known.callback] = take;
  handle.useUserBuffer(buffer);
}
