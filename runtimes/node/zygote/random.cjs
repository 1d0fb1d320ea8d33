// @ts-check
'use strict';
/** Random numbers in processes that are forked: what one has drawn, or is about to, must not be another's. */

const crypto = require('node:crypto');
const v8 = require('node:v8');
const { libc, must } = require('./libc.cjs');

/** xoshiro128** by Blackman and Vigna: as good as V8's own, whose state nobody can set once it has been used. */
let [a, b, c, d] = [1, 2, 3, 4];

function next() {
  const five = Math.imul(b, 5);
  const result = Math.imul((five << 7) | (five >>> 25), 9);
  const shifted = b << 9;
  c ^= a;
  d ^= b;
  b ^= c;
  a ^= d;
  c ^= shifted;
  d = (d << 11) | (d >>> 21);
  return result >>> 0;
}

function seed() {
  [a, b, c, d] = /** @type {any} */ (crypto.randomFillSync(new Int32Array(4)));
}

/** Puts a generator that can be seeded again in the place of `Math.random`, before code can keep the other one. */
function install() {
  seed();
  Object.defineProperty(Math, 'random', {
    ...Object.getOwnPropertyDescriptor(Math, 'random'),
    value: { random: () => ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 2 ** 53 }.random,
  });
}

/** Random bytes that Node keeps ahead: for `randomUUID` 128 at a time, for `randomInt` 6 KiB of six bytes each. */
const AHEAD = { uuids: 128, integers: 1024 };

/** In a child of a process with the generator above. @param {boolean} drawn code has drawn random numbers from Node before the fork */
function reseed(drawn) {
  seed();
  if (!drawn) return;
  for (let each = 0; each < AHEAD.uuids; each++) crypto.randomUUID();
  for (let each = 0; each < AHEAD.integers; each++) crypto.randomInt(2);
}

const drawnFirst = Buffer.alloc(4);

/** In a child of a process that has drawn nothing: V8 takes its seed at the first use, which comes after the fork. */
function seedFirst() {
  // The kernel's own: what is asked for here takes no part of Node's that would have to be set up for it.
  must(Number(libc.getrandom(drawnFirst, BigInt(drawnFirst.length), 0)), 'getrandom');
  const seed = drawnFirst.readUInt32LE();
  v8.setFlagsFromString(`--random-seed=${1 + (seed >>> 1)}`);
  Math.random();
  v8.setFlagsFromString('--random-seed=0');
}

module.exports = { install, reseed, seedFirst };
