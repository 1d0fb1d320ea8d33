// @ts-check
'use strict';
/** The header lines that a CGI program writes before its answer (RFC 3875, 6). */

const { checkName, checkValue, line, blockHas } = require('../../node/lib/head.cjs');

/** Longest head, bytes. */
const MAX_HEAD = 65536;

/** What a program wrote is not what CGI asks for. */
class CgiError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'CgiError';
  }
}

/** @param {Buffer} bytes @returns {{end: number, body: number} | undefined} where the head ends and the body begins */
function endOfHead(bytes) {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return { end: at, body: at + 2 };
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return { end: at, body: at + 3 };
  }
  return undefined;
}

/** @param {string} value `404 Not Found` @returns {number} @throws {CgiError} */
function statusOf(value) {
  const status = Number(/^(\d{3})(?: |$)/.exec(value)?.[1]);
  if (!(status >= 200 && status <= 599))
    throw new CgiError(`Status is "${value}"; it is a number from 200 to 599, perhaps followed by a reason`);
  return status;
}

/**
 * @param {Buffer} bytes what the program has written so far
 * @param {boolean} ended whether it has written all
 * @returns {{status: number, headers: string, body: Buffer} | undefined} undefined while the head is not complete
 * @throws {CgiError | TypeError}
 */
function readHead(bytes, ended) {
  const found = endOfHead(bytes);
  if (found === undefined) {
    if (!ended && bytes.length <= MAX_HEAD) return undefined;
    const begin = JSON.stringify(bytes.toString('latin1', 0, 80));
    throw new CgiError(
      bytes.length === 0
        ? 'the program wrote nothing; a CGI answer begins with a header line such as "Content-Type: text/plain" and an empty line'
        : `no empty line ends the header lines of the answer, which begins with ${begin}`,
    );
  }
  let headers = '';
  let location = false;
  /** @type {number | undefined} */
  let status;
  for (const one of bytes.toString('latin1', 0, found.end).split(/\r?\n/)) {
    const colon = one.indexOf(':');
    if (colon < 1) throw new CgiError(`not a header line: ${JSON.stringify(one.slice(0, 80))}`);
    const name = checkName(one.slice(0, colon));
    const value = checkValue(one.slice(colon + 1));
    if (name === 'status') status = statusOf(value);
    else headers += line(name, value);
    location ||= name === 'location';
  }
  if (status === undefined && !location && !blockHas(headers, 'content-type'))
    throw new CgiError('the answer has neither Content-Type, Status nor Location among its header lines');
  return { status: status ?? (location ? 302 : 200), headers, body: bytes.subarray(found.body) };
}

module.exports = { readHead, CgiError };
