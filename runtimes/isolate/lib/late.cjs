// @ts-check
'use strict';
/**
 * Functions that can be given to an isolate that stands ready. Making an isolate takes most of the time that a function needs to
 * load, and its modules have to be known by then; what can be evaluated later is a script. So a module may be given late that is alone,
 * imports nothing, and says `export` once: a word that stands once in a module which has loaded before is its export and no text.
 */

/** Larger ones take longer to send twice than an isolate to make, bytes. */
const MAX_BYTES = 262_144;
/** What means something else in a script, or cannot be there. */
const NEVER = /\bimport\b|<!--|-->|\$petrel\b/;
const DECLARED = /^export\s+default\s+((?:async\s+)?function\s*\*?\s+([A-Za-z_$][\w$]*)\s*\()/;
const LIST = /^export\s*\{([^{}]*)\}(?!\s*from\b)/;
const AS_DEFAULT = /^\s*([A-Za-z_$][\w$]*)\s+as\s+default\s*$/;
const EXPRESSION = /^export\s+default(?!\s*(?:async\s+function|function|class)\b)(?=[\s({[])/;

/** Keeps every line and column where it was. @param {string} text */
const blank = (text) => text.replace(/[^\n]/g, ' ');

/**
 * @param {string} source of an ES module, which has been loaded as one before
 * @returns {string | undefined} body of a function with the parameter `$petrel`, whose property `d` becomes the default export; undefined:
 *   it cannot be had, or not for certain
 */
function lateOf(source) {
  if (source.length > MAX_BYTES || NEVER.test(source)) return undefined;
  const found = [...source.matchAll(/\bexport\b/g)];
  const at = found[0]?.index;
  if (found.length !== 1 || at === undefined) return undefined;
  const before = `"use strict";${source.slice(0, at)}`;
  const rest = source.slice(at);
  const declared = DECLARED.exec(rest);
  if (declared !== null) {
    const [, head = '', name] = declared;
    const from = declared[0].length - head.length;
    return `${before}${blank(rest.slice(0, from))}${rest.slice(from)}\n;$petrel.d = ${name};`;
  }
  const list = LIST.exec(rest);
  if (list !== null) {
    const name = (list[1] ?? '')
      .split(',')
      .map((item) => AS_DEFAULT.exec(item)?.[1])
      .find((one) => one !== undefined);
    if (name === undefined) return undefined;
    return `${before};${blank(list[0]).slice(1)}${rest.slice(list[0].length)}\n;$petrel.d = ${name};`;
  }
  const expression = EXPRESSION.exec(rest);
  if (expression === null) return undefined;
  const given = '$petrel.d =';
  const gap = blank(expression[0].slice(given.length));
  return `${before}${given}${gap}${rest.slice(expression[0].length)}`;
}

module.exports = { lateOf };
