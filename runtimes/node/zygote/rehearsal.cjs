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
const { EventEmitter } = require('node:events');

const WARM = path.join(__dirname, '..', 'warm');
const REQUESTS = 20;
const HEAD = 'GET /warm?a=b\r\nhost: warm.invalid\r\naccept: */*\r\nx-request-id: warm\r\n';
/** What the instances of the rehearsal are loaded with, in turn: code that no process has loaded before. */
const CODE = [
  ['index.ts', 'export default { fetch: (request: Request) => new Response(request.method) };\n'],
  ['index.mjs', 'export default { fetch: (request) => Response.json({ method: request.method }) };\n'],
  ['index.cjs', 'exports.fetch = async (request) => new Response(request.url);\n'],
  ['index.js', 'module.exports = (req, res) => { res.end(req.url); };\n'],
];

/** The platform's end of a connection. @param {string} socket @param {'control' | 'data'} role */
async function connect(socket, role) {
  const { TYPE, FrameParser } = require('../lib/frames.cjs');
  const { frame } = require('../warm/warm-up.cjs');
  /** @type {{resolve: (type: number) => void, reject: (error: Error) => void}[]} */
  const waiting = [];
  const parser = new FrameParser((type) => waiting.shift()?.resolve(type));
  const connection = net.connect(socket);
  connection.on('data', (chunk) => parser.push(/** @type {Buffer} */ (chunk)));
  connection.once('close', () => {
    for (const { reject } of waiting) reject(new Error('the rehearsal was cut short'));
  });
  /** @param {number} type @param {number} stream @param {string} payload */
  const ask = (type, stream, payload) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      connection.write(frame(type, stream, payload));
    });
  await ask(TYPE.HELLO, 0, JSON.stringify({ version: 1, role }));
  return { ask, end: () => connection.end() };
}

/** One life, as the platform would have it. @param {string} socket @param {string} code */
async function play(socket, code) {
  const { TYPE } = require('../lib/frames.cjs');
  const control = await connect(socket, 'control');
  const params = {
    namespace: 'warm',
    function: 'warm',
    revision: 'warm',
    code,
    workdir: code,
    env: { PORT: '0', K_SERVICE: 'warm' },
    port: 0,
  };
  for (const [id, method] of ['health', 'specialise', 'health'].entries())
    await control.ask(TYPE.CALL, 0, JSON.stringify({ id, method, params }));
  await control.ask(TYPE.PING, 0, '12345678');
  const data = await connect(socket, 'data');
  for (let stream = 1; stream <= REQUESTS; stream++) await data.ask(TYPE.REQUEST, stream, HEAD);
  for (const each of [control, data]) each.end();
}

/** @param {number} lives */
async function rehearse(lives) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-rehearsal-'));
  const env = { ...process.env };
  try {
    const { RUNTIME } = require('../supervisor.cjs');
    const { useTypeCache, stopTypeCache } = require('../lib/type-cache.cjs');
    for (let life = 0; life < lives; life++) {
      const code = path.join(dir, `code-${life}`);
      const [file = '', source = ''] = CODE[life % CODE.length] ?? [];
      fs.mkdirSync(code);
      fs.writeFileSync(path.join(code, file), source);
      useTypeCache(code, path.join(dir, 'cache'));
      const socket = path.join(dir, `${life}.sock`);
      await require('../lib/life.cjs').rehearse(RUNTIME, socket, () => play(socket, code));
    }
    stopTypeCache();
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** A connection without another end, whose answers are heard of here. */
function talk() {
  const { FrameParser } = require('../lib/frames.cjs');
  const { frame } = require('../warm/warm-up.cjs');
  /** @type {((type: number) => void)[]} */
  const waiting = [];
  const parser = new FrameParser((type) => waiting.shift()?.(type));
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    writableLength: 0,
    write: (/** @type {Buffer} */ chunk) => parser.push(chunk),
    cork() {},
    uncork() {},
  });
  /** @param {number} type @param {number} stream @param {string} payload */
  const ask = (type, stream, payload) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      socket.emit('data', frame(type, stream, payload));
    });
  return { socket, ask };
}

/**
 * What a forked process does that is to tell which memory an instance writes to: it lives once without any connection, and ends. Made
 * ready before the fork, as what this takes would be counted. @returns {{explore: (fd: number) => Promise<void>, tidyUp: () => void}} `explore` writes to the
 *   descriptor what `writtenSinceFork` gives before it becomes a function's, and after its first answer
 */
function explorer() {
  const { libc } = require('./libc.cjs');
  const { TYPE } = require('../lib/frames.cjs');
  const { RUNTIME } = require('../supervisor.cjs');
  const { rehearseAlone } = require('../lib/life.cjs');
  const { writable, writtenSinceFork } = require('./pages.cjs');
  const [control, data] = [talk(), talk()];
  const cache = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-rehearsal-'));
  // As for code that has been loaded before.
  fs.mkdirSync(path.join(cache, 'modules'));
  const params = {
    code: WARM,
    entry: 'warm-handler.mjs',
    env: { PORT: '0', K_SERVICE: 'warm' },
    port: 0,
    cache,
  };
  const call = JSON.stringify({ id: 1, method: 'specialise', params });
  writtenSinceFork([]);
  const memory = writable();
  const explore = async (/** @type {number} */ fd) => {
    try {
      // The compiler's memory would be counted too.
      require('node:v8').setFlagsFromString('--max-optimized-bytecode-size=0');
      rehearseAlone(RUNTIME, [control.socket, data.socket]);
      await control.ask(TYPE.HELLO, 0, '{"version":1,"role":"control"}');
      // Twice: what looking takes itself is no part of it.
      writtenSinceFork(memory);
      const before = writtenSinceFork(memory);
      await control.ask(TYPE.CALL, 0, call);
      await data.ask(TYPE.HELLO, 0, '{"version":1,"role":"data"}');
      await data.ask(TYPE.REQUEST, 1, HEAD);
      fs.writeSync(fd, JSON.stringify([before, writtenSinceFork(memory)]));
    } finally {
      libc._exit(0);
    }
  };
  return { explore, tidyUp: () => fs.rmSync(cache, { recursive: true, force: true }) };
}

module.exports = { rehearse, explorer };
