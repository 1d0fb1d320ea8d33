// @ts-check
'use strict';
/** What the router is told: a function's modules around ours, and what stands ready before a function is known. */

const fs = require('node:fs');
const path = require('node:path');

/** Workers Runtime APIs as of this day; functions may ask for another. */
const COMPATIBILITY_DATE = '2026-11-01';
/** Without them an isolate is made in two thirds of the time and of the memory. */
const WITHOUT_NODE = ['no_nodejs_compat', 'no_nodejs_compat_v2'];
/** A handler hears of a client that goes away. */
const FLAGS = ['enable_request_signal'];
const NAME = 'petrel-main.mjs';
const CONSOLE_NAME = 'petrel-console.mjs';

const read = (/** @type {string} */ name) => fs.readFileSync(path.join(__dirname, name), 'utf8');
const GUARD = read('guard.mjs').replaceAll(/^export /gm, '');
const MAIN = GUARD + read('main.mjs');
const CONSOLE = read('console.mjs');
/** Two evaluations have nothing to do with each other: this one is no request's, which the import of a module never is. */
const LATE = `import { evaluate } from './${NAME}';\nevaluate();\n`;

const plainName = (/** @type {string} */ name) => name.replace(/[^a-z0-9-]/g, '');

/** The code of an isolate that gets its function later. */
const spareCode = () => ({
  compatibilityDate: COMPATIBILITY_DATE,
  compatibilityFlags: [...WITHOUT_NODE, ...FLAGS, 'unsafe_module'],
  allowExperimental: true,
  mainModule: NAME,
  modules: { [NAME]: { js: GUARD + read('spare.mjs') }, 'petrel-late.mjs': { js: LATE } },
});

/** Whether an isolate that stands ready is what a package asks for. @param {string} date @param {string[]} flags */
const isPlain = (date, flags) => date === COMPATIBILITY_DATE && flags.join() === WITHOUT_NODE.join();

/**
 * What is said of a function besides its package.
 * @typedef {{handler?: string, env?: Record<string, unknown>, port?: number, development?: boolean, function?: string}} Params
 */

/** @param {import('./modules.cjs').Package} pack @param {Params} params */
const envOf = ({ vars }, { env = {}, port }) => ({
  ...vars,
  ...(port === undefined ? {} : { PORT: String(port) }),
  ...env,
});

/** What the router's `/load` takes, as text. @param {import('./modules.cjs').Package} pack @param {{slot: number, id: string}} place @param {Params} params */
function loadMessage(pack, place, params) {
  const { handler, development = false, function: name = 'function' } = params;
  const main = MAIN.replaceAll('$ENTRY', () => `./${pack.entry}`)
    .replace('$HANDLER', () => handler || 'default')
    .replaceAll('$DEVELOPMENT', String(development));
  const own = {
    [NAME]: { js: main },
    [CONSOLE_NAME]: { js: CONSOLE.replace('$NAME', () => plainName(name)) },
  };
  const code = JSON.stringify({
    compatibilityDate: pack.date,
    compatibilityFlags: [...pack.flags, ...FLAGS],
    mainModule: NAME,
    env: envOf(pack, params),
  });
  // Ours come last: of two of a name the last holds.
  const modules = `${pack.modules.slice(0, -1)},${JSON.stringify(own).slice(1)}`;
  return `${JSON.stringify(place).slice(0, -1)},"code":${code.slice(0, -1)},"modules":${modules}}}`;
}

/**
 * What the router's `/give` takes, as text; undefined where the function needs an isolate made for it.
 * @param {import('./modules.cjs').Package} pack @param {number} slot @param {Params} params
 */
function giveMessage(pack, slot, params) {
  const { handler, development = false, function: name = 'function' } = params;
  if (!pack.proven || pack.late === undefined || handler) return undefined;
  const env = envOf(pack, params);
  const late = { source: pack.late, entry: pack.entry, name: plainName(name), development, env };
  return JSON.stringify({ slot, late });
}

module.exports = { COMPATIBILITY_DATE, WITHOUT_NODE, isPlain, giveMessage, loadMessage, spareCode };
