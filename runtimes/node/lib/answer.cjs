// @ts-check
'use strict';
/** Answers that several shapes share: the 500 of a handler that failed, and values turned into responses. */

/** @typedef {InstanceType<typeof import('./exchange.cjs').Exchange>} ExchangeType */

const { blockOf, blockHas } = require('./head.cjs');

/** Settings of the specialised instance that answers depend on. */
const settings = { development: false };

const JSON_TYPE = 'content-type: application/json\r\n';
const TEXT_TYPE = 'content-type: text/plain; charset=utf-8\r\n';
const HTML_TYPE = 'content-type: text/html; charset=utf-8\r\n';
const BYTES_TYPE = 'content-type: application/octet-stream\r\n';

/** @param {unknown} error @returns {string} */
function messageOf(error) {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  if (typeof error === 'object' && error !== null) {
    const { name, message } = /** @type {any} */ (error);
    if (typeof message === 'string') return typeof name === 'string' ? `${name}: ${message}` : message;
    try {
      return JSON.stringify(error);
    } catch {}
  }
  return String(error);
}

/** @param {unknown} error @returns {string} stack, or the message when there is none */
function stackOf(error) {
  const stack = /** @type {any} */ (error)?.stack;
  return typeof stack === 'string' ? stack : messageOf(error);
}

/**
 * The handler threw or rejected: 500, or, when the head is out already, a reset.
 * @param {ExchangeType} exchange @param {unknown} error @param {string} [logged] what the log says, when it has the whole already
 */
function fail(exchange, error, logged = stackOf(error)) {
  if (exchange.aborted !== null || exchange.finished) return;
  process.stderr.write(`petrel: request ${exchange.requestId} failed: ${logged}\n`);
  if (exchange.started) {
    exchange.reset(
      'handler_error',
      settings.development ? messageOf(error) : 'the function failed after its answer had begun',
    );
    return;
  }
  /** @type {Record<string, unknown>} */
  const body = { component: 'function', reason: 'function_error', requestId: exchange.requestId };
  if (settings.development) {
    body.message = messageOf(error);
    body.stack = stackOf(error);
  }
  exchange.respond(500, JSON_TYPE, JSON.stringify(body));
}

/**
 * Says no to a request that is nothing for the handler. @param {ExchangeType} exchange @param {number} status
 * @param {string} reason one word @param {string} message
 */
function refuse(exchange, status, reason, message) {
  const body = { component: 'function', reason, requestId: exchange.requestId, message };
  exchange.respond(status, JSON_TYPE, JSON.stringify(body));
}

/** @param {string} block @param {string} type header line */
function withType(block, type) {
  return blockHas(block, 'content-type') ? block : block + type;
}

/** @param {unknown} status @param {number} fallback @returns {number} @throws {RangeError} */
function checkStatus(status, fallback) {
  if (status === undefined || status === null) return fallback;
  const number = Number(status);
  if (!Number.isInteger(number) || number < 200 || number > 599) {
    throw new RangeError(
      `The handler returned status ${String(status)}; a status is a whole number from 200 to 599`,
    );
  }
  return number;
}

/**
 * Streams an async iterable, with back-pressure; the iterator is closed when the client goes away.
 * @param {ExchangeType} exchange @param {number} status @param {string} headers block @param {AsyncIterable<any> | Iterable<any>} source
 */
async function stream(exchange, status, headers, source) {
  exchange.start(status, headers);
  if (exchange.method === 'HEAD') {
    exchange.end();
    return;
  }
  for await (const chunk of source) {
    if (exchange.finished) break;
    if (!exchange.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) await exchange.drained();
  }
  exchange.end();
}

/**
 * Answers with a value by its type: string → text, bytes → octet-stream, nothing → 204, an iterable of chunks or a
 * stream → streamed, anything else → JSON. A `content-type` of the handler's own wins.
 * @param {ExchangeType} exchange @param {number | undefined} status
 * @param {Record<string, unknown> | string | null | undefined} headers map, or a block already
 * @param {unknown} body @param {string} [textType] header line for strings
 * @returns {Promise<void> | undefined}
 */
