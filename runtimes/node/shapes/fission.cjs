// @ts-check
'use strict';
/** The Fission shape: `async (context) => ({ status, body, headers })`, or `(context, callback)`. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const {
  settle,
  respondValue,
  checkStatus,
  parseBody,
  splitTarget,
  fail,
  HTML_TYPE,
} = require('../lib/answer.cjs');
const { blockOf, line, nodeHeaders, checkName, checkValue } = require('../lib/head.cjs');

/** What Fission's own environment hands over as `context.request`: the parts of express' request that make sense without a socket. */
class FissionRequest {
  /** @param {ExchangeType} exchange @param {Buffer} raw */
  constructor(exchange, raw) {
    const { path, query } = splitTarget(exchange.target);
    this.method = exchange.method;
    this.url = exchange.target;
    this.originalUrl = exchange.target;
    this.path = path;
    this.query = query;
    this.params = {};
    this.protocol = exchange.scheme;
    this.httpVersion = '1.1';
    /** @type {Record<string, any>} */
    this.headers = nodeHeaders(exchange.headerList);
    this.rawHeaders = exchange.headerList;
    this.hostname = String(this.headers.host ?? '').replace(/:\d+$/, '');
    this.ip =
      String(this.headers['x-forwarded-for'] ?? '')
        .split(',')
        .pop()
        ?.trim() ?? '';
    /** Decoded by content type; `{}` without a body, as express has it. */
    this.body = parseBody(raw, this.headers['content-type']) ?? {};
    /** The bytes as they came, for signatures. */
    this.rawBody = raw;
  }
  /** @param {string} name */
  get(name) {
    return this.headers[name.toLowerCase()];
  }
  /** @param {string} name */
  header(name) {
    return this.get(name);
  }
}

/** `context.response`: headers and status set here are part of the answer. */
class FissionResponse {
  constructor() {
    this.statusCode = 0;
    /** @type {Map<string, string | string[]>} */
    this.fields = new Map();
  }
  /** @param {number} code */
  status(code) {
    this.statusCode = code;
    return this;
  }
  /** @param {string | Record<string, string | string[]>} name @param {string | string[]} [value] */
  set(name, value) {
    if (typeof name === 'object')
      for (const key of Object.keys(name)) this.fields.set(checkName(key), /** @type {any} */ (name)[key]);
    else this.fields.set(checkName(name), /** @type {string} */ (value));
    return this;
  }
  /** @param {string} name @param {string | string[]} value */
  append(name, value) {
    const old = this.fields.get(checkName(name)) ?? [];
    this.fields.set(checkName(name), [old, value].flat());
    return this;
  }
  /** @param {string} name */
  get(name) {
    return this.fields.get(name.toLowerCase());
  }
  /** @param {string} name @param {string | string[]} value */
  setHeader(name, value) {
    return this.set(name, value);
  }
  /** @param {string} name @param {string | string[]} value */
  header(name, value) {
    return this.set(name, value);
  }
  block() {
    let block = '';
    for (const [name, value] of this.fields)
      for (const one of [value].flat()) block += line(name, checkValue(one));
    return block;
  }
}

/**
 * @param {(context: any, callback?: any) => unknown} handler @param {boolean} callbackStyle
 * @returns {(exchange: ExchangeType) => void}
 */
function fission(handler, callbackStyle) {
  const run = (/** @type {ExchangeType} */ exchange, /** @type {Buffer} */ raw) => {
    const response = new FissionResponse();
    const answer = (/** @type {any} */ _exchange, /** @type {any} */ value) => {
      if (value === undefined || value === null) {
        if (response.statusCode !== 0)
          return respondValue(exchange, checkStatus(response.statusCode, 200), response.block(), '');
        throw new TypeError(
          'The handler returned nothing; a Fission handler returns { status, body, headers }',
        );
      }
      const parts =
        typeof value === 'object' &&
        !(value instanceof Uint8Array) &&
        ('status' in value || 'body' in value || 'headers' in value);
      if (!parts)
        return respondValue(
          exchange,
          checkStatus(response.statusCode || undefined, 200),
          response.block(),
          value,
          HTML_TYPE,
        );
      const given = value.headers ?? {};
      const names = new Set(Object.keys(given).map((name) => name.toLowerCase()));
      for (const name of names) response.fields.delete(name);
      return respondValue(
        exchange,
        checkStatus(value.status || response.statusCode || undefined, 200),
        response.block() + blockOf(given),
        value.body ?? '',
        HTML_TYPE,
      );
    };
    try {
      const context = { request: new FissionRequest(exchange, raw), response };
      if (!callbackStyle) {
        settle(exchange, handler(context), answer);
        return;
      }
      const result = new Promise((resolve, reject) => {
        const callback = (
          /** @type {any} */ status,
          /** @type {unknown} */ body,
          /** @type {unknown} */ headers,
        ) =>
          resolve(
            typeof status === 'object' && status !== null && body === undefined
              ? status
              : { status, body, headers },
          );
        const returned = handler(context, callback);
        if (
          returned !== null &&
          typeof returned === 'object' &&
          typeof (/** @type {any} */ (returned).then) === 'function'
        ) {
          /** @type {Promise<any>} */ (returned).then(
            (value) => value !== undefined && resolve(value),
            reject,
          );
        }
      });
      settle(exchange, result, answer);
    } catch (error) {
      fail(exchange, error);
    }
  };
  return (exchange) => {
    if (!exchange.hasBody) run(exchange, Buffer.alloc(0));
    else
      exchange.readAll().then(
        (raw) => run(exchange, raw),
        (error) => fail(exchange, error),
      );
  };
}

module.exports = { fission };
