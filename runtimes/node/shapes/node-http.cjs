// @ts-check
'use strict';
/**
 * The `(req, res)` shape: objects of node:http's own classes, fed from an exchange instead of a TCP connection.
 *
 * Frameworks replace the prototype of both objects (express does), so everything that differs from node:http is an
 * own property of the instance; the methods are shared functions, not closures, to keep a request cheap.
 */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const http = require('node:http');
const { EventEmitter } = require('node:events');
const { nodeHeaders, line, parseLines } = require('../lib/head.cjs');
const { fail, refuse, respondValue } = require('../lib/answer.cjs');

const EXCHANGE = Symbol('exchange');

/** What `req.socket` is: an address and the events of a connection. Bytes never pass through it. */
class RequestSocket extends EventEmitter {
  /** @param {ExchangeType} exchange */
  constructor(exchange) {
    super();
    this.exchange = exchange;
    this.destroyed = false;
    this.readable = true;
    this.writable = true;
    this.readableHighWaterMark = 65536;
    this.writableHighWaterMark = 65536;
    this.writableLength = 0;
    this.encrypted = exchange.scheme === 'https';
  }
  /** The client, as the gateway saw it. */
  get remoteAddress() {
    const forwarded = this.exchange.header('x-forwarded-for');
    return forwarded === undefined ? '127.0.0.1' : forwarded.slice(forwarded.lastIndexOf(',') + 1).trim();
  }
  get remoteFamily() {
    return this.remoteAddress.includes(':') ? 'IPv6' : 'IPv4';
  }
  get remotePort() {
    return 0;
  }
  get localAddress() {
    return '127.0.0.1';
  }
  get localPort() {
    return Number(process.env.PORT ?? 0);
  }
  get bytesRead() {
    return this.exchange.received;
  }
  address() {
    return { address: this.localAddress, family: 'IPv4', port: this.localPort };
  }
  setTimeout() {
    return this;
  }
  setNoDelay() {
    return this;
  }
  setKeepAlive() {
    return this;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
  cork() {}
  uncork() {}
  pause() {
    return this;
  }
  resume() {
    return this;
  }
  /** @param {Error} [error] */
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.exchange.reset('handler_error', error?.message ?? 'the function closed the connection');
    process.nextTick(() => this.emit('close', error !== undefined));
    return this;
  }
}

// ---- request ----

/** `_read` of a request. @this {any} */
function read() {
  const exchange = this[EXCHANGE];
  const next = () => {
    exchange.pull((/** @type {Error | null} */ error, /** @type {Buffer | null} */ chunk) => {
      if (error !== null) return; // 'aborted' and 'close' tell it
      if (chunk === null) {
        this.complete = true;
        if (exchange.trailers !== '') {
          this.rawTrailers = parseLines(exchange.trailers, 0);
          this.trailers = nodeHeaders(this.rawTrailers);
        }
        this.push(null);
      } else this.push(chunk);
    });
  };
  next();
}

// ---- response ----

/** @param {any} res @returns {string} header block */
function headerBlock(res) {
  const headers = res.getHeaders();
  let block = '';
  for (const name in headers) {
    const value = headers[name];
    if (Array.isArray(value)) for (const one of value) block += line(name, `${one}`);
    else block += line(name, `${value}`);
  }
  return block;
}

/** Marks the head as sent: `headersSent` is true and `setHeader` throws from here on. @param {any} res */
function markSent(res) {
  // node:http keeps the printed head here and derives `headersSent` from it; there is no setter for it.
  res._header = 'sent';
  res._headerSent = true;
}

