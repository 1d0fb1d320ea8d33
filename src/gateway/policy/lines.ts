/**
 * Fields of a head in the form the gateway forwards it: `name: value CR LF` lines with lower-case names. Policies read
 * them there, and only when they ask for one, so that routes without a policy pay nothing.
 */
import { CR, LF } from '../../base/http1/chars.ts';
import type { RequestBlock } from '../request-block.ts';
import type { ResponseBlock } from '../response-block.ts';

/** What to look for: made once per name, from its lower-case form. */
export function needle(name: string): Buffer {
  return Buffer.from(`${name.toLowerCase()}: `, 'latin1');
}

/** Position of the next line of that name at or after `from`; -1 when there is none. */
function findLine(out: Buffer, name: Buffer, from: number): number {
  for (let at = out.indexOf(name, from); at >= 0; at = out.indexOf(name, at + 1)) {
    if (at === 0 || out[at - 1] === LF) return at;
  }
  return -1;
}

/** Value of a field; several lines are joined by `separator` (RFC 9110 §5.3). Null when the field is absent. */
export function fieldValue(out: Buffer, name: Buffer, separator = ', '): string | null {
  let value: string | null = null;
  for (let at = findLine(out, name, 0); at >= 0; at = findLine(out, name, at + 1)) {
    const end = out.indexOf(CR, at);
    const part = out.toString('latin1', at + name.length, end < 0 ? out.length : end);
    value = value === null ? part : value + separator + part;
  }
  return value;
}

const COOKIE = needle('cookie');

/** Value of the first cookie of that name (case-sensitive); null when there is none. */
export function cookieValue(out: Buffer, name: string): string | null {
  const all = fieldValue(out, COOKIE, '; ');
  if (all === null) return null;
  for (const pair of all.split(';')) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return null;
}

/** `out` without the fields of these names. The same buffer when it has none of them. */
export function withoutLines(out: Buffer, names: readonly Buffer[]): Buffer {
  let kept = out;
  for (const name of names) {
    for (let at = findLine(kept, name, 0); at >= 0; at = findLine(kept, name, at)) {
      const end = kept.indexOf(LF, at) + 1;
      kept = Buffer.concat([kept.subarray(0, at), kept.subarray(end === 0 ? kept.length : end)]);
    }
  }
  return kept;
}

/** The request's fields without those of `drop`, and with the lines `add` at the end. The same block when nothing changes. */
export function withRequestLines(block: RequestBlock, drop: readonly Buffer[], add: string): RequestBlock {
  const kept = withoutLines(block.out, drop);
  if (add === '') return kept === block.out ? block : { ...block, out: kept };
  return { ...block, out: Buffer.concat([kept, Buffer.from(add, 'latin1')]) };
}

/** The answer's fields with the lines `add` at the end. */
export function withResponseLines(block: ResponseBlock, add: string): ResponseBlock {
  return { ...block, out: Buffer.concat([block.out, Buffer.from(add, 'latin1')]) };
}
