/**
 * The part of Go's text/template that the ConfigMaps' templates are written in: `{{.Name}}`, `{{.Labels.app}}`,
 * `{{index .Annotations "key"}}`, `{{if x}}…{{else}}…{{end}}`, comments and trimmed space.
 */

/** What a template is applied to; maps may be absent. */
export type TemplateValues = Record<string, string | Record<string, string> | undefined>;

/** A template that was understood. Throws `TemplateError` for a field that the values do not have. */
export type Template = (values: TemplateValues) => string;

/** A template that cannot be understood or applied. */
export class TemplateError extends Error {}

type Value = string | Record<string, string> | undefined;
type Expression = (values: TemplateValues) => Value;
type Node = (values: TemplateValues) => string;

const MAX_LENGTH = 1024;

/** Reads a template. Throws `TemplateError`. */
export function compileTemplate(text: string): Template {
  if (text.length > MAX_LENGTH) throw new TemplateError(`template: longer than ${MAX_LENGTH} characters`);
  const parts = tokens(text);
  const nodes = sequence(parts, false);
  return (values) => nodes.map((node) => node(values)).join('');
}

interface Token {
  action: boolean;
  text: string;
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let rest = text;
  while (rest !== '') {
    const open = rest.indexOf('{{');
    if (open < 0) {
      found.push({ action: false, text: rest });
      break;
    }
    const close = rest.indexOf('}}', open);
    if (close < 0) throw new TemplateError('template: unclosed action');
    let before = rest.slice(0, open);
    let action = rest.slice(open + 2, close);
    rest = rest.slice(close + 2);
    if (/^-\s/.test(action)) {
      before = before.trimEnd();
      action = action.slice(1);
    }
    if (/\s-$/.test(action)) {
      rest = rest.trimStart();
      action = action.slice(0, -1);
    }
    found.push({ action: false, text: before }, { action: true, text: action.trim() });
  }
  return found;
}

/** Nodes up to the end, or up to the `else` or `end` of the block that they are in, which stays in `parts`. */
function sequence(parts: Token[], inBlock: boolean): Node[] {
  const nodes: Node[] = [];
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    const { action, text } = part;
    if (!action) nodes.push(() => text);
    else if (text === 'end' || text === 'else') {
      if (!inBlock) throw new TemplateError(`template: unexpected {{${text}}}`);
      parts.unshift(part);
      return nodes;
    } else if (text.startsWith('if ')) nodes.push(condition(expression(text.slice(3).trim()), parts));
    else if (!text.startsWith('/*')) {
      const value = expression(text);
      nodes.push((values) => shown(value(values)));
    }
  }
  if (inBlock) throw new TemplateError('template: unexpected EOF');
  return nodes;
}

function condition(test: Expression, parts: Token[]): Node {
  const yes = sequence(parts, true);
  const no = parts.shift()?.text === 'else' ? sequence(parts, true) : [];
  if (no.length > 0 || parts[0]?.text === 'end') parts.shift();
  return (values) => (isSet(test(values)) ? yes : no).map((node) => node(values)).join('');
}

const isSet = (value: Value): boolean =>
  typeof value === 'object' ? Object.keys(value).length > 0 : value !== undefined && value !== '';

function expression(text: string): Expression {
  const index = /^index\s+(\.[\w.]+)\s+("(?:[^"\\]|\\.)*"|`[^`]*`)$/.exec(text);
  if (index !== null) {
    const map = path(index[1] ?? '');
    const key: string = index[2]?.startsWith('`') ? index[2].slice(1, -1) : JSON.parse(index[2] ?? '""');
    return (values) => {
      const value = map(values);
      if (typeof value === 'string')
        throw new TemplateError(`template: can't index item of type string in <${text}>`);
      return value !== undefined && Object.hasOwn(value, key) ? value[key] : '';
    };
  }
  if (!/^(\.\w+)+$/.test(text)) {
    throw new TemplateError(
      `template: ${JSON.stringify(`{{${text}}}`)} is not supported; fields, index and if are`,
    );
  }
  return path(text);
}

function path(text: string): Expression {
  const [first = '', second, ...more] = text.slice(1).split('.');
  return (values) => {
    if (!Object.hasOwn(values, first) || more.length > 0) {
      throw new TemplateError(`template: can't evaluate field ${more.at(-1) ?? first} in <${text}>`);
    }
    const value = values[first];
    if (second === undefined) return value;
    if (typeof value === 'string')
      throw new TemplateError(`template: can't evaluate field ${second} in type string`);
    return value !== undefined && Object.hasOwn(value, second) ? value[second] : undefined;
  };
}

/** What is absent shows as Go shows it, so that no host name can be made of it. */
const shown = (value: Value): string => (typeof value === 'string' ? value : '<no value>');
