// @ts-check
'use strict';
/**
 * Which of a module's exports is the handler, and which shape it has. The rules are those of README.md; order matters
 * in every table here.
 */

/** @typedef {'fetch' | 'http' | 'server' | 'knative' | 'fission' | 'lambda'} Shape */
/** @typedef {{shape: Shape, handler: any, self?: unknown, exportName: string, module?: any}} Found */

/** Export names looked at, in this order, when none is asked for. */
const NAMES = ['default', 'fetch', 'handle', 'handler', 'main'];

/** Shapes that may be declared, and what they are called inside. @type {Record<string, Shape>} */
const DECLARED = {
  fetch: 'fetch',
  web: 'fetch',
  http: 'http',
  express: 'http',
  connect: 'http',
  knative: 'knative',
  fission: 'fission',
  lambda: 'lambda',
};

/** What the first parameter is called, and what that says. A second pattern must match the second parameter. @type {[RegExp, RegExp | null, Shape][]} */
const BY_PARAMETERS = [
  [/^_?(req|request)$/i, /^_?(res|resp|response|reply|rsp)$/i, 'http'],
  [/^_?(ctx|context)$/i, /^_?(event|evt|e|ev|ce|cloud_?event|data|body|payload|message)$/i, 'knative'],
  [/^_?(ctx|context)$/i, /^_?(callback|cb|done|next)$/i, 'fission'],
  [/^_?(event|evt|ev|_)$/i, /^_?(ctx|context|_+)$/i, 'lambda'],
  [/^_?(req|request|r)$/i, null, 'fetch'],
  [/^_?(event|evt|ev)$/i, null, 'lambda'],
];

/** On a function that `awslambda.streamifyResponse` was called with. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

/** What an export's name says when its parameters say nothing. @type {Record<string, Shape>} */
const BY_NAME = { fetch: 'fetch', handle: 'knative', handler: 'lambda' };

/**
 * Names of a function's parameters; a destructured one is its text in braces. Minified or native code gives what it has.
 * @param {Function} fn @returns {string[]}
 */
function parametersOf(fn) {
  const text = Function.prototype.toString.call(fn).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
  const single = /^\s*(?:async\s+)?([\w$]+)\s*=>/.exec(text);
  if (single !== null) return [/** @type {string} */ (single[1])];
  const open = text.indexOf('(');
  if (open < 0) return [];
  /** @type {string[]} */
  const names = [];
  let depth = 0;
  let from = open + 1;
  for (let i = open; i < text.length; i++) {
    const c = text[i];
    if (c === '(' || c === '[' || c === '{') depth++;
    else if (c === ')' || c === ']' || c === '}') depth--;
    if ((c === ',' && depth === 1) || depth === 0) {
      const name = text.slice(from, i).trim();
      if (name !== '')
        names.push(name.startsWith('{') ? name : /** @type {string} */ (name.split(/[=\s]/, 1)[0]));
      from = i + 1;
      if (depth === 0) break;
    }
  }
  return names;
}

/** @param {any} fn @param {string} exportName @param {boolean} cjs @returns {Shape} */
function shapeOf(fn, exportName, cjs) {
  if (exportName === 'fetch') return 'fetch';
  if (fn[STREAMING] !== undefined) return 'lambda';
  // An express, connect or restify app is a function that also is a router.
  if (typeof fn.handle === 'function' && (typeof fn.use === 'function' || typeof fn.route === 'object'))
    return 'http';
  const [first = '', second] = parametersOf(fn);
  const asked = exportName.split('.').pop() ?? '';
  if (first.startsWith('{')) {
    if (/^\{[^}]*\brequest\b/.test(first)) return 'fission';
    return BY_NAME[asked] ?? 'fetch';
  }
  if (/^_?(ctx|context)$/i.test(first) && second === undefined)
    return asked === 'handle' ? 'knative' : 'fission';
  for (const [one, two, shape] of BY_PARAMETERS) {
    if (!one.test(first)) continue;
    if (two === null ? second === undefined || shape === 'fetch' : second !== undefined && two.test(second))
      return shape;
  }
  if (BY_NAME[asked] !== undefined) return BY_NAME[asked];
  if (fn.length >= 2) return 'http';
  return cjs && first !== '' && /^c/i.test(first) ? 'fission' : 'fetch';
}

