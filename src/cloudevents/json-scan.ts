/**
 * Where values of a JSON text begin and end, in its bytes and without making anything of them: so an event's data is passed on
 * as it was written (big integers, key order, spaces), and what is not JSON is refused. Source: RFC 8259.
 */

/** Deeper nesting is refused; readers behind us commonly recurse. */
export const MAX_JSON_DEPTH = 256;

const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;

/** A text is no JSON; `at` is the byte where that shows. */
export class NotJson extends Error {
  readonly at: number;
  constructor(at: number) {
    super(`not JSON at byte ${at}`);
    this.at = at;
  }
}

/** Whether the bytes are exactly one JSON value, with nothing but white space around it. They must be UTF-8. */
export function isJsonText(bytes: Buffer): boolean {
  try {
    return skipSpace(bytes, skipValue(bytes, skipSpace(bytes, 0))) === bytes.length;
  } catch (thrown) {
    if (thrown instanceof NotJson) return false;
    throw thrown;
  }
}

/** The first byte at or after `at` that is no white space. */
export function skipSpace(bytes: Buffer, at: number): number {
  let next = at;
  for (;;) {
    const byte = bytes[next];
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) next++;
    else return next;
  }
}

/** The end of the string whose quote stands at `at`. */
export function skipString(bytes: Buffer, at: number): number {
  if (bytes[at] !== QUOTE) throw new NotJson(at);
  for (let from = at + 1; ; ) {
    const next = skipPlain(bytes, from);
    const byte = bytes[next];
    if (byte === QUOTE) return next + 1;
    if (byte !== BACKSLASH) throw new NotJson(next);
    from = skipEscape(bytes, next);
  }
}

/** The next byte at or after `at` that means something in a string, or may not stand there; else the end of the bytes. */
function skipPlain(bytes: Buffer, at: number): number {
  const { length } = bytes;
  for (let next = at; next < length; next++) {
    const byte = bytes[next]!;
    if (byte <= 0x5c && (byte === 0x5c || byte === 0x22 || byte < 0x20)) return next;
  }
  return length;
}

function skipEscape(bytes: Buffer, at: number): number {
  const escaped = bytes[at + 1];
  if (escaped === 0x75) {
    for (let digit = 2; digit <= 5; digit++) if (!isHex(bytes[at + digit])) throw new NotJson(at);
    return at + 6;
  }
  if (escaped === undefined || !ESCAPES.has(escaped)) throw new NotJson(at);
  return at + 2;
}

const ESCAPES = new Set(Buffer.from('"\\/bfnrt'));

const isHex = (byte: number | undefined): boolean =>
  byte !== undefined &&
  ((byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 70) || (byte >= 97 && byte <= 102));

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57;

/** The end of the number, literal or string that begins at `at`. */
function skipScalar(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return skipString(bytes, at);
    case 0x74:
      return skipWord(bytes, at, 'true');
    case 0x66:
      return skipWord(bytes, at, 'false');
    case 0x6e:
      return skipWord(bytes, at, 'null');
    default:
      return skipNumber(bytes, at);
  }
}

function skipWord(bytes: Buffer, at: number, word: string): number {
  for (let index = 0; index < word.length; index++)
    if (bytes[at + index] !== word.charCodeAt(index)) throw new NotJson(at);
  return at + word.length;
}

function skipNumber(bytes: Buffer, at: number): number {
  let next = at;
  const digits = () => {
    if (!isDigit(bytes[next])) throw new NotJson(next);
    while (isDigit(bytes[next])) next++;
  };
  if (bytes[next] === 0x2d) next++;
  if (bytes[next] === 0x30) next++;
  else digits();
  if (bytes[next] === 0x2e) {
    next++;
    digits();
  }
  if (bytes[next] === 0x65 || bytes[next] === 0x45) {
    next++;
    if (bytes[next] === 0x2b || bytes[next] === 0x2d) next++;
    digits();
  }
  return next;
}

/** What closes the containers around the place; one scan ends before the next begins. */
const closers = new Uint8Array(MAX_JSON_DEPTH);

/** The end of the value that begins at `at` (no white space before it). Without recursion. @throws NotJson */
export function skipValue(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first !== BRACE_OPEN && first !== BRACKET_OPEN) return skipScalar(bytes, at);
  let depth = 0;
  let next = at;
  for (;;) {
    // At the beginning of a value.
    let byte = bytes[next];
    if (byte === BRACE_OPEN || byte === BRACKET_OPEN) {
      if (depth === MAX_JSON_DEPTH) throw new NotJson(next);
      const closer = byte === BRACE_OPEN ? BRACE_CLOSE : BRACKET_CLOSE;
      closers[depth++] = closer;
      next = skipSpace(bytes, next + 1);
      if (bytes[next] !== closer) {
        if (closer === BRACE_CLOSE) next = skipKey(bytes, next);
        continue;
      }
    } else next = skipSpace(bytes, skipScalar(bytes, next));
    // Behind a value, or at the closer of an empty container.
    for (;;) {
      const closer = closers[depth - 1]!;
      byte = bytes[next];
      if (byte === COMMA) {
        next = skipSpace(bytes, next + 1);
        if (closer === BRACE_CLOSE) next = skipKey(bytes, next);
        break;
      }
      if (byte !== closer) throw new NotJson(next);
      next++;
      if (--depth === 0) return next;
      next = skipSpace(bytes, next);
    }
  }
}

/** The beginning of the value of the member whose key stands at `at`. */
export function skipKey(bytes: Buffer, at: number): number {
  const colon = skipSpace(bytes, skipString(bytes, at));
  if (bytes[colon] !== COLON) throw new NotJson(colon);
  return skipSpace(bytes, colon + 1);
}

/** The text of the string between `start` and `end`, quotes included. */
export function stringAt(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('latin1', start + 1, end - 1);
  return /[\\\x80-\xff]/.test(text) ? JSON.parse(bytes.toString('utf8', start, end)) : text;
}
