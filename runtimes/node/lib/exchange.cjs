// @ts-check
'use strict';
/** One request and its response on a data connection, whatever shape of handler answers it. */

/** @typedef {InstanceType<typeof import('./connection.cjs').Connection>} ConnectionType */

const { TYPE, MAX_DATA, WINDOW, ProtocolError } = require('./frames.cjs');
const { parseLines, line } = require('./head.cjs');

/** Bodies up to this size travel in the frame of their head. */
const INLINE_BODY = 65536;
/** WINDOW is granted in steps of at least this many consumed bytes: one small frame per quarter of the window. */
const GRANT_STEP = WINDOW / 4;

/** Why an exchange ended early: the peer's RESET code, or the connection's end. */
class AbortedError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = 'AbortError';
    /** @type {string} */
    this.code = code;
  }
}

class Exchange {
  /**
   * @param {ConnectionType} connection @param {number} id stream
   * @param {string} head method, target and header lines @param {boolean} hasBody
   */
  constructor(connection, id, head, hasBody) {
    this.connection = connection;
    this.writer = connection.writer;
    this.id = id;
    this.head = head;
    this.hasBody = hasBody;
    /** @type {string[] | null} */
    this.parsed = null;
    const space = head.indexOf(' ');
    const end = head.indexOf('\r\n');
    this.method = head.slice(0, space);
    this.target = end < 0 ? head.slice(space + 1) : head.slice(space + 1, end);
    this.linesAt = end < 0 ? head.length : end + 2;

    // Request body: at most a window of it is held.
    /** @type {Buffer[]} */
    this.queue = [];
    this.ended = !hasBody;
    /** @type {AbortedError | null} */
    this.aborted = null;
    /** @type {((error: Error | null, chunk: Buffer | null) => void) | null} */
    this.reader = null;
    this.received = 0;
    this.allowed = WINDOW;
    this.consumed = 0;
    /** @type {string} trailers' header block, once the body has ended */
    this.trailers = '';

    // Response.
    this.started = false;
    this.finished = false;
    this.upgraded = false;
    this.sendWindow = WINDOW;
    /** @type {Uint8Array[]} */
    this.pending = [];
    /** @type {(() => void) | null} called when all that was written is on its way and more may be sent */
    this.ondrain = null;
    /** @type {((error: AbortedError) => void)[] | null} */
    this.abortListeners = null;
    /** @type {string | null} */
    this.endTrailers = null;
  }

  /** Flat names (as sent, lower case) and values. */
  get headerList() {
    this.parsed ??= parseLines(this.head, this.linesAt);
    return this.parsed;
  }

  /** First value of a header without parsing the others. @param {string} name lower case @returns {string | undefined} */
  header(name) {
    const at = this.head.indexOf(`\r\n${name}: `);
    if (at < 0) return undefined;
    const start = at + name.length + 4;
    const end = this.head.indexOf('\r\n', start);
    return end < 0 ? this.head.slice(start) : this.head.slice(start, end);
  }

  get requestId() {
    return this.header('x-request-id') ?? '';
  }

  /** `http` or `https`, as the client spoke to the gateway. */
  get scheme() {
    return this.header('x-forwarded-proto') === 'https' ? 'https' : 'http';
  }

  /** Absolute URL of the request. */
  get url() {
    return `${this.scheme}://${this.header('host') ?? 'localhost'}${this.target}`;
  }

  // ---- request body ----

  /** A DATA frame has come. @param {Buffer} chunk */
  receive(chunk) {
    if (this.ended) throw new ProtocolError(`DATA after END on stream ${this.id}`);
    this.received += chunk.length;
    if (this.received > this.allowed) throw new ProtocolError(`stream ${this.id} sent past its window`);
    if (chunk.length === 0) return;
    if (this.reader !== null) {
      const reader = this.reader;
      this.reader = null;
      this.consume(chunk.length);
      reader(null, chunk);
    } else this.queue.push(chunk);
  }

  /** END has come. @param {string} trailers */
  receiveEnd(trailers) {
    if (this.ended) throw new ProtocolError(`a second END on stream ${this.id}`);
    this.ended = true;
    this.trailers = trailers;
    if (this.reader !== null) {
      const reader = this.reader;
      this.reader = null;
      reader(null, null);
    }
    this.settle();
  }

  /** @param {number} bytes */
  consume(bytes) {
    this.consumed += bytes;
    if (this.consumed >= GRANT_STEP && !this.ended && this.aborted === null && !this.connection.closed) {
      this.allowed += this.consumed;
      this.writer.window(this.id, this.consumed);
      this.consumed = 0;
    }
  }

  /**
   * Next piece of the request body; `null` at its end. One call at a time. Answers at once when there is one.
   * @param {(error: Error | null, chunk: Buffer | null) => void} reader
   */
  pull(reader) {
    if (this.queue.length > 0) {
      const chunk = /** @type {Buffer} */ (this.queue.shift());
      this.consume(chunk.length);
      reader(null, chunk);
    } else if (this.ended) reader(null, null);
    else if (this.aborted !== null) reader(this.aborted, null);
    else this.reader = reader;
  }

  /** The whole request body. @returns {Promise<Buffer>} */
  readAll() {
    return new Promise((resolve, reject) => {
      /** @type {Buffer[]} */
      const parts = [];
      let size = 0;
      const next = () => {
        let sync = true;
        while (sync) {
          let answered = false;
          this.pull((error, chunk) => {
            answered = true;
            if (error !== null) {
              sync = false;
              reject(error);
            } else if (chunk === null) {
              sync = false;
              resolve(Buffer.concat(parts, size));
            } else {
              parts.push(chunk);
              size += chunk.length;
              if (!sync) next();
            }
          });
          if (!answered) sync = false;
        }
      };
      next();
    });
  }

