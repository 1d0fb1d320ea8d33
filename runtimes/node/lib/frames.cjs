// @ts-check
'use strict';
/** The frames of the instance protocol (runtimes/PROTOCOL.md): numbers, an incremental parser and a corking writer. */

const TYPE = Object.freeze({
  HELLO: 1,
  REQUEST: 2,
  REQUEST_BODY: 3,
  RESPONSE: 4,
  RESPONSE_BODY: 5,
  DATA: 6,
  END: 7,
  RESET: 8,
  WINDOW: 9,
  PING: 10,
  PONG: 11,
  CALL: 12,
  RESULT: 13,
  EVENT: 14,
  GOAWAY: 15,
});

/** Bytes of a frame header. */
const HEADER = 9;
/** Largest payload, bytes. */
const MAX_PAYLOAD = 1048576;
/** Largest payload of a DATA frame, bytes; upgraded streams are exempt. */
const MAX_DATA = 65536;
/** DATA bytes either side may send before it has been granted more. */
const WINDOW = 262144;

/** A peer that broke the protocol: the connection is closed. */
class ProtocolError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'ProtocolError';
  }
}

/**
 * Cuts a byte stream into frames. A frame that arrives in pieces is joined once, when its last byte is there, so
 * that large frames cost one copy however small the pieces are.
 */
class FrameParser {
  /** @param {(type: number, stream: number, buffer: Buffer, start: number, end: number) => void} onFrame payload is `buffer[start, end)` and shares memory with the chunk read */
  constructor(onFrame) {
    this.onFrame = onFrame;
    /** @type {Buffer[]} */
    this.parts = [];
    this.held = 0;
    this.needed = HEADER;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    let buffer = chunk;
    if (this.held > 0) {
      this.parts.push(chunk);
      this.held += chunk.length;
      if (this.held < this.needed) return;
      buffer = Buffer.concat(this.parts, this.held);
      this.parts = [];
      this.held = 0;
    }
    let at = 0;
    const total = buffer.length;
    this.needed = HEADER;
    while (total - at >= HEADER) {
      const length = buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (buffer[at + 3] << 24);
      if (length < 0 || length > MAX_PAYLOAD) {
        throw new ProtocolError(`frame of ${length >>> 0} bytes, at most ${MAX_PAYLOAD} are allowed`);
      }
      const end = at + HEADER + length;
      if (end > total) {
        this.needed = HEADER + length;
        break;
      }
      const stream =
        (buffer[at + 5] | (buffer[at + 6] << 8) | (buffer[at + 7] << 16) | (buffer[at + 8] << 24)) >>> 0;
      this.onFrame(buffer[at + 4], stream, buffer, at + HEADER, end);
      at = end;
    }
    if (at < total) {
      this.parts.push(at === 0 ? buffer : buffer.subarray(at));
      this.held = total - at;
    }
  }
}

/** Size of the blocks small frames are gathered in. A block is never reused: the kernel may still be reading it. */
const BLOCK = 65536;
/** Payloads from this size on are handed to the kernel as they are instead of being copied into a block. */
const COPY_BELOW = 16384;

/**
 * Gathers the frames of one turn of the event loop and writes them with one system call. All `write*` methods
 * take effect at the next flush.
 */
class FrameWriter {
  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.block = Buffer.allocUnsafeSlow(4096);
    this.start = 0;
    this.at = 0;
    /** @type {Uint8Array[]} */
    this.ready = [];
    this.scheduled = false;
    this.flush = this.flush.bind(this);
  }

  /** Makes room for `size` bytes in the current block. @param {number} size */
  reserve(size) {
    if (this.at + size > this.block.length) {
      if (this.at > this.start) this.ready.push(this.block.subarray(this.start, this.at));
      this.block = Buffer.allocUnsafeSlow(Math.max(size, BLOCK));
      this.start = 0;
      this.at = 0;
    }
    if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(this.flush);
    }
  }

  /** @param {number} length @param {number} type @param {number} stream */
  header(length, type, stream) {
    const b = this.block;
    let at = this.at;
    b[at++] = length;
    b[at++] = length >>> 8;
    b[at++] = length >>> 16;
    b[at++] = length >>> 24;
    b[at++] = type;
    b[at++] = stream;
    b[at++] = stream >>> 8;
    b[at++] = stream >>> 16;
    b[at++] = stream >>> 24;
    this.at = at;
  }

  /** @param {number} type @param {number} stream @param {Uint8Array | null} payload */
  frame(type, stream, payload) {
    const length = payload === null ? 0 : payload.length;
    if (length < COPY_BELOW) {
      this.reserve(HEADER + length);
      this.header(length, type, stream);
      if (payload !== null) {
        this.block.set(payload, this.at);
        this.at += length;
      }
      return;
    }
    this.reserve(HEADER);
    this.header(length, type, stream);
    this.ready.push(this.block.subarray(this.start, this.at));
    this.start = this.at;
    this.ready.push(/** @type {Uint8Array} */ (payload));
  }

  /** @param {number} type @param {number} stream @param {unknown} value */
  json(type, stream, value) {
    this.frame(type, stream, Buffer.from(JSON.stringify(value)));
  }

  /** @param {number} stream @param {number} bytes */
  window(stream, bytes) {
    this.reserve(HEADER + 4);
    this.header(4, TYPE.WINDOW, stream);
    this.at = this.block.writeUInt32LE(bytes, this.at);
  }

  /**
   * A head, with the body when there is one: RESPONSE; without: RESPONSE_BODY.
   * @param {number} stream @param {number} status @param {string} headers block of `name: value CR LF` lines, latin1
   * @param {string | Uint8Array | null} body null: the body follows as DATA
   */
  response(stream, status, headers, body) {
    // A UTF-16 unit takes at most 3 bytes of UTF-8, so the room is reserved before the text is encoded once.
    const room = body === null ? 0 : typeof body === 'string' ? body.length * 3 : body.length;
    this.reserve(HEADER + 6 + headers.length + room);
    const b = this.block;
    const begin = this.at;
    let at = begin + HEADER;
    b[at++] = status;
    b[at++] = status >>> 8;
    const size = headers.length;
    b[at++] = size;
    b[at++] = size >>> 8;
    b[at++] = size >>> 16;
    b[at++] = size >>> 24;
    if (size > 0) at += b.write(headers, at, 'latin1');
    if (typeof body === 'string') {
      if (body.length > 0) at += b.write(body, at, 'utf8');
    } else if (body !== null) {
      b.set(body, at);
      at += body.length;
    }
    this.at = begin;
    this.header(at - begin - HEADER, body === null ? TYPE.RESPONSE_BODY : TYPE.RESPONSE, stream);
    this.at = at;
  }

  flush() {
    this.scheduled = false;
    if (this.at > this.start) {
      this.ready.push(this.block.subarray(this.start, this.at));
      this.start = this.at;
    }
    const ready = this.ready;
    if (ready.length === 0 || this.socket.destroyed) return;
    this.ready = [];
    if (ready.length === 1) {
      this.socket.write(ready[0]);
      return;
    }
    this.socket.cork();
    for (const part of ready) this.socket.write(part);
    this.socket.uncork();
  }
}

module.exports = { TYPE, HEADER, MAX_PAYLOAD, MAX_DATA, WINDOW, ProtocolError, FrameParser, FrameWriter };
