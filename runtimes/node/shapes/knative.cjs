// @ts-check
'use strict';
/** The Knative func shape: `handle(context, event)`, HTTP and CloudEvents (binary and structured mode, HTTP binding 1.0.2). */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const {
  settle,
  respondValue,
  checkStatus,
  parseBody,
  splitTarget,
  fail,
  JSON_TYPE,
} = require('../lib/answer.cjs');
const { blockOf, line, nodeHeaders, checkValue } = require('../lib/head.cjs');

const STRUCTURED = 'application/cloudevents+json';

/** A CloudEvent as handlers see it: attributes as properties, `data` decoded. */
class CloudEvent {
  /** @param {Record<string, unknown>} attributes */
  constructor(attributes) {
    Object.assign(this, { specversion: '1.0' }, attributes);
  }
  /** @param {Record<string, unknown>} changes */
  cloneWith(changes) {
    return new CloudEvent({ ...this, ...changes });
  }
  toJSON() {
    const { data, ...rest } = /** @type {any} */ (this);
    if (data instanceof Uint8Array) return { ...rest, data_base64: Buffer.from(data).toString('base64') };
    return data === undefined ? rest : { ...rest, data };
  }
  toString() {
    return JSON.stringify(this);
  }
}

/** The HTTP binding percent-encodes what headers cannot carry. @param {string} value */
function decodeAttribute(value) {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** @param {unknown} value */
function encodeAttribute(value) {
  return String(value).replace(/[^\x21\x23\x24\x26-\x7e]+/gu, (part) => encodeURIComponent(part));
}

/**
 * @param {Record<string, any>} headers @param {Buffer} raw @param {unknown} body
 * @returns {CloudEvent | CloudEvent[] | undefined} undefined when the request carries none
 */
function cloudEventOf(headers, raw, body) {
  const type = String(headers['content-type'] ?? '')
    .split(';', 1)[0]
    ?.trim()
    .toLowerCase();
  const fromJson = (/** @type {any} */ { data_base64, ...rest }) =>
    new CloudEvent(data_base64 === undefined ? rest : { ...rest, data: Buffer.from(data_base64, 'base64') });
  if (type === STRUCTURED) return fromJson(JSON.parse(raw.toString()));
  if (type === 'application/cloudevents-batch+json') return JSON.parse(raw.toString()).map(fromJson);
  if (headers['ce-specversion'] === undefined || headers['ce-type'] === undefined) return undefined;
  /** @type {Record<string, unknown>} */
  const attributes = {};
  for (const name in headers)
    if (name.startsWith('ce-')) attributes[name.slice(3)] = decodeAttribute(headers[name]);
  if (headers['content-type'] !== undefined) attributes.datacontenttype = headers['content-type'];
  if (body !== undefined) attributes.data = body;
  return new CloudEvent(attributes);
}

/** @param {any} value */
function isCloudEvent(value) {
  return (
    typeof value.specversion === 'string' &&
    typeof value.type === 'string' &&
    value.source !== undefined &&
    value.id !== undefined
  );
}

/** A CloudEvent goes out in binary mode. @param {ExchangeType} exchange @param {any} event */
function answerEvent(exchange, event) {
  let block = '';
  for (const name of Object.keys(event)) {
    const value = event[name];
    if (name === 'data' || name === 'data_base64' || name === 'datacontenttype') continue;
    if (value === undefined || value === null || typeof value === 'function' || typeof value === 'object')
      continue;
    block += line(`ce-${name.toLowerCase()}`, checkValue(encodeAttribute(value)));
  }
  const data =
    event.data_base64 !== undefined && event.data === undefined
      ? Buffer.from(event.data_base64, 'base64')
      : event.data;
  if (event.datacontenttype !== undefined) block += line('content-type', checkValue(event.datacontenttype));
  if (typeof data === 'string' && event.datacontenttype?.includes('json')) {
    return respondValue(exchange, 200, block, JSON.stringify(data));
  }
  return respondValue(exchange, data === undefined || data === null ? 204 : 200, block, data);
}

/** @param {ExchangeType} exchange @param {any} value */
function answer(exchange, value) {
  if (value === undefined || value === null) {
    exchange.respond(204, '', '');
    return undefined;
  }
  if (typeof value === 'object' && !(value instanceof Uint8Array)) {
    if (isCloudEvent(value)) return answerEvent(exchange, value);
    if (value.statusCode !== undefined || value.body !== undefined) {
      const status = checkStatus(value.statusCode, 200);
      // A CloudEvent as the body of a structured return keeps its own headers beside the given ones.
      if (value.body && typeof value.body === 'object' && isCloudEvent(value.body)) {
        const event = value.body;
        const block = blockOf(value.headers);
        return respondValue(
          exchange,
          status,
          `${block}content-type: ${STRUCTURED}\r\n`,
          JSON.stringify(event),
        );
      }
      return respondValue(exchange, status, value.headers, value.body ?? '');
    }
  }
  return respondValue(exchange, 200, null, value);
}

const log = Object.fromEntries(
  /** @type {const} */ ([
    ['trace', 'debug'],
    ['debug', 'debug'],
    ['info', 'info'],
    ['warn', 'warn'],
    ['error', 'error'],
    ['fatal', 'error'],
  ]).map(([level, method]) => [level, (/** @type {unknown[]} */ ...args) => console[method](...args)]),
);

class Context {
  /** @param {ExchangeType} exchange @param {Buffer} raw */
  constructor(exchange, raw) {
    const { query } = splitTarget(exchange.target);
    this.log = log;
    this.method = exchange.method;
    this.url = exchange.target;
    this.query = query;
    /** @type {Record<string, any>} */
    this.headers = nodeHeaders(exchange.headerList);
    this.headersRaw = exchange.headerList;
    this.httpVersion = '1.1';
    this.httpVersionMajor = 1;
    this.httpVersionMinor = 1;
    this.body = parseBody(raw, this.headers['content-type']);
    this.rawBody = raw;
    /** @type {CloudEvent | CloudEvent[] | undefined} */
    this.cloudevent = cloudEventOf(this.headers, raw, this.body);
    const { method, target } = exchange;
    this.req = {
      method,
      url: target,
      headers: this.headers,
      rawHeaders: this.headersRaw,
      query,
      body: this.body,
      rawBody: raw,
    };
  }
  /** The same event under the name newer handlers use. */
  get cloudEvent() {
    return this.cloudevent;
  }
  /** Starts a CloudEvent to answer with: `.type(…).source(…).response()`. @param {unknown} data */
  cloudEventResponse(data) {
    /** @type {Record<string, unknown>} */
    const event = {
      id: crypto.randomUUID(),
      type: 'function.response',
      source: `/${process.env.K_SERVICE ?? 'function'}`,
      data,
    };
    const builder = {
      response: () => new CloudEvent(event),
      .../** @type {any} */ (
        Object.fromEntries(
          [
            ['version', 'specversion'],
            ['id', 'id'],
            ['type', 'type'],
            ['source', 'source'],
          ].map(([method, attribute]) => [
            method,
            (/** @type {unknown} */ value) => {
              event[/** @type {string} */ (attribute)] = value;
              return builder;
            },
          ]),
        )
      ),
    };
    return builder;
  }
}

/**
 * @param {(context: any, event?: any) => unknown} handler @param {unknown} [self]
 * @returns {(exchange: ExchangeType) => void}
 */
function knative(handler, self) {
  const run = (/** @type {ExchangeType} */ exchange, /** @type {Buffer} */ raw) => {
    let context;
    try {
      context = new Context(exchange, raw);
    } catch (error) {
      const message = `not a valid CloudEvent: ${/** @type {Error} */ (error).message}`;
      exchange.respond(
        400,
        JSON_TYPE,
        JSON.stringify({
          component: 'function',
          reason: 'bad_event',
          requestId: exchange.requestId,
          message,
        }),
      );
      return;
    }
    try {
      settle(exchange, handler.call(self, context, context.cloudevent ?? context.body), answer);
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

module.exports = { knative, CloudEvent };
