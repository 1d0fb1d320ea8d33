// @ts-check
'use strict';
/**
 * Brings workerd, which is large and which few need: the version and digests of package-lock.json, into node_modules beside it. Run by the
 * platform when the first function asks for this runtime, and by tests. Several at a time do no harm: one works, the others wait for it.
 */

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { binary } = require('./lib/process.cjs');

const LIMIT_MS = 5 * 60_000;
/** A lock older than this was left behind. */
const STALE_MS = LIMIT_MS + 60_000;
const lock = path.join(__dirname, '.bringing');

/** @returns {string | undefined} why it is not there now; undefined when it is */
function bring() {
  if (fs.existsSync(binary())) return undefined;
  for (;;) {
    try {
      fs.mkdirSync(lock);
      break;
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code !== 'EEXIST') return `nothing can be written to ${__dirname}: ${message}`;
    }
    const since = fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - since > STALE_MS) fs.rmSync(lock, { recursive: true, force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    if (fs.existsSync(binary())) return undefined;
    // --no-save keeps the lock file as it is: what it pins, with its digests, is what gets installed.
    const quiet = ['--no-audit', '--no-fund', '--fetch-retries=1', '--loglevel=error'];
    const args = ['install', '--no-save', '--omit=dev', '--include=optional', '--ignore-scripts', ...quiet];
    const npm = spawnSync('npm', args, { cwd: __dirname, encoding: 'utf8', timeout: LIMIT_MS });
    if (fs.existsSync(binary())) return undefined;
    fs.rmSync(path.join(__dirname, 'node_modules'), { recursive: true, force: true }); // half of it would pass for the whole
    const said = `${npm.stderr ?? ''}${npm.error?.message ?? ''}`.trim().slice(-1000);
    return said === '' ? `npm brought no workerd for ${process.platform} ${process.arch}` : said;
  } finally {
    fs.rmSync(lock, { recursive: true, force: true });
  }
}

if (require.main === module) {
  const why = bring();
  if (why !== undefined) {
    process.stderr.write(`${why}\n`);
    process.exitCode = 1;
  }
}

module.exports = { bring };
