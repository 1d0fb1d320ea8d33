/** RESP2, the protocol of Redis: commands as bytes, and a reader of replies. Source: redis.io/docs/latest/develop/reference/protocol-spec. */

export type Reply = string | number | Buffer | null | RespError | Reply[];

/** An error that the server answered with. */
export class RespError {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/** A command as an array of bulk strings. */
export function encodeCommand(parts: readonly (string | number | Uint8Array)[]): Buffer {
  const out: Uint8Array[] = [Buffer.from(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = typeof part === 'object' ? part : Buffer.from(String(part));
    out.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(out);
}

/** Longest reply that is taken, bytes, and deepest nesting. */
const LIMITS = { bytes: 512 * 1024 * 1024, depth: 8 } as const;
const CR = 13;

/** Reads replies from bytes as they come. Throws when they are no RESP2. */
export class ReplyReader {
  #buffer: Buffer = Buffer.alloc(0);
  /** More bytes than this are needed before it is worth looking again. */
  #wanted = 0;

  /** Adds bytes and returns the replies that are complete now. */
  push(bytes: Buffer): Reply[] {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    if (this.#buffer.length > LIMITS.bytes) throw new Error('a reply is too long');
    const replies: Reply[] = [];
    if (this.#buffer.length < this.#wanted) return replies;
    let at = 0;
    for (;;) {
      const found = this.#read(at, 0);
      if (found === undefined) break;
      replies.push(found.reply);
      at = found.end;
      this.#wanted = 0;
    }
    this.#buffer = this.#buffer.subarray(at);
    this.#wanted = Math.max(0, this.#wanted - at);
    return replies;
  }

  #line(from: number): number | undefined {
    const end = this.#buffer.indexOf(CR, from);
    return end < 0 || end + 1 >= this.#buffer.length ? undefined : end;
  }

  #read(from: number, depth: number): { reply: Reply; end: number } | undefined {
    if (depth > LIMITS.depth) throw new Error('a reply is nested too deeply');
    const lineEnd = this.#line(from);
    if (lineEnd === undefined) return undefined;
    const kind = this.#buffer[from];
    const text = this.#buffer.toString('utf8', from + 1, lineEnd);
    const end = lineEnd + 2;
    if (kind === 43) return { reply: text, end }; // +
    if (kind === 45) return { reply: new RespError(text), end }; // -
    const number = Number(text);
    if (!Number.isInteger(number)) throw new Error('what answers does not speak RESP2');
    if (kind === 58) return { reply: number, end }; // :
    if (kind === 36) {
      if (number < 0) return { reply: null, end }; // $
      if (this.#buffer.length < end + number + 2) {
        this.#wanted = end + number + 2;
        return undefined;
      }
      return { reply: Buffer.from(this.#buffer.subarray(end, end + number)), end: end + number + 2 };
    }
    if (kind !== 42) throw new Error('what answers does not speak RESP2'); // *
    if (number < 0) return { reply: null, end };
    const items: Reply[] = [];
    let at = end;
    for (let i = 0; i < number; i++) {
      const item = this.#read(at, depth + 1);
      if (item === undefined) return undefined;
      items.push(item.reply);
      at = item.end;
    }
    return { reply: items, end: at };
  }
}
