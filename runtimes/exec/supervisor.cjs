// @ts-check
'use strict';
/** The supervisor of the exec runtime: any executable or script as a function, one process per request. */

const os = require('node:os');
const { live } = require('../node/lib/life.cjs');

live({
  name: 'exec',
  language: os.release(),
  warmUp() {
    require('./lib/load.cjs');
    return require('./lib/pipes.cjs').prepare();
  },
  load: (params, context) => require('./lib/load.cjs').load(params, context),
});
