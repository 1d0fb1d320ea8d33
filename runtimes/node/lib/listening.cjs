// @ts-check
'use strict';
/** Servers that user code starts in this process: programs that need no process of their own. */

const diagnostics = require('node:diagnostics_channel');

/** @type {Set<import('node:net').Server>} */
const servers = new Set();
/** @type {Set<() => void>} */
const waiters = new Set();
let installed = false;

/** Begins to notice servers. Called once the platform's own socket listens, so that it is not among them. */
function watchListening() {
  if (installed) return;
  installed = true;
  diagnostics.tracingChannel('net.server.listen').subscribe(
    /** @type {any} */ ({
      asyncEnd(/** @type {{server: import('node:net').Server}} */ { server }) {
        servers.add(server);
        server.once('close', () => servers.delete(server));
        for (const waiter of [...waiters]) waiter();
      },
    }),
  );
}

/** @param {import('node:net').AddressInfo} address @param {number} port */
function reach({ address }, port) {
  return { kind: 'http1', host: address === '::1' ? '::1' : '127.0.0.1', port };
}

/** Ports user code listens on, in this process. @returns {{server: import('node:net').Server, address: import('node:net').AddressInfo}[]} */
function listening() {
  const found = [];
  for (const server of servers) {
    const address = server.address();
    if (address !== null && typeof address === 'object') found.push({ server, address });
  }
  return found;
}

/**
 * Waits for a server on `port`. @param {number} port @param {number} limitMs
 * @param {() => boolean} pending whether user code still has something going that could lead to one
 * @returns {Promise<{kind: string, host: string, port: number} | undefined>}
 */
function whenListening(port, limitMs, pending) {
  const found = () => {
    const hit = listening().find(({ address }) => address.port === port);
    return hit === undefined ? undefined : reach(hit.address, port);
  };
  return new Promise((resolve) => {
    const done = () => {
      const hit = found();
      if (hit === undefined && Date.now() < deadline && pending()) return;
      clearInterval(timer);
      waiters.delete(done);
      resolve(hit);
    };
    const deadline = Date.now() + limitMs;
    const timer = setInterval(done, 20);
    waiters.add(done);
    done();
  });
}

module.exports = { watchListening, listening, whenListening };
