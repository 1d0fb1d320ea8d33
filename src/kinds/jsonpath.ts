/**
 * The part of JSONPath that printer columns use: `.a.b`, `['a.b']`, `\.` in names, `[0]`, `[*]`, and the filter
 * `[?(@.x=='y')]` (also `!=`). Source: client-go `util/jsonpath`, apiextensions table convertor.
 */

type Step = (values: unknown[]) => unknown[];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function child(name: string): Step {
  return (values) =>
    values.flatMap((v) => (isObject(v) && Object.hasOwn(v, name) && v[name] !== undefined ? [v[name]] : []));
}

function bracket(inside: string): Step {
  if (inside === '*')
    return (values) => values.flatMap((v) => (Array.isArray(v) ? v : isObject(v) ? Object.values(v) : []));
  if (/^-?\d+$/.test(inside)) {
    return (values) => values.flatMap((v) => (Array.isArray(v) ? v.slice(Number(inside)).slice(0, 1) : []));
  }
  const quoted = /^(['"])(.*)\1$/s.exec(inside);
  if (quoted !== null) return child((quoted[2] ?? '').replace(/\\(.)/g, '$1'));
  const filter = /^\?\(\s*@(.+?)\s*(==|!=)\s*(?:'([^']*)'|"([^"]*)"|([^\s'"]+))\s*\)$/s.exec(inside);
  if (filter === null) throw new Error(`unsupported JSONPath expression [${inside}]`);
  const get = compileJsonPath(filter[1] ?? '');
  const wanted = filter[3] ?? filter[4] ?? filter[5] ?? '';
  const equal = filter[2] === '==';
  return (values) =>
    values.flatMap((v) =>
      Array.isArray(v) ? v.filter((item) => get(item).some((x) => String(x) === wanted) === equal) : [],
    );
}

/** The end of a bracket expression that starts at `from`: the first `]` outside quotes. */
function closing(path: string, from: number): number {
  let quote = '';
  for (let i = from; i < path.length; i++) {
    const c = path[i] ?? '';
    if (quote !== '') {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === "'" || c === '"') quote = c;
    else if (c === ']') return i;
  }
  throw new Error(`unclosed [ in JSONPath ${path}`);
}

/** A path → a function from an object to all values at that path. Throws on what the subset does not know. */
export function compileJsonPath(path: string): (object: unknown) => unknown[] {
  const steps: Step[] = [];
  const text = path.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  let at = 0;
  while (at < text.length) {
    if (text[at] === '[') {
      const end = closing(text, at + 1);
      steps.push(bracket(text.slice(at + 1, end).trim()));
      at = end + 1;
      continue;
    }
    if (text[at] === '.') at++;
    const name = /^(?:\\.|[^.[\\])*/s.exec(text.slice(at))?.[0] ?? '';
    at += name.length;
    if (name === '*') steps.push(bracket('*'));
    else if (name !== '') steps.push(child(name.replace(/\\(.)/g, '$1')));
    else if (at < text.length && text[at] !== '[') throw new Error(`cannot read JSONPath ${path}`);
  }
  return (object) => steps.reduce((values, step) => step(values), [object]);
}
