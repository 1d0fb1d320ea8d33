// @ts-check
'use strict';
/** Answers one request with a file, or part of it, or with why not. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */
/** @typedef {InstanceType<typeof import('./site.cjs').Site>} SiteType */
/** @typedef {import('./site.cjs').Page} Page */
/** @typedef {import('./site.cjs').Stored} Stored */

const fs = require('node:fs');
const { fail, refuse } = require('../../node/lib/answer.cjs');
const { accepts, matches, rangeOf } = require('./negotiate.cjs');

/** Bytes read at a time, and sent in one frame. */
const PIECE = 65536;
const SAFE = 'x-content-type-options: nosniff\r\n';

/** @param {string} target @returns {string | undefined} the path, decoded; undefined when it cannot be */
function pathOf(target) {
  const mark = target.indexOf('?');
  try {
    const path = decodeURIComponent(mark < 0 ? target : target.slice(0, mark));
    return path.startsWith('/') && !path.includes('\0') ? path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Sends bytes of a file as the client takes them. @param {ExchangeType} exchange @param {number} fd closed at the end
 * @param {number} start @param {number} end exclusive
 */
async function stream(exchange, fd, start, end) {
  try {
    for (let at = start; at < end && !exchange.finished; ) {
      // A piece is handed over to the connection, so each has its own memory.
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE, end - at));
      const length = await new Promise((resolve, reject) => {
        fs.read(fd, piece, 0, piece.length, at, (error, read) => (error ? reject(error) : resolve(read)));
      });
      if (length === 0) throw new Error('the file is shorter than it was');
      at += length;
      if (!exchange.write(length === piece.length ? piece : piece.subarray(0, length)))
        await exchange.drained();
    }
    exchange.end();
  } finally {
    fs.closeSync(fd);
  }
}

/** @param {ExchangeType} exchange @param {Page} page @returns {Stored} what suits the client */
function choose(exchange, page) {
  const { plain, variants } = page;
  if (variants.length === 0 || exchange.header('range') !== undefined) return plain;
  const accept = exchange.header('accept-encoding');
  return variants.find(({ coding }) => accepts(accept, /** @type {string} */ (coding))) ?? plain;
}

/** @param {ExchangeType} exchange @param {Page} page @param {number} status 200, or 404 for the page that says so */
function answer(exchange, page, status) {
  const stored = choose(exchange, page);
  const { size, etag, coding, file } = stored;
  let headers = `${SAFE}etag: ${etag}\r\ncache-control: ${page.cacheControl}\r\n`;
  if (page.variants.length > 0) headers += 'vary: accept-encoding\r\n';
  if (status === 200 && matches(exchange.header('if-none-match'), etag)) {
    exchange.respond(304, headers, '');
    return;
  }
  headers += `content-type: ${page.type}\r\n`;
  if (coding !== undefined) headers += `content-encoding: ${coding}\r\n`;
  let start = 0;
  let end = size;
  if (status === 200) {
    headers += 'accept-ranges: bytes\r\n';
    const condition = exchange.header('if-range');
    const range =
      condition === undefined || condition === etag ? rangeOf(exchange.header('range'), size) : undefined;
    if (range === null) {
      exchange.respond(416, `${SAFE}content-range: bytes */${size}\r\n`, '');
      return;
    }
    if (range !== undefined) {
      status = 206;
      start = range.start;
      end = range.end + 1;
      headers += `content-range: bytes ${start}-${range.end}/${size}\r\n`;
    }
  }
  headers += `content-length: ${end - start}\r\n`;
  if (exchange.method === 'HEAD') {
    exchange.respond(status, headers, '');
    return;
  }
  const fd = fs.openSync(file, 'r');
  if (end - start <= PIECE) {
    try {
      const bytes = Buffer.allocUnsafe(end - start);
      exchange.respond(status, headers, bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, start)));
    } finally {
      fs.closeSync(fd);
    }
    return;
  }
  exchange.start(status, headers);
  stream(exchange, fd, start, end).catch((error) => fail(exchange, error));
}

/** Whether a page is wanted that the site's own script makes, rather than a file that is missing. @param {ExchangeType} exchange @param {string} path */
function isNavigation(exchange, path) {
  return (
    !path.slice(path.lastIndexOf('/')).includes('.') ||
    (exchange.header('accept') ?? '').includes('text/html')
  );
}

/** @param {SiteType} site @returns {(exchange: ExchangeType) => void} */
function serve(site) {
  /** @param {ExchangeType} exchange */
  const one = (exchange) => {
    const { method } = exchange;
    if (method !== 'GET' && method !== 'HEAD') {
      if (method === 'OPTIONS') exchange.respond(204, 'allow: GET, HEAD, OPTIONS\r\n', '');
      else
        exchange.respond(
          405,
          'allow: GET, HEAD, OPTIONS\r\ncontent-type: text/plain\r\n',
          'method not allowed\n',
        );
      return;
    }
    const path = pathOf(exchange.target);
    if (path === undefined) {
      refuse(exchange, 400, 'bad_path', 'the path cannot be decoded');
      return;
    }
    const found = site.find(path);
    if (found === undefined) {
      const index = site.options.spa && isNavigation(exchange, path) ? site.find('/') : undefined;
      const page = index ?? site.find('/404.html');
      if (page !== undefined && 'page' in page) answer(exchange, page.page, index === undefined ? 404 : 200);
      else exchange.respond(404, `${SAFE}content-type: text/plain; charset=utf-8\r\n`, 'not found\n');
    } else if ('redirect' in found) {
      const mark = exchange.target.indexOf('?');
      const query = mark < 0 ? '' : exchange.target.slice(mark);
      exchange.respond(308, `location: ${found.redirect}${query}\r\n`, '');
    } else answer(exchange, found.page, 200);
  };
  return (exchange) => {
    try {
      one(exchange);
    } catch (error) {
      fail(exchange, error);
    }
  };
}

module.exports = { serve };
