/** CESQL's LIKE. Source: cloudevents/spec, `cesql/spec.md` 3.4.3. */

/** A character, or what stands for one, or for any number of them. */
const ONE = Symbol('_');
const ANY = Symbol('%');
type Piece = string | typeof ONE | typeof ANY;

/**
 * Whether a text matches a pattern: `%` stands for any characters, `_` for one, `\` before them makes them themselves. The
 * common shapes (whole, prefix, suffix, within) are the engine's own; the rest takes no more than the product of both lengths.
 */
export function like(pattern: string): (text: string) => boolean {
  const pieces = piecesOf(pattern);
  const literal = pieces.map((piece) => (typeof piece === 'string' ? piece : '')).join('');
  const wild = pieces.filter((piece) => typeof piece !== 'string');
  if (wild.length === 0) return (text) => text === literal;
  const ends = [pieces[0] === ANY, pieces.at(-1) === ANY] as const;
  if (wild.every((piece) => piece === ANY)) {
    if (literal === '') return () => true;
    if (wild.length === 1 && ends[1]) return beginsWith(literal);
    if (wild.length === 1 && ends[0]) return (text) => text.endsWith(literal);
    if (wild.length === 2 && ends[0] && ends[1]) return (text) => text.includes(literal);
  }
  return (text) => matches(pieces, text);
}

/** `startsWith` of some prefix (not of an empty one), the last character first: prefixes of one system begin alike, and are compared one character after the other. */
export function beginsWith(prefix: string): (text: string) => boolean {
  const end = prefix.length - 1;
  const last = prefix.charCodeAt(end);
  return (text) => text.charCodeAt(end) === last && text.startsWith(prefix);
}

function piecesOf(pattern: string): Piece[] {
  const pieces: Piece[] = [];
  const chars = [...pattern];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at]!;
    const next = chars[at + 1];
    if (char === '\\' && (next === '%' || next === '_')) {
      pieces.push(next);
      at++;
    } else if (char === '_') pieces.push(ONE);
    else if (char !== '%') pieces.push(char);
    else if (pieces.at(-1) !== ANY) pieces.push(ANY);
  }
  return pieces;
}

function matches(pieces: readonly Piece[], text: string): boolean {
  let at = 0;
  let piece = 0;
  // Where the last `%` stands, and up to where it reaches.
  let any = -1;
  let reach = 0;
  while (at < text.length) {
    const wanted = pieces[piece];
    if (wanted === ANY) {
      any = piece++;
      reach = at;
    } else if (wanted === ONE) {
      at += width(text, at);
      piece++;
    } else if (wanted !== undefined && text.startsWith(wanted, at)) {
      at += wanted.length;
      piece++;
    } else if (any !== -1) {
      reach += width(text, reach);
      at = reach;
      piece = any + 1;
    } else return false;
  }
  while (pieces[piece] === ANY) piece++;
  return piece === pieces.length;
}

/** UTF-16 units of the character at `at`. */
const width = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
