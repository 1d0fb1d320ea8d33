// @ts-check
'use strict';
/** Whose a connection on loopback is: the Runtime API has no secret of its own, and loopback is the whole machine's. */

const fs = require('node:fs');

/** `0100007F:1F90` of an address as the kernel prints it. @param {number} port */
const loopback = (port) => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;

/**
 * Whether the peer of an accepted connection runs as the same user as this process. Instances of others have another user where the platform
 * may change users; elsewhere everything is one user's anyway.
 * @param {import('node:net').Socket} socket @returns {boolean}
 */
function isOwn(socket) {
  const { remotePort, localPort, remoteAddress } = socket;
  if (remotePort === undefined || localPort === undefined || remoteAddress !== '127.0.0.1') return false;
  let table;
  try {
    table = fs.readFileSync('/proc/self/net/tcp', 'latin1');
  } catch {
    return true; // no such table, no several users
  }
  const wanted = `${loopback(remotePort)} ${loopback(localPort)} `;
  const line = table.split('\n').find((one) => one.includes(wanted));
  const uid = line?.trim().split(/\s+/)[7];
  return uid === String(process.getuid?.());
}

module.exports = { isOwn };
