// @ts-check
'use strict';
/** How a file of a package is called in the package's cache. */

const fs = require('node:fs');
const path = require('node:path');

/**
 * V8 itself compares no more than the length of a source, so the name has to tell one content from another. Inode and
 * change time do: nothing can alter a file and leave both. (A digest would cost more than it saves: 7 ms to load the module.)
 * @param {string} file @param {string} kind the ending, by what is kept
 */
function cacheName(file, kind) {
  const { ino, size, ctimeNs } = fs.statSync(file, { bigint: true });
  return `${path.basename(file)}-${size}-${ino.toString(36)}-${ctimeNs.toString(36)}-${process.versions.v8}-${process.arch}.${kind}`;
}

module.exports = { cacheName };
