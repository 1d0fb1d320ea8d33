// @ts-check
'use strict';
/** What a function may use of Node, tried in a forked process: its end with 0 says that all of it works. */

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

/** The smallest module: `(module)`. */
const WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** @param {(done: () => void, failed: (error: Error) => void) => void} work */
const promised = (work) => new Promise((resolve, reject) => work(() => resolve(undefined), reject));

/** @type {Record<string, () => Promise<unknown>>} */
const TESTS = {
  timers: () => promised((done) => setTimeout(done, 1)),
  files: () => fs.promises.readFile(__filename),
  crypto: () =>
    promised((done, failed) =>
      require('node:crypto').pbkdf2('a', 'b', 10, 16, 'sha256', (/** @type {any} */ error) =>
        error ? failed(error) : done(),
      ),
    ),
  zlib: () =>
    promised((done, failed) =>
      require('node:zlib').deflate('abc', (/** @type {any} */ error) => (error ? failed(error) : done())),
    ),
  sockets: () =>
    promised((done, failed) => {
      const file = path.join(os.tmpdir(), `petrel-zygote-${require('node:crypto').randomUUID()}`);
      const server = net.createServer((socket) => socket.end('x')).on('error', failed);
      server.listen(file, () =>
        net
          .connect(file)
          .on('error', failed)
          .on('data', () => server.close(done)),
      );
    }),
  webAssembly: () => WebAssembly.instantiate(WASM),
  garbage: async () => {
    const kept = [];
    for (let i = 0; i < 200_000; i++) kept[i % 1000] = { i, text: `${i}` };
  },
  processes: () =>
    promised((done, failed) =>
      require('node:child_process').execFile('/bin/sh', ['-c', 'exit 0'], (error) =>
        error ? failed(error) : done(),
      ),
    ),
  worker: () =>
    promised((done, failed) => {
      const { Worker } = require('node:worker_threads');
      new Worker('', { eval: true }).on('error', failed).on('exit', done);
    }),
};

async function run() {
  for (const [name, test] of Object.entries(TESTS)) {
    try {
      await test();
    } catch (error) {
      fs.writeSync(2, `petrel: a forked process failed at ${name}: ${error}\n`);
      process.exit(1);
    }
  }
  process.exit(0);
}

module.exports = { run };
