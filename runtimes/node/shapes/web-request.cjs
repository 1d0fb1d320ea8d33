// @ts-check
'use strict';
/** `Request` of the Fetch standard, for the request of an exchange (nothing is parsed until it is asked for) and for those user code makes. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { Headers, TRUSTED } = require('./web-headers.cjs');
const { Body, extract, defineReaders, abortReason } = require('./web-body.cjs');

/** The engine's fetch, as it was before ours took its name. */
const nativeFetch = globalThis.fetch;
/** Key that lets our own code make a Request from an exchange. */
const EXCHANGE = Symbol('exchange');
const NORMALISED = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Members that are only carried along to `fetch`, with their defaults. */
const CARRIED = {
  cache: 'default',
  credentials: 'same-origin',
  integrity: '',
  keepalive: false,
  mode: 'cors',
  redirect: 'follow',
  referrer: 'about:client',
  referrerPolicy: '',
};

/** @param {unknown} method */
function checkMethod(method) {
  const text = String(method);
  if (!TOKEN.test(text) || /^(connect|trace|track)$/i.test(text))
    throw new TypeError(`'${text}' is not a valid HTTP method.`);
  const upper = text.toUpperCase();
  return NORMALISED.has(upper) ? upper : text;
}

class Request {
  /** @type {ExchangeType | undefined} */
  #exchange;
  /** @type {string | undefined} */
  #url;
  /** @type {string} */
  #method;
  /** @type {Headers | undefined} */
  #headers;
  /** @type {AbortSignal | undefined} */
  #signal;
  /** @type {Body | null | undefined} */
  #body;
  /** @type {Record<string, unknown> | undefined} what was given of CARRIED */
  #carried;

