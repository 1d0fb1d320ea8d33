// @ts-check
'use strict';
/** The supervisor of the static runtime: a directory of files as a site. */

const { live } = require('../node/lib/life.cjs');

live({
  name: 'static',
  language: '1',
  warmUp: () => require('./lib/load.cjs'),
  load: async (params) => require('./lib/load.cjs').load(params),
});
