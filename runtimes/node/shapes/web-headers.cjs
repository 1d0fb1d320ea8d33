// @ts-check
'use strict';
/**
 * `Headers` of the Fetch standard, without loading the engine's fetch implementation: that costs 39 ms and 6 MB in a
 * process that may never make a request itself.
 */

const { checkName, checkValue } = require('../lib/head.cjs');

/** Key that lets our own code make a Headers from a list without checking it again. */
const TRUSTED = Symbol('trusted');

class Headers {
  /** @type {string[]} flat lower-case names and values, in order of insertion */
  #list;

  /** @param {any} [init] @param {string[]} [list] */
  constructor(init, list) {
    if (init === TRUSTED) {
      this.#list = /** @type {string[]} */ (list);
      return;
    }
    this.#list = [];
    if (init === undefined) return;
    if (init === null || (typeof init !== 'object' && typeof init !== 'function')) {
      throw new TypeError(
        'Headers constructor: init must be a sequence of pairs, a record, or a Headers object',
      );
    }
    if (#list in init) {
      this.#list = init.#list.slice();
    } else if (typeof init[Symbol.iterator] === 'function') {
      for (const pair of init) {
        const [name, value, ...more] = pair;
        if (value === undefined || more.length > 0)
          throw new TypeError('Headers constructor: expected name/value pair to be length 2');
        this.append(name, value);
      }
    } else {
      for (const name of Reflect.ownKeys(init)) {
        const described = Reflect.getOwnPropertyDescriptor(init, name);
        if (described?.enumerable !== true) continue;
        this.#list.push(checkName(name), checkValue(init[name]));
      }
    }
  }

  /** @param {object} value @returns {string[] | undefined} the flat list when it is one of ours */
  static list(value) {
    return #list in value ? /** @type {Headers} */ (value).#list : undefined;
  }

  /** @param {string} name @param {string} value */
  append(name, value) {
    this.#list.push(checkName(name), checkValue(value));
  }

  /** @param {string} name */
  delete(name) {
    const key = checkName(name);
    const list = this.#list;
    for (let i = list.length - 2; i >= 0; i -= 2) if (list[i] === key) list.splice(i, 2);
  }

  /** @param {string} name @returns {string | null} */
  get(name) {
    const key = checkName(name);
    const list = this.#list;
    /** @type {string | null} */
    let found = null;
    const glue = key === 'cookie' ? '; ' : ', ';
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key)
        found = found === null ? /** @type {string} */ (list[i + 1]) : found + glue + list[i + 1];
    }
    return found;
  }

  /** @param {string} name */
  has(name) {
    const key = checkName(name);
    const list = this.#list;
    for (let i = 0; i < list.length; i += 2) if (list[i] === key) return true;
    return false;
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    const key = checkName(name);
    const text = checkValue(value);
    const list = this.#list;
    let placed = false;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] !== key) continue;
      if (!placed) {
        list[i + 1] = text;
        placed = true;
      } else {
        list.splice(i, 2);
        i -= 2;
      }
    }
    if (!placed) list.push(key, text);
  }

  /** @returns {string[]} */
  getSetCookie() {
    const list = this.#list;
    const found = [];
    for (let i = 0; i < list.length; i += 2)
      if (list[i] === 'set-cookie') found.push(/** @type {string} */ (list[i + 1]));
    return found;
  }

  /** @param {(value: string, name: string, headers: Headers) => void} callback @param {unknown} [self] */
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  /** Sorted by name, combined, `set-cookie` apart: what iteration shows. @returns {[string, string][]} */
  #sorted() {
    const list = this.#list;
    /** @type {Map<string, string>} */
    const joined = new Map();
    for (let i = 0; i < list.length; i += 2) {
      const name = /** @type {string} */ (list[i]);
      if (name !== 'set-cookie') joined.set(name, /** @type {string} */ (this.get(name)));
    }
    /** @type {[string, string][]} */
    const pairs = [
      ...joined,
      ...this.getSetCookie().map((value) => /** @type {[string, string]} */ (['set-cookie', value])),
    ];
    return pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  *entries() {
    // Re-read at each step, as the standard has it: headers may change while they are iterated.
    for (let i = 0; ; i++) {
      const pair = this.#sorted()[i];
      if (pair === undefined) return;
      yield pair;
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  get [Symbol.toStringTag]() {
    return 'Headers';
  }

  [Symbol.for('nodejs.util.inspect.custom')](
    /** @type {number} */ _depth,
    /** @type {any} */ options,
    /** @type {any} */ inspect,
  ) {
    return `Headers ${inspect(Object.fromEntries(this.#sorted()), options)}`;
  }
}
Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries,
  writable: true,
  configurable: true,
});

module.exports = { Headers, TRUSTED };
