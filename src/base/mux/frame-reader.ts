/**
 * Cuts a byte stream into frames. DATA passes through in the pieces in which it arrives; every other frame is handed
 * over whole, from the receive buffer itself when it lies there in one piece.
 */
import { FRAME, FRAME_HEADER, MAX_FRAME, readU32 } from './frames.ts';

/** The peer broke runtimes/PROTOCOL.md: its connection is of no more use. */
export class ProtocolError extends Error {}

type OnFrame = (type: number, stream: number, buf: Buffer, start: number, end: number) => void;
type OnData = (stream: number, buf: Buffer, start: number, end: number) => void;

export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #onData: OnData;
  /** Of the DATA frame under way. */
  #dataStream = 0;
  #dataLeft = 0;
  /** A frame that the end of a read has cut. */
  #gather: Buffer | null = null;
  #gathered = 0;

  constructor(onFrame: OnFrame, onData: OnData) {
    this.#onFrame = onFrame;
    this.#onData = onData;
  }

  /** Takes `length` bytes of `buf`. Throws `ProtocolError`. */
  feed(buf: Buffer, length: number): void {
    let pos = 0;
    while (pos < length) {
      if (this.#dataLeft > 0) {
        const n = Math.min(this.#dataLeft, length - pos);
        this.#dataLeft -= n;
        pos += n;
        this.#onData(this.#dataStream, buf, pos - n, pos);
        continue;
      }
      if (this.#gather !== null) {
        pos = this.#complete(this.#gather, buf, pos, length);
        continue;
      }
      const available = length - pos;
      if (available < FRAME_HEADER) {
        this.#gather = Buffer.allocUnsafe(FRAME_HEADER);
        this.#gathered = 0;
        continue;
      }
      const size = readU32(buf, pos);
      const type = buf[pos + 4]!;
      if (size > MAX_FRAME) throw new ProtocolError('frame too long');
      if (type === FRAME.data) {
        this.#dataStream = readU32(buf, pos + 5);
        this.#dataLeft = size;
        pos += FRAME_HEADER;
      } else if (available - FRAME_HEADER < size) {
        this.#gather = Buffer.allocUnsafe(FRAME_HEADER + size);
        this.#gathered = 0;
      } else {
        pos += FRAME_HEADER + size;
        this.#onFrame(type, readU32(buf, pos - size - 4), buf, pos - size, pos);
      }
    }
  }

  #complete(gather: Buffer, buf: Buffer, pos: number, length: number): number {
    const n = Math.min(gather.length - this.#gathered, length - pos);
    buf.copy(gather, this.#gathered, pos, pos + n);
    this.#gathered += n;
    if (this.#gathered < gather.length) return pos + n;
    const size = readU32(gather, 0);
    const type = gather[4]!;
    const stream = readU32(gather, 5);
    if (size > MAX_FRAME) throw new ProtocolError('frame too long');
    if (type === FRAME.data) {
      this.#gather = null;
      this.#dataStream = stream;
      this.#dataLeft = size;
    } else if (gather.length < FRAME_HEADER + size) {
      this.#gather = Buffer.allocUnsafe(FRAME_HEADER + size);
      gather.copy(this.#gather);
    } else {
      this.#gather = null;
      this.#onFrame(type, stream, gather, FRAME_HEADER, gather.length);
    }
    return pos + n;
  }
}
