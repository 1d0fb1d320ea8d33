/** Bytes on their way to a file, in blocks that all writers of this process share and use again: what is printed costs no memory of its own. */

const BLOCK = 64 * 1024;
/** Blocks that wait to be used again; more are made while more are under way, and left to the collector afterwards. */
const MAX_SPARE = 32;
const spare: Buffer[] = [];

/** A queue of bytes: written at one end, taken in blocks at the other. Holds nothing while it is empty. */
export interface BlockQueue {
  /** Bytes that were written and not given back. */
  readonly size: number;
  /** Copies the bytes. */
  write(bytes: Buffer): void;
  /** The oldest bytes, at most a block of them; undefined when there are none. To be given back before the next is taken. */
  take(): Buffer | undefined;
  giveBack(taken: Buffer): void;
}

export function createBlockQueue(): BlockQueue {
  /** The last one is filled up to `end`, those before it wholly. */
  const blocks: Buffer[] = [];
  let end = 0;
  let size = 0;
  let under: Buffer | undefined;
  return {
    get size() {
      return size;
    },
    write(bytes) {
      size += bytes.length;
      for (let from = 0; from < bytes.length; ) {
        if (blocks.length === 0 || end === BLOCK) {
          blocks.push(spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK));
          end = 0;
        }
        const copied = bytes.copy(blocks[blocks.length - 1]!, end, from);
        end += copied;
        from += copied;
      }
    },
    take() {
      under = blocks.shift();
      return blocks.length === 0 ? under?.subarray(0, end) : under;
    },
    giveBack(taken) {
      size -= taken.length;
      if (under !== undefined && spare.length < MAX_SPARE) spare.push(under);
      under = undefined;
    },
  };
}
