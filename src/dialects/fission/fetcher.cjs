// Beside an environment's own server in its Pod: brings the package to /userfunc, tells the server to load it, and says so by a file.
// Given as text to a plain Node: nothing of the platform is imported.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');

const { url, target, specialise } = JSON.parse(process.env.FISSION_FETCH ?? '{}');
const port = Number(process.env.PORT);
const READY = path.join(path.dirname(target), '.specialised');
const LOOK_MS = 50;
const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Files come one after the other: a line of JSON, then the bytes. A file without a name is the whole package. */
async function unpack() {
  const response = await new Promise((resolve, reject) => http.get(url, resolve).on('error', reject));
  if (response.statusCode !== 200) throw new Error(`the package is answered with ${response.statusCode}`);
  let rest = Buffer.alloc(0);
  let left = 0;
  let file = -1;
  for await (const chunk of response) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (;;) {
      if (left > 0) {
        const part = rest.subarray(0, left);
        fs.writeSync(file, part);
        left -= part.length;
        rest = rest.subarray(part.length);
        if (left > 0) break;
      }
      const end = rest.indexOf(10);
      if (end === -1) break;
      const head = JSON.parse(rest.subarray(0, end).toString());
      rest = rest.subarray(end + 1);
      const name = head.name === '' ? target : path.join(target, head.name);
      fs.mkdirSync(path.dirname(name), { recursive: true });
      if (file !== -1) fs.closeSync(file);
      file = fs.openSync(name, 'w', head.mode);
      left = head.size;
    }
  }
  if (left > 0 || rest.length > 0) throw new Error('the package ended too early');
}

/** @returns {Promise<boolean>} */
const listens = () =>
  new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    const end = (/** @type {boolean} */ open) => {
      socket.destroy();
      resolve(open);
    };
    socket.on('connect', () => end(true)).on('error', () => end(false));
  });

/** Resolves when a connection that asks for nothing ends: the server has gone, or has had enough of it. */
const connectionEnds = () =>
  new Promise((resolve) => {
    net.connect({ host: '127.0.0.1', port }).on('error', resolve).on('close', resolve).resume();
  });

/** A server that is specialised already says 400. @returns {Promise<void>} */
const load = (/** @type {boolean} */ again) =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': specialise.type, 'content-length': Buffer.byteLength(specialise.body) };
    const options = { host: '127.0.0.1', port, method: 'POST', path: specialise.path, headers };
    const outgoing = http.request(options, async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      const said = Buffer.concat(parts).toString().trim();
      const status = response.statusCode ?? 500;
      if (status < 300 || (again && status === 400)) resolve();
      else reject(new Error(said || `the environment answered ${response.statusCode}`));
    });
    outgoing.on('error', reject);
    outgoing.end(specialise.body);
  });

async function main() {
  await unpack();
  for (let again = false; ; again = true) {
    while (!(await listens())) {
      // A server that was restarted is generic: nothing may reach it before it has loaded the function again.
      fs.rmSync(READY, { force: true });
      await sleep(LOOK_MS);
    }
    await load(again);
    fs.writeFileSync(READY, '');
    await connectionEnds();
  }
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
