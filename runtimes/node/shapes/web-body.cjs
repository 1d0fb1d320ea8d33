// @ts-check
'use strict';
/** The body of a Request or a Response of the Fetch standard: at rest as long as possible, a stream only when asked for one. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

/** @param {Error} error @returns {DOMException} what the standard calls the end of an aborted request */
function abortReason(error) {
  const timeout = /** @type {any} */ (error).code === 'timeout';
  return new DOMException(error.message, timeout ? 'TimeoutError' : 'AbortError');
}

/** @param {Buffer} bytes @returns {string} without a byte order mark */
function decode(bytes) {
  const marked = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', marked ? 3 : 0);
}

/** @param {Uint8Array} bytes @returns {ArrayBuffer} memory of its own */
function detach(bytes) {
  return /** @type {ArrayBuffer} */ (bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** @param {ExchangeType} exchange @returns {ReadableStream<Uint8Array>} */
function exchangeStream(exchange) {
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      return new Promise((resolve, reject) => {
        exchange.pull((error, chunk) => {
          if (error !== null) {
            reject(abortReason(error));
            return;
          }
          if (chunk === null) {
            controller.close();
            controller.byobRequest?.respond(0);
          } else controller.enqueue(new Uint8Array(chunk)); // a copy: enqueue takes the memory away
          resolve(undefined);
        });
      });
    },
  });
}

/** @param {string | Uint8Array} value @returns {ReadableStream<Uint8Array>} */
function valueStream(value) {
  return new ReadableStream({
    type: 'bytes',
    start(controller) {
      if (value.length > 0)
        controller.enqueue(typeof value === 'string' ? new TextEncoder().encode(value) : value.slice());
      controller.close();
    },
  });
}

