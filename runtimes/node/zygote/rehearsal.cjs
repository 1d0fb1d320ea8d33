// @ts-check
'use strict';
/**
 * One whole life of an instance, in the zygote before anything is forked: connections, a function, requests. Whatever runs for the
 * first time compiles code and writes to memory; done here, no instance has to do it for itself.
 */

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

/** Often enough that V8 has gathered what it wants to know of the code. */
const REQUESTS = 20;
const WARM = path.join(__dirname, '..', 'warm');
const HEAD = 'GET /warm?a=b\r\nhost: warm.invalid\r\naccept: */*\r\nx-request-id: warm\r\n';

/** The platform's end of a connection. @param {string} socket @param {'control' | 'data'} role */
async function connect(socket, role) {
  const { TYPE, FrameParser } = require('../lib/frames.cjs');
  const { frame } = require('../warm/warm-up.cjs');
  /** @type {((type: number) => void)[]} */
  const waiting = [];
  const parser = new FrameParser((type) => waiting.shift()?.(type));
  const connection = net.connect(socket);
  connection.on('data', (chunk) => parser.push(/** @type {Buffer} */ (chunk)));
  /** @param {number} type @param {number} stream @param {string} payload */
  const ask = (type, stream, payload) =>
    new Promise((resolve, reject) => {
      waiting.push(resolve);
      connection.once('close', () => reject(new Error('the rehearsal was cut short')));
      connection.write(frame(type, stream, payload));
    });
  await ask(TYPE.HELLO, 0, JSON.stringify({ version: 1, role }));
  return { ask, end: () => connection.end() };
}

/** @param {string} socket */
async function play(socket) {
  const { TYPE } = require('../lib/frames.cjs');
  const control = await connect(socket, 'control');
  const params = {
    namespace: 'warm',
    function: 'warm',
    revision: 'warm',
    code: WARM,
    entry: 'warm.mjs',
    handler: 'plain',
    env: {},
  };
  for (const [id, method] of ['health', 'specialise', 'health'].entries())
    await control.ask(TYPE.CALL, 0, JSON.stringify({ id, method, params }));
  await control.ask(TYPE.PING, 0, '12345678');
  const data = await connect(socket, 'data');
  for (let stream = 1; stream <= REQUESTS; stream++) await data.ask(TYPE.REQUEST, stream, HEAD);
  for (const each of [control, data]) each.end();
}

async function rehearse() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-rehearsal-'));
  try {
    const { RUNTIME } = require('../supervisor.cjs');
    const socket = path.join(dir, 'i.sock');
    await require('../lib/life.cjs').rehearse(RUNTIME, socket, () => play(socket));
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

module.exports = { rehearse };
