// @ts-check
'use strict';
/** What is started for a package: its `bootstrap`, what its Procfile says, or a runtime interface client among its dependencies. */

const fs = require('node:fs');
const path = require('node:path');
const { SpecialiseError, listing } = require('../../node/lib/entry.cjs');

/** AWS's clients: what shows that one is there, and how it is started with a handler. */
const CLIENTS = [
  {
    file: 'node_modules/aws-lambda-ric/bin/index.mjs',
    argv: (/** @type {string} */ file, /** @type {string} */ handler) => [process.execPath, file, handler],
  },
  ...['', 'site-packages', 'vendor', 'python_modules', '.python_packages/lib/site-packages'].map(
    (folder) => ({
      file: path.join(folder, 'awslambdaric/__main__.py'),
      argv: (/** @type {string} */ _file, /** @type {string} */ handler) => [
        'python3',
        '-m',
        'awslambdaric',
        handler,
      ],
    }),
  ),
];

/** @param {string} file */
const isExecutable = (file) => {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
};

/**
 * @param {string} root of the package, absolute @param {{entry?: string, handler?: string}} params
 * @returns {{argv: string[], label: string}} @throws {SpecialiseError}
 */
function commandOf(root, { entry, handler }) {
  if (entry !== undefined) {
    const file = path.resolve(root, entry);
    if (!file.startsWith(`${root}/`))
      throw new SpecialiseError('EntryNotFound', `the entry ${entry} is outside the package`);
    if (!fs.existsSync(file))
      throw new SpecialiseError(
        'EntryNotFound',
        `there is no file ${entry} in the package; ${listing(root)}`,
        {
          file: entry,
        },
      );
    if (!isExecutable(file))
      throw new SpecialiseError('LoadError', `${entry} is not executable: chmod +x ${entry}`, {
        file: entry,
      });
    return { argv: [file], label: entry };
  }
  const bootstrap = path.join(root, 'bootstrap');
  if (isExecutable(bootstrap)) return { argv: [bootstrap], label: 'bootstrap' };
  if (fs.existsSync(bootstrap))
    throw new SpecialiseError('LoadError', 'bootstrap is not executable: chmod +x bootstrap', {
      file: 'bootstrap',
    });
  const web = /^(?:lambda|web):[ \t]*(\S.*?)\s*$/m.exec(readText(path.join(root, 'Procfile')))?.[1];
  if (web !== undefined) return { argv: ['/bin/sh', '-c', `exec env ${web}`], label: web };
  for (const client of CLIENTS) {
    const file = path.join(root, client.file);
    if (!fs.existsSync(file)) continue;
    if (handler === undefined)
      throw new SpecialiseError(
        'HandlerNotFound',
        `${client.file} is there, and no handler is named: give one as Lambda writes it, for example --handler index.handler`,
      );
    return { argv: client.argv(file, handler), label: client.file };
  }
  throw new SpecialiseError(
    'EntryNotFound',
    `the package has no bootstrap, no Procfile and no runtime interface client (aws-lambda-ric, awslambdaric); ${listing(root)}`,
  );
}

/** @param {string} file @returns {string} empty when it cannot be read */
function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

module.exports = { commandOf };
