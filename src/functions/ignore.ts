/** `.petrelignore`: which files stay out of a package. The pattern language is gitignore's (gitignore(5), "PATTERN FORMAT"). */

/** Decides about one path relative to the packaged directory, without leading slash. */
export type Ignore = (path: string, directory: boolean) => boolean;

interface Rule {
  matches: RegExp;
  directoryOnly: boolean;
  keep: boolean;
}

/** One pattern as a regular expression over a whole relative path. */
function expression(pattern: string): RegExp {
  const anchored = pattern.slice(0, -1).includes('/');
  const glob = pattern.replace(/^\//, '');
  let source = anchored ? '' : '(?:.*/)?';
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*' && glob[i + 1] === '*') {
      const slash = glob[i + 2] === '/';
      source += slash ? '(?:.*/)?' : '.*';
      i += slash ? 2 : 1;
    } else if (char === '*') {
      source += '[^/]*';
    } else if (char === '?') {
      source += '[^/]';
    } else if (char === '[' && glob.indexOf(']', i + 2) > 0) {
      const end = glob.indexOf(']', i + 2);
      const set = glob
        .slice(i + 1, end)
        .replace(/^!/, '^')
        .replaceAll('\\', '\\\\')
        .replaceAll('[', '\\[');
      source += `[${set}]`;
      i = end;
    } else {
      const literal = char === '\\' && i + 1 < glob.length ? (glob[++i] as string) : char;
      source += literal.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    }
  }
  return new RegExp(`^${source}$`, 'u');
}

/** Reads the text of an ignore file. Later lines win; `!` takes a path back in; a trailing `/` means directories only. */
export function parseIgnore(text: string): Ignore {
  const rules: Rule[] = [];
  for (const raw of text.split(/\r?\n/)) {
    let line = raw.replace(/(?<!\\)\s+$/, '');
    if (line === '' || line.startsWith('#')) continue;
    const keep = line.startsWith('!');
    if (keep) line = line.slice(1);
    const directoryOnly = line.endsWith('/');
    if (directoryOnly) line = line.slice(0, -1);
    if (line !== '')
      rules.push({ matches: expression(directoryOnly ? `${line}` : line), directoryOnly, keep });
  }
  return (path, directory) => {
    for (const rule of rules.toReversed()) {
      if ((directory || !rule.directoryOnly) && rule.matches.test(path)) return !rule.keep;
    }
    return false;
  };
}
