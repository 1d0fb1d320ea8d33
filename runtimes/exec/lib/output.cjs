// @ts-check
'use strict';
/** What a program writes to its standard output, as an answer: held for a moment, then streamed. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const { isUtf8 } = require('node:buffer');
const { fail } = require('../../node/lib/answer.cjs');
const { readHead } = require('./cgi.cjs');

/** An answer leaves when it is complete, or this long after its first byte: until then a failure can still become a 500. Milliseconds. */
const HOLD_MS = 100;
/** … or as soon as it is this large, bytes. */
const HOLD_BYTES = 262144;

/** A program did not do what it was started for. */
class ExitError extends Error {
  /** @param {string} message @param {string} stack */
  constructor(message, stack) {
    super(message);
    this.name = 'ExitError';
    this.stack = stack;
  }
}

/** Text, unless it cannot be: a character may be cut in two at the end. @param {Buffer} bytes */
function typeOf(bytes) {
  let end = bytes.length;
  while (end > bytes.length - 3 && end > 0 && /** @type {number} */ (bytes[end - 1]) >= 0x80) end--;
  const text = isUtf8(bytes) || isUtf8(bytes.subarray(0, end));
  return text ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

class Output {
  /**
   * @param {ExchangeType} exchange @param {string} name of the program, for messages
   * @param {'stdio' | 'cgi'} mode @param {string | undefined} contentType of what is written, in `stdio`
   * @param {() => void} useless called when the answer cannot be used: the program need not go on
   */
  constructor(exchange, name, mode, contentType, useless) {
    this.exchange = exchange;
    this.name = name;
    this.mode = mode;
    this.contentType = contentType;
    this.useless = useless;
    /** @type {Buffer[]} */
    this.held = [];
    this.heldBytes = 0;
    this.holding = true;
    /** @type {NodeJS.Timeout | undefined} */
    this.hold = undefined;
  }

  /** @param {Buffer} chunk @returns {boolean} whether more may be written now; if not, after `exchange.drained()` */
  write(chunk) {
    const { exchange } = this;
    if (exchange.finished) return true; // cancelled, or answered with a failure
    if (!this.holding) return exchange.method === 'HEAD' || exchange.write(chunk);
    this.held.push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes >= HOLD_BYTES) return this.begin(false);
    this.hold ??= setTimeout(() => this.begin(false), HOLD_MS);
    return true;
  }

  /** Sends what has been held. @param {boolean} complete whether that is all there is @returns {boolean} as `write` */
  begin(complete) {
    clearTimeout(this.hold);
    const { exchange } = this;
    const bytes = Buffer.concat(this.held);
    let answer;
    try {
      answer =
        this.mode === 'cgi'
          ? readHead(bytes, complete)
          : { status: 200, headers: `content-type: ${this.contentType ?? typeOf(bytes)}\r\n`, body: bytes };
    } catch (error) {
      const { message, name } = /** @type {Error} */ (error);
      const at = `${this.name}: ${message}`;
      fail(exchange, new ExitError(at, `${name}: ${at}`));
      this.useless();
      return true;
    }
    if (answer === undefined) {
      this.held = [bytes];
      this.hold = setTimeout(() => this.begin(false), HOLD_MS);
      return true;
    }
    this.holding = false;
    this.held = [];
    const { status, headers, body } = answer;
    if (complete) {
      exchange.respond(status, headers, body);
      return true;
    }
    exchange.start(status, headers);
    return body.length === 0 || exchange.method === 'HEAD' || exchange.write(body);
  }

  /**
   * The program has ended and all of its output has been written.
   * @param {{what: string, said: string} | undefined} failure how it ended, when not well, and the end of what it said about it
   */
  end(failure) {
    clearTimeout(this.hold);
    const { exchange } = this;
    if (exchange.finished) return;
    if (failure !== undefined) {
      const what = `${this.name} ${failure.what}`;
      const said = failure.said.trim();
      fail(exchange, new ExitError(said === '' ? what : `${what}: ${said}`, `${what}\n${said}`), what);
    } else if (this.holding) this.begin(true);
    else exchange.end();
  }
}

module.exports = { Output };
