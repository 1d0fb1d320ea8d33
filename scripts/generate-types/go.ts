/** Reads what struct tags and comment markers of Go API types say about JSON, patches and lists. */

export interface GoField {
  /** JSON name; empty when inlined, `-` when not in JSON. */
  json: string;
  /** Protobuf number from the tag; absent for `TypeMeta`. */
  number: number | undefined;
  goType: string;
  inline: boolean;
  omitempty: boolean;
  patchStrategy: string;
  patchMergeKey: string;
  /** `+optional`, `+listType=…` and so on, without the plus: name → values. */
  markers: Map<string, string[]>;
  doc: string;
}

export interface GoStruct {
  fields: GoField[];
  markers: Map<string, string[]>;
  doc: string;
}

/** Structs by name, of one package's Go files. */
export function parseGo(text: string): Map<string, GoStruct> {
  const structs = new Map<string, GoStruct>();
  let comments: string[] = [];
  let current: GoStruct | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line.startsWith('//')) {
      comments.push(line.slice(2).trim());
      continue;
    }
    const start = /^type (\w+) struct \{$/.exec(line);
    if (start) {
      current = { fields: [], markers: markersOf(comments), doc: docOf(comments) };
      structs.set(start[1] ?? '', current);
    } else if (line === '}') current = undefined;
    else if (current !== undefined && line !== '') {
      const field = parseField(line, comments);
      if (field !== undefined) current.fields.push(field);
    }
    // A blank line ends a comment block, but inside a struct markers may stand apart from the field they belong to.
    if (line !== '' || current === undefined) comments = [];
    else comments.push('');
  }
  return structs;
}

function parseField(line: string, comments: string[]): GoField | undefined {
  const match = /^(?:(\w+)\s+)?([^\s`]+)\s+`(.*)`/.exec(line);
  if (match === null) return undefined;
  const tag = (name: string): string =>
    new RegExp(`(?:^|\\s)${name}:"([^"]*)"`).exec(match[3] ?? '')?.[1] ?? '';
  const [json = '', ...options] = tag('json').split(',');
  const number = /^\w+,(\d+)/.exec(tag('protobuf'))?.[1];
  return {
    json,
    number: number === undefined ? undefined : Number(number),
    goType: match[2] ?? '',
    inline: options.includes('inline') || (json === '' && match[1] === undefined),
    omitempty: options.includes('omitempty'),
    patchStrategy: tag('patchStrategy'),
    patchMergeKey: tag('patchMergeKey'),
    markers: markersOf(comments),
    doc: docOf(comments),
  };
}

function markersOf(comments: string[]): Map<string, string[]> {
  const markers = new Map<string, string[]>();
  for (const comment of comments) {
    const match = /^\+([\w:]+)(?:=(.*))?$/.exec(comment);
    if (match === null) continue;
    const name = match[1] ?? '';
    markers.set(name, [...(markers.get(name) ?? []), match[2] ?? '']);
  }
  return markers;
}

/** The first sentence of a comment. */
function docOf(comments: string[]): string {
  const lines = comments.filter((c) => !c.startsWith('+'));
  const begin = lines.findIndex((c) => c !== '');
  if (begin < 0) return '';
  const end = lines.indexOf('', begin);
  const paragraph = lines.slice(begin, end < 0 ? undefined : end).join(' ');
  const sentence = /^.*?[.:](?=\s|$)(?<!e\.g\.|i\.e\.|etc\.)/.exec(paragraph)?.[0] ?? paragraph;
  return sentence.replace(/:$/, '').trim();
}