  /** @param {any} input @param {any} [init] */
  constructor(input, init) {
    if (input === EXCHANGE) {
      this.#exchange = init;
      this.#method = init.method;
      return;
    }
    // biome-ignore lint/complexity/noArguments: the standard tells no argument from undefined, and length is 1
    if (arguments.length === 0)
      throw new TypeError('Request constructor: 1 argument required, but only 0 present.');
    if (init !== undefined && init !== null && typeof init !== 'object' && typeof init !== 'function') {
      throw new TypeError('Request constructor: init must be an object');
    }
    const from =
      typeof input === 'object' && input !== null && #method in input
        ? /** @type {Request} */ (input)
        : undefined;
    if (from === undefined) {
      let url;
      try {
        url = new URL(String(input?.url ?? input));
      } catch (cause) {
        throw new TypeError(`Failed to parse URL from ${String(input)}`, { cause });
      }
      if (url.username !== '' || url.password !== '')
        throw new TypeError(
          `Request cannot be constructed from a URL that includes credentials: ${String(input)}`,
        );
      this.#url = url.href;
    } else this.#url = from.url;
    this.#method = init?.method === undefined ? (from?.method ?? 'GET') : checkMethod(init.method);
    this.#headers = new Headers(init?.headers ?? from?.headers ?? undefined);
    this.#signal = init?.signal === undefined ? from?.signal : (init.signal ?? undefined);
    const carried = { ...(from === undefined ? undefined : from.#carried) };
    for (const name in CARRIED)
      if (init?.[name] !== undefined) /** @type {any} */ (carried)[name] = init[name];
    this.#carried = carried;
    this.#body = null;
    const given = init?.body;
    if (given !== undefined && given !== null) {
      if (this.#method === 'GET' || this.#method === 'HEAD')
        throw new TypeError('Request with GET/HEAD method cannot have body.');
      const { body, type } = extract(given);
      if (body.kind === 'stream' && init.duplex !== 'half')
        throw new TypeError('RequestInit: duplex option is required when sending a body.');
      this.#body = body;
      if (type !== undefined && !this.#headers.has('content-type'))
        this.#headers.append('content-type', type);
    } else if (from !== undefined) {
      const body = from.#getBody();
      if (body !== null) {
        if (this.#method === 'GET' || this.#method === 'HEAD')
          throw new TypeError('Request with GET/HEAD method cannot have body.');
        this.#body = body.move();
      }
    }
  }

  /** @param {unknown} value */
  static [Symbol.hasInstance](value) {
    // biome-ignore lint/complexity/noThisInStatic: a subclass inherits this, and asks about itself
    if (this !== Request) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && #method in value;
  }

  /** Arguments for the engine's fetch. @param {any} value @param {any} [init] @returns {[any, any]} */
  static forFetch(value, init) {
    if (typeof value !== 'object' || value === null || !(#method in value)) return [value, init];
    const request = init === undefined ? value : new Request(value, init);
    const body = request.#getBody();
    /** @type {any} */
    const own = {
      ...request.#carried,
      ...init,
      method: request.method,
      headers: [...request.headers],
      signal: request.signal,
    };
    if (own.mode === 'navigate') delete own.mode;
    if (body !== null) {
      const moved = body.move();
      own.body = moved.kind === 'value' || moved.kind === 'blob' ? moved.source : moved.asStream();
      own.duplex = 'half';
    }
    return [request.url, own];
  }

  #getBody() {
    if (this.#body === undefined) {
      const exchange = this.#exchange;
      this.#body =
        exchange?.hasBody && this.#method !== 'GET' && this.#method !== 'HEAD'
          ? new Body('exchange', exchange)
          : null;
    }
    return this.#body;
  }
  /** @param {Request} request */
  static body(request) {
    return request.#getBody();
  }

  get method() {
    return this.#method;
  }
  get url() {
    // Through URL, for the same spelling everywhere; a target that is none is shown as it came.
    if (this.#url === undefined) {
      const { url } = /** @type {ExchangeType} */ (this.#exchange);
      this.#url = URL.parse(url)?.href ?? url;
    }
    return this.#url;
  }
  get headers() {
    this.#headers ??= new Headers(TRUSTED, /** @type {ExchangeType} */ (this.#exchange).headerList.slice());
    return this.#headers;
  }
  get signal() {
    if (this.#signal === undefined) {
      const controller = new AbortController();
      this.#signal = controller.signal;
      const exchange = this.#exchange;
      if (exchange !== undefined) {
        const { aborted } = exchange;
        if (aborted === null) exchange.onabort((error) => controller.abort(abortReason(error)));
        else if (aborted.code !== 'ABORT_ERR') controller.abort(abortReason(aborted));
      }
    }
    return this.#signal;
  }
  clone() {
    const body = this.#getBody();
    const copy = new Request(this.url, {
      ...this.#carried,
      method: this.#method,
      headers: this.headers,
      signal: this.signal,
    });
    copy.#body = body === null ? null : body.copy();
    return copy;
  }
  get destination() {
    return '';
  }
  get duplex() {
    return 'half';
  }
  get isHistoryNavigation() {
    return false;
  }
  get isReloadNavigation() {
    return false;
  }
  get [Symbol.toStringTag]() {
    return 'Request';
  }
  /** @param {string} name */
  carried(name) {
    return this.#carried?.[name] ?? /** @type {any} */ (CARRIED)[name];
  }
  [Symbol.for('nodejs.util.inspect.custom')](
    /** @type {number} */ _depth,
    /** @type {any} */ options,
    /** @type {any} */ inspect,
  ) {
    const { method, url, headers } = this;
    return `Request ${inspect({ method, url, headers }, options)}`;
  }
}
const { carried } = Request.prototype;
Reflect.deleteProperty(Request.prototype, 'carried');
for (const name of Object.keys(CARRIED)) {
  Object.defineProperty(Request.prototype, name, {
    get() {
      return carried.call(this, name);
    },
    enumerable: true,
    configurable: true,
  });
}
defineReaders(Request.prototype, Request.body, nativeFetch);
const { forFetch } = Request;
for (const name of ['body', 'forFetch']) Reflect.deleteProperty(Request, name);

/** @param {ExchangeType} exchange @returns {Request} */
function requestOf(exchange) {
  return new Request(EXCHANGE, exchange);
}

module.exports = { Request, requestOf, forFetch, nativeFetch };
