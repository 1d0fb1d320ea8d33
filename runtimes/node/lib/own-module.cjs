// @ts-check
'use strict';
/** The module `petrel`, which functions with state import without installing anything. One of the package's own wins. */
const nodeModule = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

function provide() {
  const url = pathToFileURL(path.join(__dirname, '..', 'sdk', 'petrel.mjs')).href;
  nodeModule.registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier !== 'petrel') return nextResolve(specifier, context);
      try {
        return nextResolve(specifier, context);
      } catch {
        return { url, format: 'module', shortCircuit: true };
      }
    },
  });
}

module.exports = { provide };
