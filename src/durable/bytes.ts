/**
 * Bytes in memory of their own. What crosses to another thread is copied with all the memory it lies in, and small Buffers lie in a
 * pool of 64 KiB.
 */

/** One piece of the parts given, which stay as they are. */
export function ownBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The UTF-8 of a text. */
export function ownText(text: string): Uint8Array {
  return ownBytes([Buffer.from(text)]);
}
