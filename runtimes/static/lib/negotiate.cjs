// @ts-check
'use strict';
/** Decisions about one file and one request, of their arguments alone: RFC 9110, sections 8.8, 12.5.3, 13 and 14. */

/** @param {string | undefined} accept value of accept-encoding @param {string} coding @returns {boolean} */
function accepts(accept, coding) {
  if (accept === undefined) return false;
  let any = false;
  for (const part of accept.toLowerCase().split(',')) {
    const [name, ...parameters] = part.split(';').map((word) => word.trim());
    const wanted = !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (name === coding) return wanted;
    if (name === '*') any = wanted;
  }
  return any;
}

/** @param {string | undefined} header if-none-match @param {string} etag @returns {boolean} whether the client has it */
function matches(header, etag) {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag);
}

/**
 * The part that is asked for: `undefined` for the whole (also of what is not understood, or of several parts), `null` for none that exists.
 * @param {string | undefined} header range @param {number} size of the file @returns {{start: number, end: number} | null | undefined} `end` inclusive
 */
function rangeOf(header, size) {
  const match = header === undefined ? null : /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const length = Number(match[2]);
    return length === 0 || size === 0 ? null : { start: Math.max(0, size - length), end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== '' && Number(match[2]) < start) return undefined;
  return start >= size ? null : { start, end };
}

/** A build has put a hash of the content into the name: it never changes. @param {string} name */
function isFingerprinted(name) {
  const found = /[.-]([0-9A-Za-z_-]{8,})\.[0-9a-z]+(\.map)?$/.exec(name)?.[1];
  return (
    found !== undefined &&
    (/^[0-9a-f]{8,}$/.test(found) || (/[0-9]/.test(found) && /[A-Z]/.test(found) && /[a-z]/.test(found)))
  );
}

module.exports = { accepts, matches, rangeOf, isFingerprinted };
