// @ts-check
'use strict';
/** The supervisor of the lambda runtime: programs that fetch their work from AWS Lambda's Runtime API, as AWS's own clients do. */

const { live } = require('../node/lib/life.cjs');

live({
  name: 'lambda',
  language: '2018-06-01',
  warmUp: () => void require('./lib/load.cjs'),
  load: (params, context) => require('./lib/load.cjs').load(params, context),
});