/** @param {any} value @param {string} exportName @param {boolean} cjs @param {Shape | undefined} declared @returns {Found | undefined} */
function recogniseValue(value, exportName, cjs, declared) {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'function') {
    if (/^class\b/.test(Function.prototype.toString.call(value))) return undefined;
    return { shape: declared ?? shapeOf(value, exportName, cjs), handler: value, exportName };
  }
  if (typeof value !== 'object') return undefined;
  if (
    typeof value.emit === 'function' &&
    typeof value.listen === 'function' &&
    value.listenerCount?.('request') > 0
  ) {
    return { shape: 'server', handler: value, exportName };
  }
  if (typeof value.fetch === 'function')
    return {
      shape: declared ?? 'fetch',
      handler: value.fetch,
      self: value,
      exportName: `${exportName}.fetch`,
    };
  // Koa: the app makes a (req, res) function. Fastify: its server has the listener once it is ready.
  if (typeof value.callback === 'function' && Array.isArray(value.middleware))
    return { shape: 'http', handler: value.callback(), exportName };
  if (typeof value.ready === 'function' && typeof value.server?.emit === 'function') {
    return {
      shape: 'server',
      handler: value.server,
      self: value,
      exportName,
      module: { init: () => value.ready() },
    };
  }
  if (typeof value.handle === 'function') {
    const shape = declared ?? shapeOf(value.handle, 'handle', cjs);
    return { shape, handler: value.handle, self: value, exportName: `${exportName}.handle`, module: value };
  }
  if (typeof value.handler === 'function')
    return {
      shape: declared ?? shapeOf(value.handler, 'handler', cjs),
      handler: value.handler,
      self: value,
      exportName: `${exportName}.handler`,
    };
  return undefined;
}

/**
 * A module's exports by name. What a CommonJS module exports as a whole is `default`.
 * @param {any} loaded what loading gave: a namespace, or `module.exports` @param {boolean} cjs
 * @returns {Map<string, any>}
 */
function exportsOf(loaded, cjs) {
  /** @type {Map<string, any>} */
  const map = new Map();
  const add = (/** @type {any} */ source) => {
    for (const name of Object.keys(source)) {
      if (name !== '__esModule' && name !== 'module.exports' && !map.has(name)) map.set(name, source[name]);
    }
  };
  if (cjs) {
    if (loaded === null || loaded === undefined) return map;
    const whole =
      typeof loaded === 'function' ||
      (typeof loaded === 'object' &&
        Object.getPrototypeOf(loaded) !== Object.prototype &&
        Object.getPrototypeOf(loaded) !== null);
    if (typeof loaded === 'object' || typeof loaded === 'function') {
      if (whole && !loaded.__esModule) map.set('default', loaded);
      if (typeof loaded !== 'function' || !isApp(loaded)) add(loaded);
    }
    return map;
  }
  add(loaded);
  // import() of CommonJS: `default` is module.exports, and an ES module that was compiled to it hides one level down.
  const inner = map.get('default');
  if (inner !== null && typeof inner === 'object' && inner.__esModule === true) {
    map.delete('default');
    add(inner);
  } else if (
    inner !== null &&
    typeof inner === 'object' &&
    'module.exports' in loaded &&
    !isHandlerObject(inner)
  ) {
    map.delete('default');
    add(inner);
  }
  return map;
}

/** @param {any} value */
function isApp(value) {
  return typeof value.handle === 'function' && typeof value.use === 'function';
}

/** @param {any} value */
function isHandlerObject(value) {
  return ['fetch', 'handle', 'handler', 'emit', 'callback', 'ready'].some(
    (name) => typeof value[name] === 'function',
  );
}

/**
 * Finds the handler among a module's exports.
 * @param {Map<string, any>} exports @param {{handler?: string, shape?: string, cjs: boolean}} wanted
 * @returns {Found | undefined}
 */
function recognise(exports, { handler, shape, cjs }) {
  const declared = shape === undefined ? undefined : DECLARED[shape];
  if (handler !== undefined && handler !== '') {
    let value = exports.get(handler);
    let name = handler;
    if (value === undefined && handler.includes('.')) {
      // `index.handler`: file and export, as Lambda writes it; or a path into an object.
      const path = handler.split('.');
      value = exports.get(/** @type {string} */ (path[path.length - 1]));
      name = /** @type {string} */ (path[path.length - 1]);
      if (value === undefined)
        value = path.reduce(
          (/** @type {any} */ at, part, i) => (i === 0 ? exports.get(part) : at?.[part]),
          undefined,
        );
    }
    return recogniseValue(value, name, cjs, declared);
  }
  for (const name of NAMES) {
    const found = recogniseValue(exports.get(name), name, cjs, declared);
    if (found === undefined) continue;
    found.module ??= Object.fromEntries(exports);
    return found;
  }
  // One function and nothing else: there is no doubt which one is meant.
  const functions = [...exports].filter(([, value]) => typeof value === 'function');
  if (functions.length === 1)
    return recogniseValue(functions[0]?.[1], /** @type {string} */ (functions[0]?.[0]), cjs, declared);
  const servers = [...exports].filter(
    ([, value]) => typeof value === 'object' && value !== null && isHandlerObject(value),
  );
  if (servers.length === 1)
    return recogniseValue(servers[0]?.[1], /** @type {string} */ (servers[0]?.[0]), cjs, declared);
  return undefined;
}

module.exports = { recognise, exportsOf, parametersOf, DECLARED, NAMES };
