/** Paths with parts that vary: `/users/{id}` and `/v{version:[0-9]+}/{rest:.*}`. Pure. */
import { PetrelError } from '../../base/errors.ts';
import { linearPattern } from '../../base/linear-pattern.ts';

/** A piece of a template: fixed text, or a part with a name. */
export type TemplatePiece = { text: string } | { name: string; pattern: string | null };

/** Longest path that is tried against patterns; longer ones do not match. */
const MAX_PATH = 4096;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

function bad(value: string, why: string): PetrelError {
  return new PetrelError('InvalidArgument', `"${value}" is no path template: ${why}`, {
    fix: 'write parts of the path as {name} or {name:regular expression}',
  });
}

/** Position of the brace that closes the one at `open`; regular expressions may have pairs of their own. */
function closing(value: string, open: number): number {
  let depth = 0;
  for (let i = open; i < value.length; i++) {
    if (value[i] === '\\') i++;
    else if (value[i] === '{') depth++;
    else if (value[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

/** Takes a template apart. Throws `InvalidArgument` for what is none. */
export function parseTemplate(value: string): TemplatePiece[] {
  if (!value.startsWith('/')) throw bad(value, 'it does not begin with /');
  const pieces: TemplatePiece[] = [];
  const names = new Set<string>();
  let at = 0;
  while (at < value.length) {
    const open = value.indexOf('{', at);
    if (open < 0) {
      pieces.push({ text: value.slice(at) });
      break;
    }
    if (open > at) pieces.push({ text: value.slice(at, open) });
    const close = closing(value, open);
    if (close < 0) throw bad(value, 'a { is not closed');
    const inside = value.slice(open + 1, close);
    const colon = inside.indexOf(':');
    const name = colon < 0 ? inside : inside.slice(0, colon);
    if (!NAME.test(name)) throw bad(value, `"${name}" is no name`);
    if (names.has(name)) throw bad(value, `"${name}" is there twice`);
    names.add(name);
    pieces.push({ name, pattern: colon < 0 ? null : inside.slice(colon + 1) });
    at = close + 1;
  }
  return pieces;
}

/** The segments of a template whose every part is a whole segment without a pattern; null for any other. */
export function plainSegments(pieces: readonly TemplatePiece[]): (string | { name: string })[] | null {
  const segments: (string | { name: string })[] = [];
  let text = '';
  for (const [i, piece] of pieces.entries()) {
    if ('text' in piece) {
      const parts = piece.text.split('/');
      if (i > 0 && parts[0] !== '') return null;
      segments.push(...parts.slice(1, -1));
      text = parts.at(-1)!;
      if (i === pieces.length - 1) segments.push(text);
      else if (text !== '') return null;
    } else {
      if (piece.pattern !== null || (i > 0 && !('text' in pieces[i - 1]!))) return null;
      segments.push({ name: piece.name });
    }
  }
  return segments;
}

/** What a template with patterns does to a path: the values of its parts, or null when it does not match. */
export type TemplateMatcher = (path: string) => Record<string, string> | null;

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/** Compiles a template of any form. Throws `InvalidArgument` when a pattern is malformed or cannot be matched in linear time. */
export function templateMatcher(value: string, pieces: readonly TemplatePiece[]): TemplateMatcher {
  const names: string[] = [];
  let source = '';
  for (const piece of pieces) {
    if ('text' in piece) source += escaped(piece.text);
    else {
      source += `(?<p${names.length}>${piece.pattern ?? '[^/]+'})`;
      names.push(piece.name);
    }
  }
  let pattern: RegExp;
  try {
    pattern = linearPattern(source);
  } catch (error) {
    throw bad(value, (error as Error).message);
  }
  return (path) => {
    const groups = path.length > MAX_PATH ? undefined : pattern.exec(path)?.groups;
    if (groups === undefined) return null;
    return Object.fromEntries(names.map((name, i) => [name, groups[`p${i}`] ?? '']));
  };
}
