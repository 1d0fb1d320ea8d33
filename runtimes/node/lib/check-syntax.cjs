// @ts-check
'use strict';
/**
 * Compiles the static import graph of a file without running any of it, so that a syntax error is printed as only Node itself
 * can: file, line, source and caret. Run with --experimental-vm-modules; its only output is that error.
 */

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { createRequire, stripTypeScriptTypes } = require('node:module');
const { fileURLToPath } = require('node:url');

const queue = [/** @type {string} */ (process.argv[2])];
const seen = new Set(queue);
for (const file of queue) {
  if (!/\.(mjs|js|ts|mts)$/.test(file)) continue;
  let source = fs.readFileSync(file, 'utf8');
  if (/ts$/.test(file)) source = stripTypeScriptTypes(source);
  // SourceTextModule is only there with the flag.
  const unit = new /** @type {any} */ (vm).SourceTextModule(source, { identifier: file });
  for (const { specifier } of unit.moduleRequests) {
    let next;
    if (specifier.startsWith('.')) next = path.resolve(path.dirname(file), specifier);
    else if (specifier.startsWith('file:')) next = fileURLToPath(specifier);
    else {
      try {
        next = createRequire(file).resolve(specifier);
      } catch {}
    }
    if (next !== undefined && path.isAbsolute(next) && fs.existsSync(next) && !seen.has(next)) {
      seen.add(next);
      queue.push(next);
    }
  }
}
