// @ts-check
'use strict';
/** `Response` of the Fetch standard, as user code makes them. */

const { Headers, TRUSTED } = require('./web-headers.cjs');
const { Body, extract, defineReaders } = require('./web-body.cjs');
const { line } = require('../lib/head.cjs');
const { nativeFetch } = require('./web-request.cjs');

/** Statuses that come without a body. */
const NULL_BODY = new Set([101, 103, 204, 205, 304]);

/** The engine's own Response, known from its first one; before that there is none to recognise. @type {any} */
let Native;

class Response {
  #status = 200;
  #statusText = '';
  /** @type {Headers} */
  #headers;
  /** @type {Body | null} */
  #body = null;
  #type = 'default';

  /** @param {any} [body] @param {any} [init] */
  constructor(body, init) {
    if (init !== undefined && init !== null) {
      if (typeof init !== 'object' && typeof init !== 'function')
        throw new TypeError('Response constructor: init must be an object');
      const { status, statusText, headers } = init;
      if (status !== undefined) {
        const code = Number(status) & 0xffff;
        if (code < 200 || code > 599)
          throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
        this.#status = code;
      }
      if (statusText !== undefined) {
        const text = String(statusText);
        if (text !== '' && /[^\t\x20-\x7e\x80-\xff]/.test(text)) throw new TypeError('Invalid statusText');
        this.#statusText = text;
      }
      this.#headers = headers === undefined ? new Headers(TRUSTED, []) : new Headers(headers);
    } else this.#headers = new Headers(TRUSTED, []);
    if (body === undefined || body === null) return;
    if (NULL_BODY.has(this.#status))
      throw new TypeError(`Response constructor: Invalid response status code ${this.#status}`);
    const { body: extracted, type } = extract(body);
    this.#body = extracted;
    if (type !== undefined) {
      const list = /** @type {string[]} */ (Headers.list(this.#headers));
      if (!list.includes('content-type')) list.push('content-type', type);
    }
  }

  /** @param {unknown} value */
  static [Symbol.hasInstance](value) {
    // biome-ignore lint/complexity/noThisInStatic: a subclass inherits this, and asks about itself
    if (this !== Response) return Function.prototype[Symbol.hasInstance].call(this, value);
    return (
      typeof value === 'object' &&
      value !== null &&
      (#status in value || (Native !== undefined && value instanceof Native))
    );
  }

  /**
   * What the gateway is sent of a response at rest; its body counts as read.
   * @param {any} value @returns {{status: number, headers: string, body: string | Uint8Array} | undefined} undefined for a stream, or another implementation's
   */
  static plain(value) {
    if (!(#status in value)) return undefined;
    const body = value.#body;
    if (body !== null) {
      if (body.kind !== 'value') return undefined;
      if (body.used) throw new TypeError('Body is unusable: Body has already been read');
      body.used = true;
    }
    const list = /** @type {string[]} */ (Headers.list(value.#headers));
    let headers = '';
    for (let i = 0; i < list.length; i += 2)
      headers += line(/** @type {string} */ (list[i]), /** @type {string} */ (list[i + 1]));
    return { status: value.#status, headers, body: body === null ? '' : /** @type {string} */ (body.source) };
  }

  /** @param {unknown} data @param {any} [init] */
  static json(data, init) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError('Value is not JSON serializable');
    const response = new Response(null, init);
    if (NULL_BODY.has(response.#status))
      throw new TypeError(`Response constructor: Invalid response status code ${response.#status}`);
    response.#body = new Body('value', text);
    const list = /** @type {string[]} */ (Headers.list(response.#headers));
    if (!list.includes('content-type')) list.push('content-type', 'application/json');
    return response;
  }
  /** @param {string | URL} url @param {number} [status] */
  static redirect(url, status = 302) {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`Invalid status code ${status}`);
    return new Response(null, { status, headers: { location: new URL(url).href } });
  }
  static error() {
    const response = new Response();
    response.#type = 'error';
    response.#status = 0;
    return response;
  }
  /** @param {Response} response */
  static body(response) {
    return response.#body;
  }

  get status() {
    return this.#status;
  }
  get statusText() {
    return this.#statusText;
  }
  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }
  get headers() {
    return this.#headers;
  }
  get redirected() {
    return false;
  }
  get type() {
    return this.#type;
  }
  get url() {
    return '';
  }
  clone() {
    const copy = new Response(null, { statusText: this.#statusText, headers: this.#headers });
    copy.#status = this.#status;
    copy.#type = this.#type;
    copy.#body = this.#body === null ? null : this.#body.copy();
    return copy;
  }
  get [Symbol.toStringTag]() {
    return 'Response';
  }
  [Symbol.for('nodejs.util.inspect.custom')](
    /** @type {number} */ _depth,
    /** @type {any} */ options,
    /** @type {any} */ inspect,
  ) {
    const { status, statusText, headers } = this;
    return `Response ${inspect({ status, statusText, headers }, options)}`;
  }
}
defineReaders(Response.prototype, Response.body, nativeFetch);
const { plain } = Response;
for (const name of ['body', 'plain']) Reflect.deleteProperty(Response, name);

/** @param {any} response one the engine has made */
function knowNative(response) {
  Native ??= response.constructor;
  return response;
}
/** @returns {any} the engine's Response class, once it has made one */
function nativeResponse() {
  return Native;
}

module.exports = { Response, plain, knowNative, nativeResponse };
