// @ts-check
'use strict';
/** Puts the debugger into the package of a function that is to be debugged: where instances run nothing of Go is needed. */

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

/** Pinned: it follows Go's versions, and is built by the Go that is there. */
const DELVE = 'github.com/go-delve/delve/cmd/dlv@v1.27.2';

/** @param {string | undefined} search */
const inPath = (search) =>
  (search ?? '')
    .split(path.delimiter)
    .map((dir) => path.join(dir, 'dlv'))
    .find((file) => fs.existsSync(file));

/**
 * The machine's own dlv, or one that is built once and kept in the builds' cache.
 * @param {string} target the file to make @param {NodeJS.ProcessEnv} env of Go @param {string} cache may be empty
 * @param {(message: string) => never} give ends the build
 */
function bringDelve(target, env, cache, give) {
  const own = path.join(cache || path.dirname(target), DELVE.replace(/^.*@/, 'dlv-'));
  const kept = path.join(own, 'dlv');
  const found = inPath(env.PATH) ?? (fs.existsSync(kept) ? kept : undefined);
  if (found === undefined) {
    process.stderr.write(`building the debugger: go install ${DELVE}\n`);
    // A toolchain or flags that the function's module asks for are none of the debugger's.
    const done = spawnSync('go', ['install', DELVE], {
      cwd: path.dirname(target),
      env: { ...env, GOBIN: own, GOFLAGS: '-modcacherw', CGO_ENABLED: '0', GOWORK: 'off' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (done.status !== 0)
      give(
        `dlv was not found, and could not be built: go install ${DELVE}, with a directory of PATH as GOBIN (GOBIN=/usr/local/bin)`,
      );
  }
  fs.copyFileSync(found ?? kept, target);
  fs.chmodSync(target, 0o755);
  if (cache === '') fs.rmSync(own, { recursive: true, force: true });
}

module.exports = { bringDelve };
