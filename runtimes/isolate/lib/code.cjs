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
 * What the router's `/load` takes, as text.
 * @param {import('./modules.cjs').Package} pack @param {{slot: number, id: string}} place
 * @param {{handler?: string, env?: Record<string, unknown>, port?: number, development?: boolean, function?: string}} params
 */
function loadMessage(
  { entry, date, flags, vars, modules, late, proven },
  place,
  { handler, env: given = {}, port, development = false, function: name = 'function' },
) {
  const env = { ...vars, ...(port === undefined ? {} : { PORT: String(port) }), ...given };
  const main = MAIN.replaceAll('$ENTRY', () => `./${entry}`)
    .replace('$HANDLER', () => handler || 'default')
    .replaceAll('$DEVELOPMENT', String(development));
  const own = {
    [NAME]: { js: main },
    [CONSOLE_NAME]: { js: CONSOLE.replace('$NAME', () => plainName(name)) },
  };
  const code = JSON.stringify({
    compatibilityDate: date,
    compatibilityFlags: [...flags, ...FLAGS],
    mainModule: NAME,
    env,
  }).slice(0, -1);
  // Ours come last: of two of a name the last holds.
  const whole = `${code},"modules":{${modules.slice(1, -1)},${JSON.stringify(own).slice(1)}}`;
  const soon =
    proven && late !== undefined && !handler
      ? `,"late":${JSON.stringify({ source: late, entry, name: plainName(name), development, env })}`
      : '';
  return `${JSON.stringify(place).slice(0, -1)},"code":${whole}${soon}}`;
}

module.exports = { COMPATIBILITY_DATE, WITHOUT_NODE, isPlain, loadMessage, spareCode };
