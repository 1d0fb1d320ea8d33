/** Fields that a path route adds to its requests. */
import { TOKEN, VALUE } from '../../base/http1/chars.ts';
import { needle, withRequestLines } from '../policy/lines.ts';
import type { RequestBlock } from '../request-block.ts';

/** What frames a message, or is the gateway's own to say. */
const NOT_TO_SET = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'keep-alive',
  'x-request-id',
  'traceparent',
  'tracestate',
]);

const isToken = (name: string) => name !== '' && [...Buffer.from(name)].every((b) => TOKEN[b] === 1);

/** A value that fits on one line; what does not is written with escapes, as it is in a path. */
function fitting(value: string): string {
  let out = '';
  for (const char of value) {
    const code = char.charCodeAt(0);
    if (code < 256 && VALUE[code] === 1) out += char;
    else out += `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out.trim();
}

/** Which of these names a path route cannot set. */
export function unsettable(names: Iterable<string>): string[] {
  return [...names].filter((name) => NOT_TO_SET.has(name.toLowerCase()) || !isToken(name));
}

/** Stands for the target as it came; no part of a template can have such a name. */
export const TARGET_PART = 'petrel.target';

export class HeaderSetter {
  /** Whether a value has the target in it. */
  readonly wantsTarget: boolean;
  readonly #drop: readonly Buffer[];
  /** Name and value, whose odd pieces are names of parts. */
  readonly #fields: readonly { name: string; pieces: readonly string[] }[];

  private constructor(fields: readonly (readonly [string, string])[]) {
    this.wantsTarget = fields.some(([, value]) => value.includes(`{${TARGET_PART}}`));
    this.#drop = fields.map(([name]) => needle(name));
    this.#fields = fields.map(([name, value]) => ({
      name: name.toLowerCase(),
      pieces: Buffer.from(value, 'utf8')
        .toString('latin1')
        .split(/\{([A-Za-z_][A-Za-z0-9_.-]*)\}/),
    }));
  }

  /** Null when there is nothing to set. */
  static of(headers: Record<string, string>): HeaderSetter | null {
    const never = new Set(unsettable(Object.keys(headers)));
    const fields = Object.entries(headers).filter(([name]) => !never.has(name));
    return fields.length === 0 ? null : new HeaderSetter(fields);
  }

  /** The request's fields with these in the place of the client's own. A name that is no part stays as it is written. */
  apply(block: RequestBlock, parts: Record<string, string>): RequestBlock {
    let lines = '';
    for (const { name, pieces } of this.#fields) {
      const value = pieces.map((piece, i) => (i % 2 === 0 ? piece : (parts[piece] ?? `{${piece}}`))).join('');
      lines += `${name}: ${fitting(value)}\r\n`;
    }
    return withRequestLines(block, this.#drop, lines);
  }
}
