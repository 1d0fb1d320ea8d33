// @ts-check
'use strict';
/**
 * The supervisor of the isolate runtime: web-standard handlers in workerd, each function in an isolate of its own. One instance may
 * hold many functions of a namespace (`lease`, `release`), or is one function's (`specialise`).
 */

const path = require('node:path');
const { live } = require('../node/lib/life.cjs');

/** Functions that one instance may hold beside its own. */
const SLOTS = Number(process.env.PETREL_SLOTS ?? 256);
const dir = path.dirname(process.env.PETREL_SOCKET ?? '/');
const functions = () => require('./lib/load.cjs').functionsOf(dir, SLOTS + 1);

live({
  name: 'isolate',
  ownServer: true,
  language: require('./package.json').dependencies.workerd,
  warmUp: () => functions().warmUp(),
  load: (params, context) => functions().load(params, context),
  reachable: () => functions().reachable(),
  beside: {
    drain: (graceMs) => functions().drainAll(graceMs),
    stop: () => functions().stop('SIGTERM'),
  },
  calls: {
    lease: (params, context) => functions().lease(params, context),
    leases: () => functions().held(),
    release: (params) => functions().release(params),
    'drain-lease': (params) => functions().drainLease(params),
  },
});
