// @ts-check
'use strict';
/** Requests to workerd's control socket: by hand, since Node's client takes as long for one as workerd for what it answers. */

const net = require('node:net');

/** Bytes of a head, at most. */
const MAX_HEAD = 8192;

class Control {
  /** @param {string} path of the socket */
  constructor(path) {
    this.path = path;
    /** @type {net.Socket[]} */
    this.idle = [];
  }

  /**
   * @param {string} what path @param {string} [body] JSON
   * @returns {Promise<string>} the answer's body. Rejects when the connection ends before it is whole.
   */
  async say(what, body) {
    const method = body === undefined ? 'GET' : 'POST';
    const length = body === undefined ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`;
    const bytes = `${method} ${what} HTTP/1.1\r\nhost: control\r\n${length}\r\n${body ?? ''}`;
    const kept = this.idle.pop();
    // One that has rested may have been closed just now: what was not answered is said again.
    if (kept !== undefined)
      return exchange(this, kept, bytes).catch(() => exchange(this, net.connect(this.path), bytes));
    return exchange(this, net.connect(this.path), bytes);
  }
}

/** @param {Control} control @param {net.Socket} socket @param {string} bytes @returns {Promise<string>} */
function exchange(control, socket, bytes) {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const broken = (/** @type {unknown} */ error) => {
      socket.destroy();
      reject(error instanceof Error ? error : new Error('workerd closed its control connection'));
    };
    const take = (/** @type {Buffer} */ chunk) => {
      answer = answer.length === 0 ? chunk : Buffer.concat([answer, chunk]);
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0) {
        if (answer.length > MAX_HEAD) broken(new Error('workerd answered without an end of its head'));
        return;
      }
      const length = /^content-length: *(\d+)/im.exec(answer.toString('latin1', 0, end))?.[1];
      if (length === undefined)
        return broken(new Error(`workerd said: ${answer.toString('latin1', 0, 500)}`));
      if (answer.length < end + 4 + Number(length)) return;
      socket.off('data', take);
      listen(
        () => {},
        () => {
          control.idle = control.idle.filter((one) => one !== socket);
        },
      );
      control.idle.push(socket);
      resolve(answer.toString('utf8', end + 4));
    };
    /** @param {(error: Error) => void} error @param {() => void} close instead of those before */
    const listen = (error, close) => {
      socket.removeAllListeners('error').on('error', error);
      socket.removeAllListeners('close').on('close', close);
    };
    socket.on('data', take);
    listen(broken, () => broken(undefined));
    socket.write(bytes);
  });
}

module.exports = { Control };
