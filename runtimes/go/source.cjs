// @ts-check
'use strict';
/** What a Go file declares, as far as a build has to know it before the compiler does. */

const fs = require('node:fs');

/**
 * The text with comments and the insides of literals blanked out, line breaks kept.
 * @param {string} text
 */
function codeOf(text) {
  const blank = (/** @type {string} */ part) => part.replace(/[^\n]/g, ' ');
  return text.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
    (part) => (part[0] === '/' ? blank(part) : part[0] + blank(part.slice(1, -1)) + part[0]),
  );
}

/**
 * @typedef {{name: string, kind: 'func' | 'var' | 'type', text: string}} Declaration an exported one at the top of a package
 * @typedef {{file: string, main?: {at: number, empty: boolean}, exported: Declaration[]}} Source `main.at`: where its name stands
 */

/** The signature that `net/http` has for functions. */
const HTTP_HANDLER = /^\(\s*\w+\s+http\.ResponseWriter\s*,\s*\w+\s+\*http\.Request\s*\)\s*$/;

/** @param {string} file path on the disk @returns {Source} */
function readSource(file) {
  const code = codeOf(fs.readFileSync(file, 'utf8'));
  /** @type {Source} */
  const source = { file, exported: [] };
  const main = /^func main\(\s*\)\s*\{(\s*\})?/m.exec(code);
  if (main !== null) source.main = { at: main.index + 'func '.length, empty: main[1] !== undefined };
  for (const [, name, text] of code.matchAll(/^func ([A-Z]\w*)(\([^{\n]*)/gm))
    source.exported.push({ name: String(name), kind: 'func', text: String(text).trim() });
  for (const [, name, text] of code.matchAll(/^var ([A-Z]\w*)([^\n]*)/gm))
    source.exported.push({ name: String(name), kind: 'var', text: String(text).trim() });
  for (const [block] of code.matchAll(/^var \([\s\S]*?^\)/gm))
    for (const [, name, text] of block.matchAll(/^\s+([A-Z]\w*)([^\n]*)/gm))
      source.exported.push({ name: String(name), kind: 'var', text: String(text).trim() });
  for (const [, name, text] of code.matchAll(/^type ([A-Z]\w*)\s+(struct)\b/gm))
    source.exported.push({ name: String(name), kind: 'type', text: String(text) });
  return source;
}

/** Names that a handler has by itself, the first wins. */
const NAMES = ['Handle', 'Handler', 'New', 'HandleRequest', 'HandleEvent'];

/**
 * The declaration that is the handler: the one asked for, one of the usual names, or the only function that net/http could call.
 * @param {Source[]} sources @param {string | undefined} wanted
 * @returns {Declaration | undefined}
 */
function handlerOf(sources, wanted) {
  const exported = sources.flatMap((source) => source.exported);
  const named = (/** @type {string} */ name) => exported.find((one) => one.name === name);
  if (wanted !== undefined) return named(wanted);
  for (const name of NAMES) {
    const found = named(name);
    if (found !== undefined) return found;
  }
  const plain = exported.filter(({ kind, text }) => kind === 'func' && HTTP_HANDLER.test(text));
  return plain.length === 1 ? plain[0] : undefined;
}

module.exports = { readSource, handlerOf, NAMES };
