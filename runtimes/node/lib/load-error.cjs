// @ts-check
'use strict';
/** What went wrong while loading, in the language's own words, with file, line and column relative to the package. */

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { SpecialiseError } = require('./entry.cjs');
const { messageOf } = require('./answer.cjs');

/** Time the search for the position of a syntax error may take, milliseconds. */
const DIAGNOSIS_MS = 5000;
/** Longest detail, characters: a bundle's one line may be a megabyte. */
const MAX_DETAIL = 16384;

/** @param {string} text @param {string} root real path of the package @returns {string} with relative paths */
function relative(text, root) {
  return text.replaceAll(`${pathToFileURL(root).href}/`, '').replaceAll(`${root}/`, '');
}

/** Drops the frames of Node and of the loader: they say nothing about the user's code. @param {string} stack */
function trimStack(stack) {
  return stack
    .split('\n')
    .filter(
      (line) =>
        !/^\s+at .*(\(|\s)node:/.test(line) &&
        !line.includes(__dirname) &&
        !line.includes(path.dirname(__dirname)),
    )
    .join('\n');
}

/** @param {string} line @param {number} column from 1 */
function caret(line, column) {
  return `${line}\n${line.slice(0, Math.max(0, column - 1)).replace(/[^\t]/g, ' ')}^`;
}

/**
 * Finds a position in what Node prints: `file:line` with source line and caret, or the first stack frame in the package.
 * @param {string} text relative already @param {string} root
 * @returns {{file?: string, line?: number, column?: number, arrow: boolean}}
 */
function positionIn(text, root) {
  const arrow = /^([^\n]+?):(\d+)\n([\s\S]*?)\n(\s*)\^+/.exec(text);
  if (arrow !== null && isOwn(root, /** @type {string} */ (arrow[1]))) {
    return {
      file: arrow[1],
      line: Number(arrow[2]),
      column: /** @type {string} */ (arrow[4]).length + 1,
      arrow: true,
    };
  }
  for (const [, file, line, column] of text.matchAll(/^\s+at (?:.*\()?([^()\n]+?):(\d+):(\d+)\)?$/gm)) {
    if (file !== undefined && !file.startsWith('node:') && isOwn(root, file)) {
      return { file, line: Number(line), column: Number(column), arrow: false };
    }
  }
  return { arrow: false };
}

/** @param {string} root @param {string} file relative */
function isOwn(root, file) {
  return !path.isAbsolute(file) && fs.existsSync(path.join(root, file));
}

/**
 * Node keeps the position of a syntax error in an ES module from everybody but its own printer. A process of its own compiles
 * (never runs) the import graph and prints it.
 * @param {string} entry @returns {string} what it printed, or nothing
 */
function printedSyntaxError(entry) {
  const { spawnSync } = require('node:child_process');
  const child = spawnSync(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', path.join(__dirname, 'check-syntax.cjs'), entry],
    { timeout: DIAGNOSIS_MS, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'], env: {} },
  );
  return child.stderr.replace(/\n+Node\.js v[^\n]*\n*$/, '\n');
}

/** @param {string} root @param {string} file absolute @param {string} specifier @returns {{file: string, line: number, column: number} | undefined} */
function findSpecifier(root, file, specifier) {
  let source;
  try {
    source = fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  for (const quote of ['"', "'", '`']) {
    const at = source.indexOf(quote + specifier + quote);
    if (at < 0) continue;
    const before = source.slice(0, at).split('\n');
    return {
      file: path.relative(root, file),
      line: before.length,
      column: /** @type {string} */ (before[before.length - 1]).length + 1,
    };
  }
  return undefined;
}

/** Where the import stands that could not be resolved. @param {any} error @param {string} root */
function missingImport(error, root) {
  const message = String(error.message);
  const missing = /^Cannot find (?:module|package) '([^']+)'(?: imported from (.+))?/.exec(message);
  if (missing === null) return undefined;
  const importer = missing[2] ?? error.requireStack?.[0];
  if (typeof importer !== 'string') return undefined;
  const name = /** @type {string} */ (missing[1]);
  const specifiers = [name];
  if (path.isAbsolute(name)) {
    const short = path.relative(path.dirname(importer), name);
    specifiers.push(short.startsWith('.') ? short : `./${short}`, `./${short}`.replace(/\.[^./]+$/, ''));
  }
  for (const specifier of specifiers) {
    const found = findSpecifier(root, importer, specifier);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What can be done about errors that users of strip-only TypeScript meet. @type {Record<string, string>} */
const HINTS = {
  ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX:
    'Types are stripped, not compiled: enums, namespaces with values, parameter properties and import aliases need a build step (or plain constants and classes).',
};

/**
 * @param {unknown} error what loading threw @param {string} root real path of the package @param {string} entry absolute
 * @returns {InstanceType<typeof SpecialiseError>}
 */
function loadError(error, root, entry) {
  if (error instanceof SpecialiseError) return error;
  const any = /** @type {any} */ (error);
  let text = typeof any?.stack === 'string' ? any.stack : `thrown: ${messageOf(error)}`;
  let position = positionIn(relative(text, root), root);
  if (any instanceof SyntaxError && !position.arrow) {
    const printed = printedSyntaxError(entry);
    const better = positionIn(relative(printed, root), root);
    if (better.arrow) {
      text = printed;
      position = better;
    }
  }
  position = { ...position, ...missingImport(any, root) };
  let detail = trimStack(relative(text, root));
  if (!position.arrow && position.file !== undefined && position.line !== undefined) {
    const source =
      fs.readFileSync(path.join(root, position.file), 'utf8').split('\n')[position.line - 1] ?? '';
    if (source.length < 1000)
      detail = `${position.file}:${position.line}\n${caret(source, position.column ?? 1)}\n\n${detail}`;
  }
  const hint = HINTS[any?.code];
  if (hint !== undefined) detail = `${detail.trimEnd()}\n${hint}`;
  const { file, line, column } = position;
  const message = relative(messageOf(error), root) + (hint === undefined ? '' : `. ${hint}`);
  return new SpecialiseError('LoadError', message, {
    file: file ?? path.relative(root, entry),
    line,
    column,
    detail: detail.trim().slice(0, MAX_DETAIL),
  });
}

module.exports = { loadError };
