// @ts-check
'use strict';
/** Which file a path means, and what is known of it. A package never changes: what has been looked up once stays true. */

const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');
const { typeOf } = require('./types.cjs');
const { isFingerprinted } = require('./negotiate.cjs');

/** Paths whose file is remembered; with more, all are forgotten. */
const MAX_KNOWN = 10_000;
/** Files up to this size are known by their content; larger ones by the revision they belong to. Bytes. */
const HASHED = 4 * 1048576;
const VARIANTS = [
  ['br', '.br'],
  ['zstd', '.zst'],
  ['gzip', '.gz'],
];
const FOREVER = 'public, max-age=31536000, immutable';
const ASK_AGAIN = 'public, max-age=0, must-revalidate';

/**
 * @typedef {object} Stored one file as bytes
 * @property {string} file absolute @property {number} size bytes @property {string} etag @property {string | undefined} coding
 */
/**
 * @typedef {object} Page
 * @property {Stored} plain
 * @property {Stored[]} variants compressed beforehand, best first
 * @property {string} type
 * @property {string} cacheControl
 */
/** @typedef {{page: Page} | {redirect: string} | undefined} Found */

class Site {
  /**
   * @param {string} root real path @param {{revision: string, spa: boolean, index: string, cacheControl: string | undefined}} options
   *   `index`: what a directory is answered with; `cacheControl`: for what has no hash in its name
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    /** @type {Map<string, Found>} */
    this.known = new Map();
  }

  /** @param {string} name relative to the root @returns {{file: string, stats: fs.Stats} | undefined} */
  look(name) {
    const file = path.join(this.root, name);
    try {
      // Links are followed as long as they stay inside.
      const real = fs.realpathSync(file);
      if (real !== this.root && !real.startsWith(this.root + path.sep)) return undefined;
      return { file: real, stats: fs.statSync(real) };
    } catch {
      return undefined;
    }
  }

  /** @param {string} name @param {string | undefined} coding @returns {Stored | undefined} */
  stored(name, coding) {
    const found = this.look(name);
    if (found?.stats.isFile() !== true) return undefined;
    const { size } = found.stats;
    const hash = createHash('sha256');
    try {
      if (size <= HASHED) hash.update(fs.readFileSync(found.file));
      else hash.update(`${this.options.revision}\0${name}\0${size}`);
    } catch {
      return undefined; // not readable
    }
    return { file: found.file, size, etag: `"${hash.digest('base64url').slice(0, 27)}"`, coding };
  }

  /** @param {string} name @returns {Page | undefined} */
  page(name) {
    const plain = this.stored(name, undefined);
    if (plain === undefined) return undefined;
    const variants = [];
    for (const [coding, extension] of VARIANTS) {
      const variant = this.stored(name + extension, coding);
      if (variant !== undefined && variant.size < plain.size) variants.push(variant);
    }
    const base = path.basename(name);
    const cacheControl = isFingerprinted(base) ? FOREVER : (this.options.cacheControl ?? ASK_AGAIN);
    return { plain, variants, type: typeOf(base), cacheControl };
  }

  /**
   * @param {string} target path of the request, decoded, beginning with `/`
   * @returns {Found} undefined when nothing is there
   */
  find(target) {
    const known = this.known.get(target);
    if (known !== undefined) return known;
    const found = this.search(target);
    if (found === undefined) return undefined; // not remembered: strangers could fill the memory with them
    if (this.known.size >= MAX_KNOWN) this.known.clear();
    this.known.set(target, found);
    return found;
  }

  /** @param {string} target @returns {Found} */
  search(target) {
    const segments = target.split('/').slice(1);
    for (const [at, segment] of segments.entries()) {
      const last = at === segments.length - 1;
      // Hidden files are no part of a site, but those that standards put there are.
      if (segment.startsWith('.') && !(at === 0 && segment === '.well-known')) return undefined;
      if ((segment === '' && !last) || segment.includes('\\')) return undefined;
    }
    const name = segments.join('/');
    if (name === '' || name.endsWith('/')) {
      const page = this.page(name + this.options.index);
      return page && { page };
    }
    const page = this.page(name) ?? this.page(`${name}.html`);
    if (page !== undefined) return { page };
    // Relative, because the gateway may have taken a prefix off the path.
    if (this.look(name)?.stats.isDirectory() && this.page(`${name}/${this.options.index}`) !== undefined)
      return { redirect: `./${encodeURIComponent(/** @type {string} */ (segments.at(-1)))}/` };
    return undefined;
  }
}

module.exports = { Site };
