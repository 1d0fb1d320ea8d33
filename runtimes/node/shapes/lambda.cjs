// @ts-check
'use strict';
/** The AWS Lambda shape: `handler(event, context[, callback])` with an API Gateway HTTP API event, payload version 2.0. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { fail, settle, respondValue, checkStatus, JSON_TYPE } = require('../lib/answer.cjs');
const { blockOf, line, nodeHeaders } = require('../lib/head.cjs');

const TEXTUAL =
  /^(text\/|application\/(json|xml|javascript|x-www-form-urlencoded|graphql|[\w.+-]*\+(json|xml)))/i;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `12/Mar/2020:19:03:58 +0000` @param {Date} date */
function clfTime(date) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}

/** @param {ExchangeType} exchange @param {Buffer} raw */
function eventOf(exchange, raw) {
  const { method, target } = exchange;
  const mark = target.indexOf('?');
  const encodedPath = mark < 0 ? target : target.slice(0, mark);
  const search = mark < 0 ? '' : target.slice(mark + 1);
  let path = encodedPath;
  try {
    path = decodeURIComponent(encodedPath);
  } catch {}
  const all = nodeHeaders(exchange.headerList);
  /** @type {Record<string, string>} */
  const headers = {};
  /** @type {string[] | undefined} */
  let cookies;
  for (const name in all) {
    const value = all[name];
    if (name === 'cookie') cookies = String(value).split(/; */);
    else headers[name] = Array.isArray(value) ? value.join(',') : /** @type {string} */ (value);
  }
  /** @type {Record<string, string> | undefined} */
  let query;
  if (search !== '') {
    /** @type {Map<string, string>} */
    const joined = new Map();
    for (const [name, value] of new URLSearchParams(search)) {
      const old = joined.get(name);
      joined.set(name, old === undefined ? value : `${old},${value}`);
    }
    query = Object.fromEntries(joined);
  }
  const now = new Date();
  const base64 =
    raw.length > 0 &&
    (!TEXTUAL.test(headers['content-type'] ?? 'text/plain') || headers['content-encoding'] !== undefined);
  /** @type {Record<string, unknown>} */
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: search,
    headers,
    requestContext: {
      accountId: 'anonymous',
      apiId: process.env.K_SERVICE ?? 'petrel',
      domainName: headers.host ?? '',
      domainPrefix: (headers.host ?? '').split('.')[0],
      http: {
        method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: (headers['x-forwarded-for'] ?? '').split(',').pop()?.trim() ?? '',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: exchange.requestId || crypto.randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: clfTime(now),
      timeEpoch: now.getTime(),
    },
    isBase64Encoded: base64,
  };
  if (cookies !== undefined) event.cookies = cookies;
  if (query !== undefined) event.queryStringParameters = query;
  if (raw.length > 0) event.body = base64 ? raw.toString('base64') : raw.toString();
  return event;
}

/** A string is an answer of its own; an object with `statusCode` is one in parts; anything else is JSON. @param {ExchangeType} exchange @param {any} value */
function answer(exchange, value) {
  if (typeof value === 'object' && value !== null && value.statusCode !== undefined) {
    let block = blockOf(value.headers);
    for (const [name, values] of Object.entries(value.multiValueHeaders ?? {}))
      block += blockOf({ [name]: values });
    for (const cookie of value.cookies ?? []) block += line('set-cookie', String(cookie));
    const status = checkStatus(value.statusCode, 200);
    const { body } = value;
    if (value.isBase64Encoded && typeof body === 'string') {
      return respondValue(exchange, status, block, Buffer.from(body, 'base64'));
    }
    return respondValue(exchange, status, block, body ?? '', JSON_TYPE);
  }
  if (value === undefined) return respondValue(exchange, 200, JSON_TYPE, '');
  if (value === null) return respondValue(exchange, 200, JSON_TYPE, 'null');
  return respondValue(exchange, 200, null, value, JSON_TYPE);
}

/**
 * @param {(event: any, context: any, callback: any) => unknown} handler @param {{name: string, timeoutMs: number}} settings
 * @returns {(exchange: ExchangeType) => void}
 */
function lambda(handler, { name, timeoutMs }) {
  return (exchange) => {
    const deadline = Date.now() + timeoutMs;
    const run = (/** @type {Buffer} */ raw) => {
      const event = eventOf(exchange, raw);
      return new Promise((resolve, reject) => {
        const callback = (/** @type {unknown} */ error, /** @type {unknown} */ result) =>
          error ? reject(error) : resolve(result);
        const context = {
          callbackWaitsForEmptyEventLoop: true,
          functionName: name,
          functionVersion: process.env.K_REVISION ?? '$LATEST',
          invokedFunctionArn: `arn:aws:lambda:local:000000000000:function:${name}`,
          memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? '0',
          awsRequestId: exchange.requestId || crypto.randomUUID(),
          logGroupName: name,
          logStreamName: process.env.K_REVISION ?? name,
          getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
          done: callback,
          fail: (/** @type {unknown} */ error) => reject(error ?? new Error('the function failed')),
          succeed: resolve,
        };
        const result = handler(event, context, callback);
        // A promise always counts. A plain value does not where there is a callback: arrow functions return by accident.
        // `context.succeed` called in time wins over the undefined of a handler that takes no callback.
        const promised =
          result !== null &&
          typeof result === 'object' &&
          typeof (/** @type {any} */ (result).then) === 'function';
        if (promised || handler.length < 3) resolve(result);
      });
    };
    const result = exchange.hasBody ? exchange.readAll().then(run) : runNow(run, exchange);
    if (result !== undefined) settle(exchange, result, answer);
  };
}

/** @param {(raw: Buffer) => Promise<unknown>} run @param {ExchangeType} exchange */
function runNow(run, exchange) {
  try {
    return run(Buffer.alloc(0));
  } catch (error) {
    fail(exchange, error);
    return undefined;
  }
}

module.exports = { lambda };