/** @param {FormData} form @returns {{blob: Blob, type: string}} multipart/form-data as the HTML standard encodes it */
function encodeForm(form) {
  const boundary = `----petrel-${Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  const quote = (/** @type {string} */ text) =>
    text.replace(/\n/g, '%0A').replace(/\r/g, '%0D').replace(/"/g, '%22');
  /** @type {(string | Blob)[]} */
  const parts = [];
  for (const [name, value] of form) {
    parts.push(`--${boundary}\r\ncontent-disposition: form-data; name="${quote(name)}"`);
    if (typeof value === 'string') parts.push(`\r\n\r\n${value.replace(/\r?\n|\r/g, '\r\n')}\r\n`);
    else
      parts.push(
        `; filename="${quote(value.name)}"\r\ncontent-type: ${value.type || 'application/octet-stream'}\r\n\r\n`,
        value,
        '\r\n',
      );
  }
  parts.push(`--${boundary}--\r\n`);
  return { blob: new Blob(parts), type: `multipart/form-data; boundary=${boundary}` };
}

class Body {
  /** @type {string | Uint8Array | Blob | ExchangeType | null} what the body is made of, until it is a stream */
  source;
  /** @type {ReadableStream<Uint8Array> | undefined} */
  stream;
  used = false;
  /** @type {'value' | 'blob' | 'exchange' | 'stream'} */
  kind;

  /** @param {'value' | 'blob' | 'exchange' | 'stream'} kind @param {any} source */
  constructor(kind, source) {
    this.kind = kind;
    if (kind === 'stream') {
      this.source = null;
      this.stream = source;
    } else this.source = source;
  }

  /** Whether it has been read, or somebody else holds its stream. */
  get unusable() {
    return this.used || this.stream?.locked === true;
  }

  /** @returns {ReadableStream<Uint8Array>} */
  asStream() {
    if (this.stream === undefined) {
      if (this.kind === 'exchange') this.stream = exchangeStream(/** @type {ExchangeType} */ (this.source));
      else if (this.kind === 'blob')
        this.stream = /** @type {ReadableStream<Uint8Array>} */ (/** @type {Blob} */ (this.source).stream());
      else this.stream = valueStream(/** @type {string} */ (this.source));
      this.kind = 'stream';
      this.source = null;
    }
    return this.stream;
  }

  /** Everything, once. @returns {Promise<Buffer>} */
  async read() {
    if (this.unusable) throw new TypeError('Body is unusable: Body has already been read');
    this.used = true;
    const { source } = this;
    switch (this.kind) {
      case 'value':
        return typeof source === 'string'
          ? Buffer.from(source)
          : Buffer.from(/** @type {Uint8Array} */ (source));
      case 'blob':
        return Buffer.from(await /** @type {Blob} */ (source).arrayBuffer());
      case 'exchange':
        try {
          return await /** @type {ExchangeType} */ (source).readAll();
        } catch (error) {
          throw abortReason(/** @type {Error} */ (error));
        }
      default: {
        const parts = [];
        for await (const chunk of /** @type {any} */ (this.stream)) {
          if (!(chunk instanceof Uint8Array)) throw new TypeError('Received non-Uint8Array chunk');
          parts.push(chunk);
        }
        return Buffer.concat(parts);
      }
    }
  }

  /** A second reader of the same bytes. @returns {Body} */
  copy() {
    if (this.unusable) throw new TypeError('Response.clone: Body has already been consumed.');
    if (this.kind === 'value' || this.kind === 'blob') return new Body(this.kind, this.source);
    const [one, two] = this.asStream().tee();
    this.stream = /** @type {ReadableStream<Uint8Array>} */ (one);
    return new Body('stream', two);
  }

  /** Hands the bytes over to another owner: this one is used from here on. @returns {Body} */
  move() {
    if (this.unusable)
      throw new TypeError('Cannot construct a Request with a Request object that has already been used.');
    const moved = this.kind === 'stream' ? new Body('stream', this.stream) : new Body(this.kind, this.source);
    this.used = true;
    return moved;
  }
}

/**
 * A body from what a constructor was given. @param {any} init not null
 * @returns {{body: Body, type: string | undefined}} and the content type that comes with it
 */
function extract(init) {
  if (typeof init === 'object') {
    // By tag, not instanceof: naming ReadableStream or FormData would load them.
    switch (Object.prototype.toString.call(init)) {
      case '[object ReadableStream]':
        if (init.locked) throw new TypeError('Response body object should not be disturbed or locked');
        return { body: new Body('stream', init), type: undefined };
      case '[object URLSearchParams]':
        return {
          body: new Body('value', String(init)),
          type: 'application/x-www-form-urlencoded;charset=UTF-8',
        };
      case '[object Blob]':
      case '[object File]':
        return { body: new Body('blob', init), type: init.type === '' ? undefined : init.type };
      case '[object FormData]': {
        const { blob, type } = encodeForm(init);
        return { body: new Body('blob', blob), type };
      }
      default:
        if (ArrayBuffer.isView(init))
          return {
            body: new Body('value', new Uint8Array(init.buffer, init.byteOffset, init.byteLength).slice()),
            type: undefined,
          };
        if (
          init instanceof ArrayBuffer ||
          Object.prototype.toString.call(init) === '[object SharedArrayBuffer]'
        ) {
          return { body: new Body('value', new Uint8Array(init).slice()), type: undefined };
        }
        if (typeof init[Symbol.asyncIterator] === 'function')
          return {
            body: new Body('stream', /** @type {any} */ (ReadableStream).from(init)),
            type: undefined,
          };
    }
  }
  return { body: new Body('value', String(init).toWellFormed()), type: 'text/plain;charset=UTF-8' };
}

/**
 * The readers that Request and Response share. @param {any} target prototype to put them on
 * @param {(self: any) => Body | null} bodyOf @param {typeof globalThis.fetch} nativeFetch
 */
function defineReaders(target, bodyOf, nativeFetch) {
  const all = async (/** @type {any} */ self) => (await bodyOf(self)?.read()) ?? Buffer.alloc(0);
  /** @type {Record<string, () => Promise<any>>} */
  const readers = {
    async text() {
      return decode(await all(this));
    },
    async json() {
      return JSON.parse(decode(await all(this)));
    },
    async arrayBuffer() {
      return detach(await all(this));
    },
    async bytes() {
      return new Uint8Array(detach(await all(this)));
    },
    async blob() {
      return new Blob([await all(this)], {
        type: /** @type {any} */ (this).headers.get('content-type') ?? '',
      });
    },
    async formData() {
      const type = /** @type {any} */ (this).headers.get('content-type') ?? '';
      const bytes = await all(this);
      // The engine's parser; its class can only be had from a response of its own.
      const Native = /** @type {any} */ ((await nativeFetch('data:,')).constructor);
      return new Native(bytes, { headers: { 'content-type': type } }).formData();
    },
  };
  for (const [name, value] of Object.entries(readers))
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
  Object.defineProperty(target, 'body', {
    get() {
      return bodyOf(this)?.asStream() ?? null;
    },
    enumerable: true,
    configurable: true,
  });
  Object.defineProperty(target, 'bodyUsed', {
    get() {
      return bodyOf(this)?.unusable ?? false;
    },
    enumerable: true,
    configurable: true,
  });
}

module.exports = { Body, extract, defineReaders, abortReason };