/** @param {string | Uint8Array} chunk @param {unknown} encoding @returns {string | Uint8Array} */
function toBody(chunk, encoding) {
  if (typeof chunk === 'string') {
    return encoding === undefined || encoding === null || encoding === 'utf8' || encoding === 'utf-8'
      ? chunk
      : Buffer.from(chunk, /** @type {BufferEncoding} */ (encoding));
  }
  if (chunk instanceof Uint8Array) return chunk;
  const error = new TypeError(
    `The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received ${typeof chunk}`,
  );
  throw Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

const responseMethods = {
  /** @this {any} @param {number} status @param {any} [message] @param {any} [headers] */
  writeHead(status, message, headers) {
    if (this._header)
      throw Object.assign(new Error('Cannot write headers after they are sent to the client'), {
        code: 'ERR_HTTP_HEADERS_SENT',
      });
    const code = status | 0;
    if (code < 100 || code > 999)
      throw Object.assign(new RangeError(`Invalid status code: ${status}`), {
        code: 'ERR_HTTP_INVALID_STATUS_CODE',
      });
    let map = headers;
    if (typeof message === 'string') this.statusMessage = message;
    else map = message;
    this.statusCode = code;
    if (Array.isArray(map)) {
      const pairs = Array.isArray(map[0]) ? map.flat() : map;
      for (let i = 0; i < pairs.length; i += 2) this.removeHeader(pairs[i]);
      for (let i = 0; i < pairs.length; i += 2) this.appendHeader(pairs[i], pairs[i + 1]);
    } else if (map)
      for (const name of Object.keys(map)) if (map[name] !== undefined) this.setHeader(name, map[name]);
    // The head is kept back until the first byte of the body, so that a small answer is one frame.
    markSent(this);
    return this;
  },
  /** @this {any} */
  flushHeaders() {
    if (!this._header) responseMethods.writeHead.call(this, this.statusCode);
    startBody(this);
  },
  /** @this {any} @param {any} chunk @param {any} [encoding] @param {any} [callback] */
  write(chunk, encoding, callback) {
    if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    const exchange = this[EXCHANGE];
    if (this.finished || this.destroyed) {
      const error = Object.assign(
        new Error(this.finished ? 'write after end' : 'Cannot call write after a stream was destroyed'),
        {
          code: this.finished ? 'ERR_STREAM_WRITE_AFTER_END' : 'ERR_STREAM_DESTROYED',
        },
      );
      if (typeof callback === 'function') process.nextTick(callback, error);
      if (this.finished && !this.destroyed) process.nextTick(() => this.emit('error', error));
      return false;
    }
    const body = toBody(chunk, encoding);
    if (!this._header) responseMethods.writeHead.call(this, this.statusCode);
    startBody(this);
    let more = true;
    if (exchange.method !== 'HEAD')
      more = exchange.write(typeof body === 'string' ? Buffer.from(body) : body);
    if (more || exchange.finished) {
      if (typeof callback === 'function') process.nextTick(callback);
      return true;
    }
    this.petrelWaiting ??= [];
    const waiting = this.petrelWaiting;
    if (typeof callback === 'function') waiting.push(callback);
    exchange.ondrain ??= () => {
      const callbacks = this.petrelWaiting;
      this.petrelWaiting = undefined;
      for (const one of callbacks ?? []) one();
      if (!exchange.aborted) this.emit('drain');
    };
    return false;
  },
  /** @this {any} @param {any} [chunk] @param {any} [encoding] @param {any} [callback] */
  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') [chunk, callback] = [undefined, chunk];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (this.finished) {
      if (typeof callback === 'function') {
        const error = Object.assign(new Error('write after end'), { code: 'ERR_STREAM_WRITE_AFTER_END' });
        process.nextTick(callback, chunk === undefined || chunk === null ? undefined : error);
      }
      return this;
    }
    const exchange = this[EXCHANGE];
    const body = chunk === undefined || chunk === null ? '' : toBody(chunk, encoding);
    if (typeof callback === 'function') this.once('finish', callback);
    if (!this._header) markSent(this);
    this.finished = true;
    if (!exchange.started && this.petrelTrailers === undefined)
      exchange.respond(this.statusCode, headerBlock(this), body);
    else {
      startBody(this);
      if (body.length > 0 && exchange.method !== 'HEAD')
        exchange.write(typeof body === 'string' ? Buffer.from(body) : body);
      exchange.end(this.petrelTrailers);
    }
    process.nextTick(finished, this);
    return this;
  },
  /** @this {any} @param {any} trailers */
  addTrailers(trailers) {
    const pairs = Array.isArray(trailers) ? trailers : Object.entries(trailers);
    this.petrelTrailers = pairs.map(([name, value]) => [String(name).toLowerCase(), String(value)]);
  },
  /** @this {any} @param {Error} [error] */
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this[EXCHANGE].reset('handler_error', error?.message ?? 'the function closed the connection');
    process.nextTick(() => {
      if (error && this.listenerCount('error') > 0) this.emit('error', error);
      close(this);
    });
    return this;
  },
  /** The gateway has answered `Expect: 100-continue` already. @param {any} [callback] */
  writeContinue(callback) {
    if (typeof callback === 'function') process.nextTick(callback);
  },
  /** No informational responses on this protocol. @param {any} [_hints] @param {any} [callback] */
  writeEarlyHints(_hints, callback) {
    if (typeof callback === 'function') process.nextTick(callback);
  },
  writeProcessing() {},
};

/** Sends the head when a body is to follow. @param {any} res */
function startBody(res) {
  const exchange = res[EXCHANGE];
  if (!exchange.started) exchange.start(res.statusCode, headerBlock(res));
}

