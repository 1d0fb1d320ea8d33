// @ts-check
'use strict';
/** Heads: the lines of a request and of a response as text, and the maps that user code sees. */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// A value may not end a line or leave latin1: it would forge a header, or be written as another character.
const BAD_VALUE = /[\0\r\n]|[^\0-\xff]/;

/** Headers that end at one hop; the gateway drops them too, so that they are not even sent. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Name and value of each header line, flat, in order.
 * @param {string} block lines of `name: value CR LF` @param {number} from index of the first line
 * @returns {string[]}
 */
function parseLines(block, from) {
  /** @type {string[]} */
  const list = [];
  let at = from;
  const total = block.length;
  while (at < total) {
    let end = block.indexOf('\r\n', at);
    if (end < 0) end = total;
    const colon = block.indexOf(':', at);
    if (colon > at && colon < end) {
      let start = colon + 1;
      while (start < end && (block.charCodeAt(start) === 32 || block.charCodeAt(start) === 9)) start++;
      list.push(block.slice(at, colon), block.slice(start, end));
    }
    at = end + 2;
  }
  return list;
}

/** Headers of which the first wins when there are several (node:http's rule, RFC 9110 singletons). */
const SINGLE = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/**
 * The map that node:http calls `message.headers`.
 * @param {string[]} list flat names and values @returns {Record<string, string | string[]>}
 */
function nodeHeaders(list) {
  /** @type {Record<string, any>} */
  const map = Object.create(null);
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i].toLowerCase();
    const value = list[i + 1];
    const old = map[name];
    if (name === 'set-cookie') {
      if (old === undefined) map[name] = [value];
      else old.push(value);
    } else if (old === undefined) map[name] = value;
    else if (!SINGLE.has(name)) map[name] = old + (name === 'cookie' ? '; ' : ', ') + value;
  }
  return map;
}

/** @param {unknown} name @returns {string} lower case @throws {TypeError} */
function checkName(name) {
  const text = String(name);
  if (!TOKEN.test(text)) throw new TypeError(`Invalid header name: ${JSON.stringify(text)}`);
  return text.toLowerCase();
}

/** @param {unknown} value @returns {string} without surrounding white space @throws {TypeError} */
function checkValue(value) {
  const text = String(value);
  const first = text.charCodeAt(0);
  const last = text.charCodeAt(text.length - 1);
  const trimmed = first <= 32 || last <= 32 ? text.replace(/^[\t\r\n ]+|[\t\r\n ]+$/g, '') : text;
  if (BAD_VALUE.test(trimmed)) throw new TypeError(`Invalid header value: ${JSON.stringify(text)}`);
  return trimmed;
}

/** One header line of a response; nothing for a hop-by-hop header. @param {string} name lower case @param {string} value */
function line(name, value) {
  return HOP_BY_HOP.has(name) ? '' : `${name}: ${value}\r\n`;
}

/**
 * The header block for a plain object, as the result objects of functions give it: values may be arrays, numbers or
 * booleans; null and undefined are left out.
 * @param {Record<string, unknown> | null | undefined} headers @throws {TypeError}
 */
function blockOf(headers) {
  let block = '';
  if (headers === null || headers === undefined) return block;
  const entries =
    typeof (/** @type {any} */ (headers)[Symbol.iterator]) === 'function'
      ? /** @type {Iterable<[string, unknown]>} */ (/** @type {unknown} */ (headers))
      : Object.entries(headers);
  for (const [name, value] of entries) {
    if (value === undefined || value === null) continue;
    const key = checkName(name);
    if (Array.isArray(value)) for (const one of value) block += line(key, checkValue(one));
    else block += line(key, checkValue(value));
  }
  return block;
}

/** Whether a block has that header. @param {string} block @param {string} name lower case */
function blockHas(block, name) {
  return block.startsWith(`${name}: `) || block.includes(`\n${name}: `);
}

module.exports = { parseLines, nodeHeaders, checkName, checkValue, line, blockOf, blockHas };
