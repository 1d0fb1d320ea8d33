// @ts-check
'use strict';
/** The web-standard shape: `(Request) → Response`, `{ fetch }`. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { requestOf } = require('./web-request.cjs');
const { Response, plain } = require('./web-response.cjs');
const { line } = require('../lib/head.cjs');
const { fail, settle, respondValue, checkStatus } = require('../lib/answer.cjs');
const { refuseUpgrade } = require('./node-http.cjs');

/**
 * @param {ExchangeType} exchange @param {any} value what the handler gave
 * @returns {Promise<void> | undefined}
 */
function answer(exchange, value) {
  if (value instanceof Response) {
    const whole = plain(value);
    if (whole === undefined) return pump(exchange, value);
    exchange.respond(whole.status === 0 ? 502 : whole.status, whole.headers, whole.body);
    return undefined;
  }
  // A Response of another implementation (a polyfill, an npm undici): same members, other class.
  if (
    typeof value === 'object' &&
    value !== null &&
    typeof value.arrayBuffer === 'function' &&
    typeof value.headers?.get === 'function'
  ) {
    return pump(exchange, value);
  }
  if (value === undefined) {
    throw new TypeError('The handler returned undefined; a web-standard handler returns a Response');
  }
  // A plain result object, as other platforms' handlers return: understood rather than refused.
  if (
    typeof value === 'object' &&
    value !== null &&
    ('statusCode' in value || ('status' in value && 'body' in value))
  ) {
    return respondValue(
      exchange,
      checkStatus(value.statusCode ?? value.status, 200),
      value.headers,
      value.body,
    );
  }
  return respondValue(exchange, undefined, null, value);
}

/** Streams a Response. @param {ExchangeType} exchange @param {any} response */
async function pump(exchange, response) {
  if (response.bodyUsed) throw new TypeError('Body is unusable: Body has already been read');
  let headers = '';
  for (const [name, value] of response.headers) {
    // fetch() has undone the coding of what it received but left its headers in place: they would lie.
    if (
      response.url &&
      (name === 'content-encoding' || (name === 'content-length' && response.headers.has('content-encoding')))
    )
      continue;
    headers += line(name, value);
  }
  const status = response.status === 0 ? 502 : response.status;
  const { body } = response;
  if (body === null) {
    exchange.respond(status, headers, '');
    return;
  }
  exchange.start(status, headers);
  if (exchange.method === 'HEAD') {
    exchange.end();
    await body.cancel();
    return;
  }
  const reader = body.getReader();
  const cancel = (/** @type {Error} */ error) => reader.cancel(error).catch(() => {});
  exchange.onabort(cancel);
  for (;;) {
    const { done, value } = await reader.read();
    if (exchange.aborted !== null) {
      cancel(exchange.aborted);
      return;
    }
    if (done) break;
    const chunk = typeof value === 'string' ? Buffer.from(value) : value;
    if (!(chunk instanceof Uint8Array))
      throw new TypeError('A stream of a response body must give Uint8Array chunks');
    if (!exchange.write(chunk)) await exchange.drained();
  }
  exchange.end();
}

/** Work that outlives the answer, as edge platforms offer it; here the process lives on anyway. */
const context = {
  /** @param {unknown} promise */
  waitUntil(promise) {
    Promise.resolve(promise).catch((error) => console.error(error));
  },
  passThroughOnException() {},
};

/**
 * @param {(request: any, env: any, context: any) => unknown} handler @param {unknown} [self]
 * @returns {(exchange: ExchangeType) => void}
 */
function fetchShape(handler, self) {
  return (exchange) => {
    if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade') {
      refuseUpgrade(exchange);
      return;
    }
    let result;
    try {
      result = handler.call(self, requestOf(exchange), process.env, context);
    } catch (error) {
      fail(exchange, error);
      return;
    }
    settle(exchange, result, answer);
  };
}

module.exports = { fetchShape, answer };
