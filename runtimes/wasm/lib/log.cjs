// @ts-check
'use strict';
/** The one log of the functions of a process. */

/** Begins each line with whose it is. @param {string} [name] of the function @returns {(bytes: Buffer) => void} takes whole lines */
const logOf =
  (name = 'function') =>
  (bytes) => {
    const lines = bytes.toString().replace(/\n$/, '').replace(/^/gm, `[${name}] `);
    process.stderr.write(`${lines}\n`);
  };

module.exports = { logOf };