function respondValue(exchange, status, headers, body, textType = TEXT_TYPE) {
  const block = typeof headers === 'string' ? headers : blockOf(headers);
  if (body === undefined || body === null) {
    exchange.respond(status ?? 204, block, '');
  } else if (typeof body === 'string') {
    exchange.respond(status ?? 200, withType(block, textType), body);
  } else if (body instanceof Uint8Array) {
    exchange.respond(status ?? 200, withType(block, BYTES_TYPE), body);
  } else if (body instanceof ArrayBuffer) {
    exchange.respond(status ?? 200, withType(block, BYTES_TYPE), new Uint8Array(body));
  } else if (
    typeof body === 'object' &&
    typeof (/** @type {any} */ (body)[Symbol.asyncIterator]) === 'function'
  ) {
    return stream(exchange, status ?? 200, withType(block, BYTES_TYPE), /** @type {any} */ (body));
  } else {
    const text = JSON.stringify(body);
    if (text === undefined)
      throw new TypeError(`The handler returned a ${typeof body}, which has no JSON form`);
    exchange.respond(status ?? 200, withType(block, JSON_TYPE), text);
  }
  return undefined;
}

/**
 * Calls `answer` with what the handler gave, now or when its promise settles; whatever goes wrong becomes a 500.
 * @param {ExchangeType} exchange @param {unknown} result
 * @param {(exchange: ExchangeType, value: any) => unknown} answer
 */
function settle(exchange, result, answer) {
  if (
    result !== null &&
    typeof result === 'object' &&
    typeof (/** @type {any} */ (result).then) === 'function'
  ) {
    /** @type {PromiseLike<any>} */ (result).then(
      (value) => finish(exchange, value, answer),
      (error) => fail(exchange, error),
    );
  } else finish(exchange, result, answer);
}

/** @param {ExchangeType} exchange @param {unknown} value @param {(exchange: any, value: any) => unknown} answer */
function finish(exchange, value, answer) {
  try {
    const pending = answer(exchange, value);
    if (pending !== undefined) /** @type {Promise<void>} */ (pending).catch((error) => fail(exchange, error));
  } catch (error) {
    fail(exchange, error);
  }
}

/**
 * Decodes a body as its content type says: JSON, form, text; other types stay bytes.
 * @param {Buffer} raw @param {string | undefined} contentType @returns {unknown} undefined when empty
 */
function parseBody(raw, contentType) {
  if (raw.length === 0) return undefined;
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json' || type.endsWith('+json')) {
    try {
      return JSON.parse(raw.toString());
    } catch {
      return raw.toString(); // the handler decides what a body that is not what it says is worth
    }
  }
  if (type === 'application/x-www-form-urlencoded')
    return Object.fromEntries(new URLSearchParams(raw.toString()));
  if (type.startsWith('text/') || type === 'application/xml') return raw.toString();
  return raw;
}

/**
 * Path and query of a target. A parameter that is given several times becomes an array.
 * @param {string} target @returns {{path: string, search: string, query: Record<string, string | string[]>}}
 */
function splitTarget(target) {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const search = mark < 0 ? '' : target.slice(mark + 1);
  /** @type {Record<string, string | string[]>} */
  const query = {};
  if (search !== '') {
    for (const [name, value] of new URLSearchParams(search)) {
      const old = Object.hasOwn(query, name) ? query[name] : undefined;
      const next = old === undefined ? value : Array.isArray(old) ? [...old, value] : [old, value];
      // A query may name `__proto__`: defined, never assigned.
      Object.defineProperty(query, name, {
        value: next,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
  }
  return { path, search, query };
}

module.exports = {
  settings,
  messageOf,
  stackOf,
  fail,
  refuse,
  settle,
  respondValue,
  stream,
  checkStatus,
  parseBody,
  splitTarget,
  withType,
  JSON_TYPE,
  TEXT_TYPE,
  HTML_TYPE,
  BYTES_TYPE,
};