/** @param {any} res */
function finished(res) {
  Object.defineProperty(res, 'writableFinished', { value: true, configurable: true });
  res.emit('finish');
  close(res);
}

/** @param {any} res */
function close(res) {
  if (res._closed) return;
  res.destroyed = true;
  res._closed = true;
  res.emit('close');
  const { req } = res;
  // What is left of the body would not come any more; a request nobody has read must still end.
  if (!req.readableEnded && !req.destroyed) {
    req.complete = true;
    req._dump?.();
  }
}

/** @param {ExchangeType} exchange @returns {{req: any, res: any}} */
function makePair(exchange) {
  const socket = /** @type {any} */ (new RequestSocket(exchange));
  const req = /** @type {any} */ (new http.IncomingMessage(socket));
  const list = exchange.headerList;
  req[EXCHANGE] = exchange;
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.httpVersion = '1.1';
  req.method = exchange.method;
  req.url = exchange.target;
  req.rawHeaders = list;
  req.headers = nodeHeaders(list);
  req._read = read;
  req._readableState.readingMore = false;

  const res = /** @type {any} */ (new http.ServerResponse(req));
  res[EXCHANGE] = exchange;
  res.socket = socket;
  res.writeHead = responseMethods.writeHead;
  res.flushHeaders = responseMethods.flushHeaders;
  res.write = responseMethods.write;
  res.end = responseMethods.end;
  res.addTrailers = responseMethods.addTrailers;
  res.destroy = responseMethods.destroy;
  res.writeContinue = responseMethods.writeContinue;
  res.writeEarlyHints = responseMethods.writeEarlyHints;
  res.writeProcessing = responseMethods.writeProcessing;
  req.res = res;

  exchange.onabort((error) => {
    socket.destroyed = true;
    socket.emit('close', true);
    if (!req.destroyed) {
      req.on('error', () => {}); // an abort nobody listens for is no crash
      req.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET', cause: error }));
    }
    res.destroyed = true;
    if (!res._closed) {
      res._closed = true;
      res.emit('close');
    }
  });
  return { req, res };
}

/**
 * `(req, res)` and `(req, res, next)`. @param {(req: any, res: any, next: (error?: unknown) => void) => unknown} handler
 * @returns {(exchange: ExchangeType) => void}
 */
function nodeHttp(handler) {
  return (exchange) => {
    if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade') {
      refuseUpgrade(exchange);
      return;
    }
    const { req, res } = makePair(exchange);
    const next = (/** @type {any} */ error) => {
      if (error === undefined || error === null || error === 'route' || error === 'router') {
        respondValue(exchange, 404, null, {
          component: 'function',
          reason: 'not_found',
          requestId: exchange.requestId,
        });
      } else if (error.status >= 400 && error.status <= 499) {
        // What a framework's own checks say of the request (a body that is no JSON, one too large) is the client's fault.
        respondValue(exchange, error.status, null, {
          component: 'function',
          reason: 'bad_request',
          requestId: exchange.requestId,
          message: String(error.message),
        });
      } else fail(exchange, error);
    };
    try {
      const result = handler(req, res, next);
      if (
        result !== null &&
        typeof result === 'object' &&
        typeof (/** @type {any} */ (result).then) === 'function'
      ) {
        /** @type {Promise<unknown>} */ (result).then(undefined, (error) => fail(exchange, error));
      }
    } catch (error) {
      fail(exchange, error);
    }
  };
}

/** @param {ExchangeType} exchange */
function refuseUpgrade(exchange) {
  refuse(
    exchange,
    501,
    'upgrade_not_supported',
    'This handler has no notion of an upgrade. Export an http.Server with an "upgrade" listener, or run as a program on $PORT.',
  );
}

/** An http.Server that was made but does not listen: its own listeners answer. @param {import('node:http').Server} server */
function nodeServer(server) {
  const { upgradeStream } = require('./upgrade.cjs');
  return (/** @type {ExchangeType} */ exchange) => {
    if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade') {
      if (server.listenerCount('upgrade') === 0) refuseUpgrade(exchange);
      else {
        const { req } = makePair(exchange);
        const duplex = upgradeStream(exchange);
        req.socket = duplex;
        server.emit('upgrade', req, duplex, Buffer.alloc(0));
      }
      return;
    }
    const { req, res } = makePair(exchange);
    try {
      server.emit('request', req, res);
    } catch (error) {
      fail(exchange, error);
    }
  };
}

module.exports = { nodeHttp, nodeServer, refuseUpgrade };
