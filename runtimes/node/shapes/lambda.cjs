// @ts-check
'use strict';
/** The AWS Lambda shape: `handler(event, context[, callback])` with an API Gateway HTTP API event, payload version 2.0. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { fail, settle, stackOf, respondValue, checkStatus, JSON_TYPE } = require('../lib/answer.cjs');
const { blockOf, line, nodeHeaders } = require('../lib/head.cjs');

const TEXTUAL =
  /^(text\/|application\/(json|xml|javascript|x-www-form-urlencoded|graphql|[\w.+-]*\+(json|xml)))/i;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The gateway says it of an invocation through the Invoke API: the body is the event itself, and the result the answer's body. */
const RAW_EVENT = 'x-petrel-lambda-event';

/** On a handler that streams its answer: see `lambda-stream.cjs`, which is loaded with the first. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

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
 * A failure as the Invoke API tells it: status 200, and a header that says so.
 * @param {ExchangeType} exchange @param {string} errorType @param {string} errorMessage @param {string[]} stackTrace
 */
function respondError(exchange, errorType, errorMessage, stackTrace) {
  const block = JSON_TYPE + line('x-amz-function-error', 'Unhandled');
  exchange.respond(200, block, JSON.stringify({ errorType, errorMessage, stackTrace }));
}

/** What a caller of the Invoke API says of itself, checked before it came here. @param {ExchangeType} exchange @returns {any} */
function clientContextOf(exchange) {
  const encoded = exchange.header('x-amz-client-context');
  if (encoded === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(encoded, 'base64').toString());
  } catch {
    return undefined;
  }
}

/** What a handler gave for an event of the Invoke API. @param {ExchangeType} exchange @param {any} value */
function answerRaw(exchange, value) {
  exchange.respond(200, JSON_TYPE, JSON.stringify(value === undefined ? null : value));
}

/** @param {ExchangeType} exchange @param {unknown} error */
function failRaw(exchange, error) {
  if (exchange.aborted !== null || exchange.finished) return;
  process.stderr.write(`petrel: request ${exchange.requestId} failed: ${stackOf(error)}\n`);
  const { name = 'Error', message = String(error) } = /** @type {any} */ (error) ?? {};
  respondError(exchange, name, message, stackOf(error).split('\n'));
}

/** @param {ExchangeType} exchange @param {string} name @param {number} deadline @param {boolean} direct */
function contextOf(exchange, name, deadline, direct) {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: name,
    functionVersion: process.env.K_REVISION ?? '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:local:000000000000:function:${name}`,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? '0',
    awsRequestId: exchange.requestId || crypto.randomUUID(),
    logGroupName: name,
    logStreamName: process.env.K_REVISION ?? name,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    clientContext: direct ? clientContextOf(exchange) : undefined,
  };
}

/**
 * @param {any} handler `(event, context, callback)`, or marked by `awslambda.streamifyResponse` @param {{name: string, timeoutMs: number}} settings
 * @returns {(exchange: ExchangeType) => void}
 */
function lambda(handler, { name, timeoutMs }) {
  const streams = handler[STREAMING] !== undefined;
  /** @param {ExchangeType} exchange @param {boolean} direct @param {unknown} error */
  const failed = (exchange, direct, error) => (direct ? failRaw : fail)(exchange, error);
  return (exchange) => {
    const deadline = Date.now() + timeoutMs;
    const direct = exchange.header(RAW_EVENT) !== undefined;
    const run = (/** @type {Buffer} */ raw) => {
      const event = direct ? JSON.parse(raw.length === 0 ? '{}' : raw.toString()) : eventOf(exchange, raw);
      const context = contextOf(exchange, name, deadline, direct);
      if (streams)
        return require('./lambda-stream.cjs').streamed(
          exchange,
          direct,
          (error) => failed(exchange, direct, error),
          (stream) => handler(event, stream, context),
        );
      return new Promise((resolve, reject) => {
        const callback = (/** @type {unknown} */ error, /** @type {unknown} */ result) =>
          error ? reject(error) : resolve(result);
        Object.assign(context, {
          done: callback,
          fail: (/** @type {unknown} */ error) => reject(error ?? new Error('the function failed')),
          succeed: resolve,
        });
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
    if (result === undefined) return;
    if (streams) result.catch((error) => failed(exchange, direct, error));
    else if (direct)
      result.then(
        (value) => answerRaw(exchange, value),
        (error) => failRaw(exchange, error),
      );
    else settle(exchange, result, answer);
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

module.exports = { lambda, eventOf, answer, respondError, clientContextOf, RAW_EVENT };
