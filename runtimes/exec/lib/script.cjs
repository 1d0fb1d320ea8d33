// @ts-check
'use strict';
/** What a file is to be run with, how it wants to be asked, and whether its interpreter understands it. */

const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { SpecialiseError, listing, insidePackage } = require('../../node/lib/entry.cjs');

/** Names tried, in order, when the call names no file. */
const STEMS = ['handler', 'function', 'main', 'index', 'run', 'app'];
const EXTENSIONS = ['.sh', '.bash', ''];
/** How a program is asked. @type {Record<string, string>} */
const MODES = {
  stdio: 'the body on standard input, standard output is the answer (the default)',
  cgi: 'RFC 3875: as stdio, with header lines before the answer',
  http: 'one process that listens on $PORT',
};
/** Bytes at the start of a file in which the line `# petrel: <mode>` is looked for. */
const HEAD = 4096;
/** Shells whose `-n` reads a script without running it. */
const CHECKABLE = new Set(['sh', 'bash', 'dash', 'ash', 'ksh', 'zsh']);
/** Longest text of a syntax error, characters. */
const MAX_DETAIL = 16384;

/**
 * @typedef {object} Script
 * @property {string} file absolute
 * @property {string} name relative to the package
 * @property {string} command
 * @property {string[]} args
 * @property {'stdio' | 'cgi' | 'http'} mode
 */

/** @param {string} file */
const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;

/** @param {string} file @returns {boolean} */
function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} root @param {string | undefined} entry @returns {string} absolute @throws {SpecialiseError} EntryNotFound */
function findScript(root, entry) {
  if (entry !== undefined && entry !== '') {
    const file = insidePackage(root, entry);
    if (isFile(file)) return file;
    throw new SpecialiseError('EntryNotFound', `there is no file ${entry} in the package; ${listing(root)}`, {
      file: entry,
    });
  }
  for (const stem of STEMS)
    for (const extension of EXTENSIONS) {
      const file = path.join(root, stem + extension);
      if (isFile(file) && (extension !== '' || isExecutable(file))) return file;
    }
  const files = fs.readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile());
  const scripts = files.filter(({ name }) => ['.sh', '.bash'].includes(path.extname(name)));
  const candidates =
    scripts.length > 0 ? scripts : files.filter(({ name }) => isExecutable(path.join(root, name)));
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return path.join(root, only.name);
  throw new SpecialiseError(
    'EntryNotFound',
    `which file is to be run is not clear: name it as the entry, or call it handler.sh; ${listing(root)}`,
  );
}

/** The first bytes of a file as text. @param {string} file */
function headOf(file) {
  const fd = fs.openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(HEAD);
    return bytes.toString('latin1', 0, fs.readSync(fd, bytes, 0, HEAD, 0));
  } finally {
    fs.closeSync(fd);
  }
}

/** @param {string} command @returns {string | undefined} absolute path of what would be run */
function which(command) {
  if (command.includes('/')) return isExecutable(command) ? command : undefined;
  for (const dir of (process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin').split(':')) {
    const file = path.join(dir, command);
    if (isFile(file) && isExecutable(file)) return file;
  }
  return undefined;
}

/**
 * The words that a `#!` line puts before the script; `env` is looked through, so that what is missing can be named.
 * @param {string} head @returns {string[] | undefined}
 */
function shebang(head) {
  const line = /^#!\s*([^\n\r]+)/.exec(head)?.[1]?.trim();
  if (line === undefined) return undefined;
  const words = line.split(/\s+/);
  if (path.basename(/** @type {string} */ (words[0])) !== 'env') {
    // The kernel hands everything after the interpreter over as one word.
    const [interpreter] = words;
    const rest = line.slice(/** @type {string} */ (interpreter).length).trim();
    return rest === '' ? [/** @type {string} */ (interpreter)] : [/** @type {string} */ (interpreter), rest];
  }
  return words[1] === '-S' ? words.slice(2) : words.slice(1, 2);
}

/** @param {string} file absolute @param {string} head @param {string} name @returns {{command: string, args: string[], interpreter: string | undefined}} */
function commandOf(file, head, name) {
  const words =
    shebang(head) ?? (file.endsWith('.bash') ? ['bash'] : file.endsWith('.sh') ? ['sh'] : undefined);
  if (words === undefined) {
    if (isExecutable(file)) return { command: file, args: [], interpreter: undefined };
    throw new SpecialiseError(
      'LoadError',
      `${name} is neither an executable nor a script that says by a line #! what runs it`,
      {
        file: name,
        detail: `Mark it as an executable (chmod +x ${name}), or give it a first line such as #!/bin/sh.`,
      },
    );
  }
  const [interpreter = '', ...args] = words;
  const found = which(interpreter);
  if (found === undefined)
    throw new SpecialiseError('LoadError', `${name} is run by ${interpreter}, which is not on this machine`, {
      file: name,
      line: 1,
      detail: `${name}:1\n${head.split('\n', 1)[0]}\n\n${interpreter} was not found. Install it on the machine that runs functions, or name another interpreter.`,
    });
  return { command: found, args: [...args, file], interpreter: path.basename(interpreter) };
}

/** @param {string | undefined} handler @param {string | undefined} shape @param {string} head @returns {Script['mode']} @throws {SpecialiseError} HandlerNotFound */
function modeOf(handler, shape, head) {
  if (shape === 'program') return 'http';
  const said =
    handler || (head.startsWith('#') ? /^#+[ \t]*petrel:[ \t]*(\S+)/m.exec(head)?.[1] : undefined) || 'stdio';
  if (Object.hasOwn(MODES, said)) return /** @type {Script['mode']} */ (said);
  const list = Object.entries(MODES).map(([name, what]) => `${name} (${what})`);
  throw new SpecialiseError('HandlerNotFound', `there is no mode "${said}"; there are ${list.join(', ')}`);
}

/**
 * Has a shell read the script without running it.
 * @param {string} root @param {string} name @param {string} shell absolute @returns {Promise<void>} @throws {SpecialiseError} LoadError with the shell's words
 */
async function checkSyntax(root, name, shell) {
  const child = spawn(shell, ['-n', `./${name}`], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    if (text.length < MAX_DETAIL) text += chunk;
  });
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(0)); // what cannot even read it says so when it is asked to run it
    child.once('close', resolve);
  });
  if (code === 0) return;
  const words = text.replaceAll(`./${name}`, name).trim().slice(0, MAX_DETAIL);
  const line = Number(/:(?: line)? (\d+):/.exec(words)?.[1] ?? /:(\d+):/.exec(words)?.[1]);
  const source = fs.readFileSync(path.join(root, name), 'utf8').split('\n')[line - 1];
  throw new SpecialiseError('LoadError', words.split('\n', 1)[0] ?? '', {
    file: name,
    ...(Number.isNaN(line) ? {} : { line }),
    detail: source === undefined ? words : `${name}:${line}\n${source}\n\n${words}`,
  });
}

/**
 * @param {string} root real path of the package @param {{entry?: string, handler?: string, shape?: string}} wanted
 * @returns {Promise<Script>} @throws {SpecialiseError}
 */
async function readScript(root, { entry, handler, shape }) {
  const file = findScript(root, entry);
  const name = path.relative(root, file);
  const head = headOf(file);
  const mode = modeOf(handler, shape, head);
  const { command, args, interpreter } = commandOf(file, head, name);
  if (interpreter !== undefined && CHECKABLE.has(interpreter)) await checkSyntax(root, name, command);
  return { file, name, command, args, mode };
}

module.exports = { readScript };
