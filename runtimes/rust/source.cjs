// @ts-check
'use strict';
/** What a Rust file declares, as far as a build has to know it before the compiler does. */

/**
 * The text with comments and the insides of strings blanked out.
 * @param {string} text
 */
function codeOf(text) {
  const blank = (/** @type {string} */ part) => part.replace(/[^\n]/g, ' ');
  return text.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|r(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]{1,8}|[^'\\\n])'/g,
    blank,
  );
}

/** @typedef {{name: string, async: boolean}} Function_ */

/**
 * Public functions at the top of a file, and whether it has a `main`.
 * @param {string} text @returns {{exported: Function_[], main: boolean}}
 */
function readSource(text) {
  const code = codeOf(text);
  const exported = [...code.matchAll(/^pub (async )?(?:unsafe )?fn (\w+)/gm)].map(([, async, name]) => ({
    name: String(name),
    async: async !== undefined,
  }));
  for (const [, name] of code.matchAll(/^pub use [\w:{}, ]*?\b(handle|handler)\b/gm))
    exported.push({ name: String(name), async: false });
  return { exported, main: /^(?:pub )?(?:async )?fn main\s*\(/m.test(code) };
}

/** Names that a handler has by itself, the first wins. */
const NAMES = ['handle', 'handler'];

/** @param {Function_[]} exported @param {string | undefined} wanted */
function handlerOf(exported, wanted) {
  const names = wanted === undefined ? NAMES : [wanted];
  return names.map((name) => exported.find((one) => one.name === name)).find((found) => found !== undefined);
}

module.exports = { readSource, handlerOf, NAMES };
