// @ts-check
'use strict';
/**
 * The web-standard classes in the place of the engine's, for user code of every shape.
 *
 * Naming the engine's `Request` or `Response` loads its whole fetch implementation: 30–40 ms and 6 MB in an instance that may
 * never make a request, and 13 µs for each Response. Ours keep a body at rest and parse nothing unasked. The engine's is
 * loaded by the first `fetch()`; what that returns is `instanceof` these classes too.
 */

const { Headers } = require('./web-headers.cjs');
const { Request, forFetch, nativeFetch } = require('./web-request.cjs');
const { Response, knowNative, nativeResponse } = require('./web-response.cjs');

/** @this {any} @param {any} value */
function headersHasInstance(value) {
  if (this !== Headers) return Function.prototype[Symbol.hasInstance].call(this, value);
  if (typeof value !== 'object' || value === null) return false;
  if (Headers.list(value) !== undefined) return true;
  const Native = nativeResponse();
  return Native !== undefined && Object.prototype.toString.call(value) === '[object Headers]';
}

/** Puts the classes in place. Idempotent. */
function install() {
  Object.defineProperty(Headers, Symbol.hasInstance, { value: headersHasInstance, configurable: true });
  const define = (/** @type {string} */ name, /** @type {unknown} */ value, enumerable = false) => {
    // Deleted first: defining over the engine's lazy property would load what it stands for.
    Reflect.deleteProperty(globalThis, name);
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable });
  };
  define('Request', Request);
  define('Response', Response);
  define('Headers', Headers);
  const { fetch } = {
    /** @param {any} input @param {any} [init] */
    async fetch(input, init) {
      return knowNative(await nativeFetch(...forFetch(input, init)));
    },
  };
  define('fetch', fetch, true);
}

module.exports = { install };
