// @ts-check
'use strict';
/** Makes the supervisor's jar of its sources. */

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');

const SOURCES = path.join(__dirname, 'supervisor');

/** Runs a program of the JDK. @param {string} command @param {string[]} args @returns {{status: number, output: string}} what it said on both streams */
function run(command, args) {
  const done = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (/** @type {NodeJS.ErrnoException | undefined} */ (done.error)?.code === 'ENOENT')
    return {
      status: 127,
      output: `${command} was not found: install a JDK 17 or later (apt install openjdk-17-jdk-headless, https://adoptium.net)`,
    };
  return { status: done.status ?? 1, output: `${done.stdout}${done.stderr}` };
}

/** Digest of the sources and of the JDK that java is: what is made of them is good for nothing else. */
function digest() {
  const hash = createHash('sha256');
  for (const name of fs.readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).sort())
    if (fs.statSync(path.join(SOURCES, name)).isFile())
      hash.update(name).update(fs.readFileSync(path.join(SOURCES, name)));
  return hash
    .update(run('java', ['-version']).output)
    .digest('hex')
    .slice(0, 16);
}

/**
 * Compiles into `dir`, which has `supervisor.jar` then. @param {string} dir
 * @returns {string | undefined} why not
 */
function compile(dir) {
  const classes = path.join(dir, 'classes');
  fs.mkdirSync(classes, { recursive: true });
  const files = fs
    .readdirSync(path.join(SOURCES, 'petrel'))
    .map((name) => path.join(SOURCES, 'petrel', name));
  for (const [command, args] of /** @type {[string, string[]][]} */ ([
    ['javac', ['-nowarn', '-XDignore.symbol.file', '-d', classes, ...files]],
    [
      'jar',
      [
        '--create',
        '--file',
        path.join(dir, 'supervisor.jar'),
        '--manifest',
        path.join(SOURCES, 'MANIFEST.MF'),
        '-C',
        classes,
        'petrel',
      ],
    ],
  ])) {
    const { status, output } = run(command, args);
    if (status !== 0) return output;
  }
  fs.rmSync(classes, { recursive: true });
  // What every JVM of this version is started with besides. From 24 on, one would say at each start that Unsafe is to go.
  const version = Number(/version "(?:1\.)?(\d+)/.exec(run('java', ['-version']).output)?.[1] ?? 0);
  fs.writeFileSync(
    path.join(dir, 'options'),
    version >= 23 ? '--sun-misc-unsafe-memory-access=allow\n' : '\n',
  );
  return undefined;
}

module.exports = { compile, digest, run };
