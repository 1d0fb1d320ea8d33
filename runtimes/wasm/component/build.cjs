// @ts-check
'use strict';
/** Builds of components: brings what translates them, once per cache, and has it do so. */

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');

/** Where the translation of a component stands: beside it, under its name with this at the end. */
const SUFFIX = '.parts';
/** First bytes of a component; those of a module differ in the fifth and seventh. */
const MAGIC = '\0asm\r\0\x01\0';

/** @param {string} file @returns {boolean} */
function isComponent(file) {
  const begin = Buffer.alloc(MAGIC.length);
  const handle = fs.openSync(file, 'r');
  try {
    return fs.readSync(handle, begin) === begin.length && begin.toString('latin1') === MAGIC;
  } finally {
    fs.closeSync(handle);
  }
}

/** @param {string} cache @returns {string} directory of the tools; ends the process when they cannot be had */
function toolsIn(cache) {
  const lock = fs.readFileSync(path.join(__dirname, 'package-lock.json'));
  const tools = path.join(cache, `component-${createHash('sha256').update(lock).digest('hex').slice(0, 16)}`);
  if (fs.existsSync(tools)) return tools;
  process.stdout.write('bringing what translates components (@bytecodealliance/jco-transpile)\n');
  const fresh = `${tools}.new`;
  fs.rmSync(fresh, { recursive: true, force: true });
  fs.mkdirSync(fresh, { recursive: true });
  for (const name of ['package.json', 'package-lock.json'])
    fs.copyFileSync(path.join(__dirname, name), path.join(fresh, name));
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--ignore-scripts'];
  // Not `ci`, which refuses a lock file without the optional packages that nobody has published. What the file pins, with its digests, is what gets installed.
  const npm = spawnSync('npm', ['install', '--no-save', '--omit=dev', ...quiet], {
    cwd: fresh,
    stdio: 'inherit',
    env: { ...process.env, npm_config_cache: path.join(cache, 'npm') },
  });
  if (npm.error !== undefined)
    process.stderr.write(`npm cannot be run: ${npm.error.message}; install npm (apt install npm)\n`);
  if (npm.status !== 0) process.exit(npm.status ?? 1);
  fs.renameSync(fresh, tools);
  return tools;
}

/** Translates every component in a directory. @param {string} output @param {string} cache */
function translateAll(output, cache) {
  for (const name of fs.readdirSync(output).filter((one) => one.endsWith('.wasm'))) {
    const file = path.join(output, name);
    if (!isComponent(file)) continue;
    const args = [path.join(__dirname, 'translate.mjs'), toolsIn(cache), file, `${file}${SUFFIX}`];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
    // Only that it is there, and that it is a component, is of use from here on.
    fs.truncateSync(file, MAGIC.length);
  }
}

module.exports = { translateAll, isComponent, SUFFIX };
