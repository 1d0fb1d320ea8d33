// @ts-check
'use strict';
/** The supervisor of the wasm runtime: WebAssembly modules for WASI, each request in a fresh memory on a thread that can be ended. */

const { live } = require('../node/lib/life.cjs');

live({
  name: 'wasm',
  language: process.versions.v8,
  warmUp: () => require('./lib/load.cjs').warmUp(),
  load: (params) => require('./lib/load.cjs').load(params),
});
