// @ts-check
'use strict';
/**
 * Handlers of Lambda that stream their answer: `awslambda.streamifyResponse((event, responseStream, context) => …)`.
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html.
 */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { Writable } = require('node:stream');
const { fail, checkStatus } = require('../lib/answer.cjs');
const { blockOf, line } = require('../lib/head.cjs');

/** On a handler, as AWS's own runtime marks it. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const PRELUDE = Symbol('prelude');
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';
/** Between the head of a streamed HTTP answer and its body, where both are one stream. */
const PRELUDE_END = Buffer.alloc(8);

/** What a handler writes to. */
class ResponseStream extends Writable {
  #exchange;
  #direct;
  #failed;
  #type = 'application/octet-stream';
  /** @type {any} */
  #prelude;

  /** @param {ExchangeType} exchange @param {boolean} direct the event came through the Invoke API @param {(error: Error) => void} failed */
  constructor(exchange, direct, failed) {
    super();
    this.#exchange = exchange;
    this.#direct = direct;
    this.#failed = failed;
    exchange.onabort(() => this.destroy());
  }

  /** @param {string} type */
  setContentType(type) {
    this.#type = type;
  }

  /** @param {any} prelude */
  [PRELUDE](prelude) {
    this.#prelude = prelude;
  }

  #begin() {
    const exchange = this.#exchange;
    if (exchange.started) return;
    const prelude = this.#prelude;
    if (prelude === undefined) return exchange.start(200, line('content-type', this.#type));
    if (this.#direct) {
      exchange.start(200, line('content-type', HTTP_TYPE));
      exchange.write(Buffer.concat([Buffer.from(JSON.stringify(prelude)), PRELUDE_END]));
      return;
    }
    let block = blockOf(prelude.headers);
    for (const cookie of prelude.cookies ?? []) block += line('set-cookie', String(cookie));
    exchange.start(checkStatus(prelude.statusCode, 200), block);
  }

  /** @param {Buffer} chunk @param {string} _ @param {(error?: Error | null) => void} done */
  _write(chunk, _, done) {
    const exchange = this.#exchange;
    try {
      this.#begin();
    } catch (error) {
      return done(/** @type {Error} */ (error));
    }
    if (exchange.method === 'HEAD' || exchange.write(chunk)) return done();
    exchange.drained().then(() => done(), done);
  }

  /** @param {(error?: Error | null) => void} done */
  _final(done) {
    try {
      this.#begin();
    } catch (error) {
      return done(/** @type {Error} */ (error));
    }
    this.#exchange.end();
    done();
  }

  /** @param {Error | null} error @param {(error: Error | null) => void} done */
  _destroy(error, done) {
    if (error !== null) this.#failed(error);
    done(null);
  }
}

/** The global that handlers use. */
const awslambda = {
  /** @param {any} handler */
  streamifyResponse(handler) {
    handler[STREAMING] = 'response';
    return handler;
  },
  HttpResponseStream: {
    /** @param {any} stream @param {any} prelude */
    from(stream, prelude) {
      stream[PRELUDE](prelude);
      return stream;
    },
  },
};

/**
 * Runs a handler that streams. The answer ends when the stream does, or with the handler.
 * @param {ExchangeType} exchange @param {boolean} direct @param {(error: Error) => void} failed when nothing was written yet
 * @param {(stream: ResponseStream) => unknown} run
 */
async function streamed(exchange, direct, failed, run) {
  const stream = new ResponseStream(exchange, direct, (error) =>
    exchange.started ? fail(exchange, error) : failed(error),
  );
  try {
    await run(stream);
    if (!stream.writableEnded) stream.end();
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

module.exports = { awslambda, streamed };
