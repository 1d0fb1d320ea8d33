// @ts-check
'use strict';
/** The raw connection that an `upgrade` listener of an http.Server writes its own 101 answer to. */

/** @typedef {InstanceType<typeof import('../lib/exchange.cjs').Exchange>} ExchangeType */

const { Duplex } = require('node:stream');
const { parseLines } = require('../lib/head.cjs');

/** Longest head of an answer, bytes. */
const MAX_HEAD = 65536;

/**
 * A Duplex over an exchange: what is written up to the first empty line is the HTTP answer, after a 101 everything is raw.
 * @param {ExchangeType} exchange
 */
function upgradeStream(exchange) {
  let head = Buffer.alloc(0);
  let open = false;
  const duplex = new Duplex({
    allowHalfOpen: true,
    read() {
      exchange.pull((error, chunk) => {
        if (error !== null) duplex.destroy();
        else duplex.push(chunk);
      });
    },
    write(chunk, _encoding, done) {
      let body = /** @type {Buffer} */ (chunk);
      if (!open) {
        head = Buffer.concat([head, body]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) {
          done(head.length > MAX_HEAD ? new Error('the answer to the upgrade has no end of its head') : null);
          return;
        }
        const text = head.toString('latin1', 0, end);
        body = head.subarray(end + 4);
        const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 502);
        const firstLine = text.indexOf('\r\n');
        const lines = firstLine < 0 ? [] : parseLines(text, firstLine + 2);
        let block = '';
        for (let i = 0; i < lines.length; i += 2) block += `${lines[i]?.toLowerCase()}: ${lines[i + 1]}\r\n`;
        open = true;
        exchange.start(status, block);
      }
      if (body.length === 0 || exchange.write(body)) done();
      else exchange.drained().then(() => done());
    },
    final(done) {
      exchange.end();
      done();
    },
    destroy(error, done) {
      exchange.reset('handler_error', error?.message ?? 'the function closed the connection');
      done(error);
    },
  });
  exchange.onabort(() => duplex.destroy());
  // What libraries for WebSockets call on a socket and a plain Duplex lacks.
  return Object.assign(duplex, {
    setTimeout: () => duplex,
    setNoDelay: () => duplex,
    setKeepAlive: () => duplex,
    ref: () => duplex,
    unref: () => duplex,
    remoteAddress: exchange.header('x-forwarded-for') ?? '127.0.0.1',
    encrypted: exchange.scheme === 'https',
  });
}

module.exports = { upgradeStream };
