// @ts-check
'use strict';
/** A component that a build has translated: modules, and the JavaScript that joins them. */

const fs = require('node:fs');
const path = require('node:path');
const { SpecialiseError } = require('../../node/lib/entry.cjs');
const { SUFFIX } = require('../component/build.cjs');
const { compiledFrom } = require('./module.cjs');

/** @typedef {{dir: string, modules: Record<string, WebAssembly.Module>}} Parts */

/** @param {string} name @param {string} file @returns {Promise<{key: string, parts: Parts}>} @throws {InstanceType<typeof SpecialiseError>} LoadError */
async function partsOf(name, file) {
  const dir = `${file}${SUFFIX}`;
  if (!fs.existsSync(dir))
    throw new SpecialiseError('LoadError', `${name} is a WebAssembly component that was not built`, {
      file: name,
      detail: `${name} is a component, which a build translates: put it at the top of the package, and do not deploy it with --build never.`,
    });
  /** @type {Parts['modules']} */
  const modules = {};
  let key = dir;
  for (const part of fs.readdirSync(dir).filter((one) => one.endsWith('.wasm'))) {
    const compiled = await compiledFrom(`${name}${SUFFIX}/${part}`, path.join(dir, part));
    modules[part] = compiled.module;
    key += `:${compiled.key}`;
  }
  return { key, parts: { dir, modules } };
}

module.exports = { partsOf };
