// @ts-check
'use strict';
/**
 * The supervisor of the wasm runtime: WebAssembly modules for WASI, each request in a fresh memory on a thread that can be ended. One
 * process may hold many functions of a namespace (`lease`, `release`), or is one function's (`specialise`).
 */

const path = require('node:path');
const { live } = require('../node/lib/life.cjs');

const dir = path.dirname(process.env.PETREL_SOCKET ?? '/');
/** @type {InstanceType<typeof import('./lib/leases.cjs').Leases> | undefined} */
let made;
const leases = () => {
  made ??= require('./lib/load.cjs').leasesIn(dir);
  return made;
};

live({
  name: 'wasm',
  language: process.versions.v8,
  warmUp: async (idle) => {
    await require('./lib/load.cjs').warmUp();
    if (idle()) leases().prepare();
  },
  load: (params) => require('./lib/load.cjs').load(params),
  beside: {
    drain: async (graceMs) => (await made?.drain(graceMs)) ?? 0,
    stop: async () => made?.hangUp(),
  },
  calls: {
    lease: (params) => leases().lease(params),
    leases: () => leases().held(),
    release: (params) => leases().release(params),
    'drain-lease': (params) => leases().drainLease(params),
  },
});