  // ---- response ----

  /**
   * Answers with a head and a whole body. Nothing happens when the exchange is over already.
   * @param {number} status @param {string} headers block @param {string | Uint8Array} body
   */
  respond(status, headers, body) {
    if (this.finished || this.started) return;
    const bodyless = this.method === 'HEAD' || status === 304;
    if (bodyless || body.length > INLINE_BODY / 3) {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body;
      if (bodyless || bytes.length > INLINE_BODY) {
        // Without a body in the frame the gateway cannot know its length, and with HEAD the length is all there is.
        const known = headers.includes('content-length: ') || (status === 304 && bytes.length === 0);
        this.start(status, known ? headers : `${headers}content-length: ${bytes.length}\r\n`);
        if (!bodyless) this.write(bytes);
        this.end();
        return;
      }
      body = bytes;
    }
    this.started = true;
    this.writer.response(this.id, status, headers, status === 204 ? '' : body);
    this.complete();
  }

  /** Sends the head; the body follows with `write` and `end`. @param {number} status @param {string} headers block */
  start(status, headers) {
    if (this.finished || this.started) return;
    this.started = true;
    if (status === 101) this.upgraded = true;
    this.writer.response(this.id, status, headers, null);
  }

  /** @param {Uint8Array} chunk @returns {boolean} whether more may be written now; if not, `ondrain` is called later */
  write(chunk) {
    if (this.finished) return true;
    if (this.pending.length > 0 || this.sendWindow < chunk.length) {
      this.pending.push(chunk);
      this.drainPending();
    } else if (chunk.length > 0) this.send(chunk);
    return this.pending.length === 0 && this.sendWindow > 0;
  }

  /** @param {Uint8Array} chunk within the window */
  send(chunk) {
    this.sendWindow -= chunk.length;
    for (let at = 0; at < chunk.length; at += MAX_DATA) {
      this.writer.frame(
        TYPE.DATA,
        this.id,
        at === 0 && chunk.length <= MAX_DATA ? chunk : chunk.subarray(at, at + MAX_DATA),
      );
    }
  }

  drainPending() {
    while (this.pending.length > 0 && this.sendWindow > 0) {
      const first = this.pending[0];
      if (first.length <= this.sendWindow) {
        this.pending.shift();
        this.send(first);
      } else {
        const room = this.sendWindow;
        this.pending[0] = first.subarray(room);
        this.send(first.subarray(0, room));
      }
    }
  }

  /** The peer has granted more. @param {number} bytes */
  grant(bytes) {
    this.sendWindow += bytes;
    this.drainPending();
    if (this.pending.length > 0) return;
    if (this.endTrailers !== null) {
      this.writer.frame(
        TYPE.END,
        this.id,
        this.endTrailers === '' ? null : Buffer.from(this.endTrailers, 'latin1'),
      );
      this.complete();
    } else if (this.ondrain !== null) {
      const ondrain = this.ondrain;
      this.ondrain = null;
      ondrain();
    }
  }

  /** Resolves when more may be written, or the exchange is over. @returns {Promise<void>} */
  drained() {
    if (this.finished || (this.pending.length === 0 && this.sendWindow > 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.ondrain = resolve;
    });
  }

  /** @param {[string, string][]} [trailers] names in lower case */
  end(trailers) {
    if (this.finished || this.endTrailers !== null) return;
    let block = '';
    if (trailers !== undefined) for (const [name, value] of trailers) block += line(name, value);
    if (this.pending.length > 0) {
      this.endTrailers = block;
      return;
    }
    this.writer.frame(TYPE.END, this.id, block === '' ? null : Buffer.from(block, 'latin1'));
    this.complete();
  }

  /** Ends the exchange from this side. @param {string} code @param {string} message */
  reset(code, message) {
    if (this.finished) return;
    this.writer.json(TYPE.RESET, this.id, { code, message });
    this.over(new AbortedError(code, message));
  }

  /** Our side is complete. */
  complete() {
    this.finished = true;
    this.connection.answered(this);
    if (this.upgraded) this.settle();
    else this.connection.forget(this);
    // What is still read of the body after the answer would never come: the gateway stops sending it.
    if (!this.ended && !this.upgraded)
      this.over(new AbortedError('ABORT_ERR', 'the response is complete'), false);
  }

  settle() {
    if (this.finished && this.ended) this.connection.forget(this);
  }

  /** @param {(error: AbortedError) => void} listener called at most once, when the client is gone or the time is over */
  onabort(listener) {
    if (this.abortListeners === null) this.abortListeners = [listener];
    else this.abortListeners.push(listener);
  }

  /**
   * The exchange has ended early.
   * @param {AbortedError} error @param {boolean} [notify] whether abort listeners hear of it
   */
  over(error, notify = true) {
    if (this.aborted !== null) return;
    this.aborted = error;
    const unfinished = !this.finished;
    this.finished = true;
    this.pending.length = 0;
    if (unfinished) this.connection.answered(this);
    this.connection.forget(this);
    if (this.reader !== null && !this.ended) {
      const reader = this.reader;
      this.reader = null;
      reader(error, null);
    }
    if (this.ondrain !== null) {
      const ondrain = this.ondrain;
      this.ondrain = null;
      ondrain();
    }
    if (notify && this.abortListeners !== null) {
      const listeners = this.abortListeners;
      this.abortListeners = null;
      for (const listener of listeners) listener(error);
    }
  }
}

module.exports = { Exchange, AbortedError };
