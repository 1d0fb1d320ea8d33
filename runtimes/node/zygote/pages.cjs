// @ts-check
'use strict';
/**
 * Memory that every instance writes to on its way to the first answer. A forked process shares all memory until it writes, and each
 * page that it writes to for the first time costs it a fault and a copy. One process finds out which pages these are; each after it has
 * them copied at once, as long as nobody waits for it.
 */

const fs = require('node:fs');

const PAGE = 4096;
const ENTRY = 8;
/** Bits of the upper half of an entry of /proc/self/pagemap: there is a page; it is a file's or shared memory; nobody else has it. */
const PRESENT = 0x80000000;
const FILE = 0x20000000;
const EXCLUSIVE = 0x01000000;
const LOOKED_AT = PRESENT | FILE | EXCLUSIVE;
const MINE = PRESENT | EXCLUSIVE;
/** Pages of which is read at a time. */
const CHUNK = 8192;
const entries = Buffer.alloc(CHUNK * ENTRY);

/** Private memory of this process that can be written to. @returns {{from: number, pages: number}[]} */
function writable() {
  const found = [];
  for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) .w.p/.exec(line);
    if (range === null) continue;
    const [from, to] = [Number(`0x${range[1]}`), Number(`0x${range[2]}`)];
    found.push({ from, pages: (to - from) / PAGE });
  }
  return found;
}

/**
 * In a forked process: what of its memory it has written to since the fork. Needs next to none itself, as that would be counted.
 * @param {{from: number, pages: number}[]} memory as `writable` had it before the fork
 * @returns {[from: number, length: number][]} addresses and bytes
 */
function writtenSinceFork(memory) {
  const map = fs.openSync('/proc/self/pagemap', 'r');
  /** @type {[number, number][]} */
  const found = [];
  for (const { from, pages } of memory) {
    let begin = -1;
    for (let page = 0; page < pages; page += CHUNK) {
      const count = Math.min(CHUNK, pages - page);
      fs.readSync(map, entries, 0, count * ENTRY, (from / PAGE + page) * ENTRY);
      for (let at = 0; at <= count; at++) {
        const mine = at < count && (entries.readInt32LE(at * ENTRY + 4) & LOOKED_AT) === (MINE | 0);
        if (mine && begin < 0) begin = page + at;
        if (mine || begin < 0) continue;
        found.push([from + begin * PAGE, (page + at - begin) * PAGE]);
        begin = -1;
      }
    }
  }
  fs.closeSync(map);
  return found;
}

/** @param {[from: number, length: number][]} ranges @returns {number[]} addresses of the pages, in order */
const pagesOf = (ranges) =>
  ranges.flatMap(([from, length]) =>
    Array.from({ length: length / PAGE }, (_, index) => from + index * PAGE),
  );

/** @param {number[]} pages in order @returns {[from: number, length: number][]} */
function rangesOf(pages) {
  /** @type {[number, number][]} */
  const ranges = [];
  for (const page of pages) {
    const last = ranges.at(-1);
    if (last !== undefined && last[0] + last[1] === page) last[1] += PAGE;
    else ranges.push([page, PAGE]);
  }
  return ranges;
}

module.exports = { writable, writtenSinceFork, pagesOf, rangesOf };
