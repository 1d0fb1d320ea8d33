// @ts-check
'use strict';
/** Lets a debugger in before the function's code is loaded, so that breakpoints in its first lines hold. */

const { SpecialiseError } = require('./entry.cjs');

/** The revision before has the port until its requests are over: so many ports are tried. */
const PORTS = 4;

/**
 * Opens the inspector on loopback; Node says on which port in the function's log.
 * @param {number} port
 */
function openDebugger(port) {
  const inspector = require('node:inspector');
  for (let next = port; next < port + PORTS; next++) {
    inspector.open(next, '127.0.0.1');
    if (inspector.url() !== undefined) return;
  }
  throw new SpecialiseError(
    'LoadError',
    `no debugger can listen on the ports ${port} to ${port + PORTS - 1}: they are taken`,
  );
}

module.exports = { openDebugger };
