// @ts-check
'use strict';
/**
 * The life of an instance whose supervisor runs on Node: one process, one instance. Speaks runtimes/PROTOCOL.md on the unix
 * socket named by PETREL_SOCKET, is specialised at most once, and ends when its platform does. What a function is, and how it
 * is loaded, is its runtime's (`Runtime`): several have this life in common.
 *
 * Only what HELLO needs is loaded before it; the rest follows while nobody waits (`warmUp`), or with `specialise`.
 */

const fs = require('node:fs');
const net = require('node:net');
const { TYPE } = require('./frames.cjs');
const { Connection } = require('./connection.cjs');
const { SpecialiseError } = require('./entry.cjs');
const { settings, messageOf, stackOf } = require('./answer.cjs');

/** Settings of the process; milliseconds. User code sees none of them. */
const settingsOfProcess = () => ({
  socket: process.env.PETREL_SOCKET ?? '',
  /** Life after the last control connection has closed. */
  controlGraceMs: Number(process.env.PETREL_CONTROL_GRACE_MS ?? 10_000),
  /** Life without any control connection ever. */
  orphanMs: Number(process.env.PETREL_ORPHAN_MS ?? 60_000),
  /** Loading: top-level await, init, a program's port. */
  loadTimeoutMs: Number(process.env.PETREL_LOAD_TIMEOUT_MS ?? 30_000),
  /** Requests in flight at SIGTERM. */
  termGraceMs: Number(process.env.PETREL_TERM_GRACE_MS ?? 25_000),
  /** Parts that are loaded at the start instead of when first needed: `typescript`, `fetch`. */
  warm: (process.env.PETREL_WARM ?? '').split(',').filter((word) => word !== ''),
});
/** Read when life begins: a forked process gets its variables after this file was loaded. */
let options = settingsOfProcess();
/** Time after the first answer until the code cache is written: the first burst is over by then. */
const CACHE_DELAY_MS = 500;

/** Time between the platform's first HELLO and the warm-up. */
const WARM_DELAY_MS = 5;

/**
 * What a runtime adds to the life of its instances.
 * @typedef {object} Runtime
 * @property {string} name as HELLO says it
 * @property {string} language version of the language, as HELLO says it
 * @property {(params: any, context: {loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}) => Promise<Loaded>} load
 *   makes the instance a function's; variables and working directory are set by then. `params` as `specialise` has them, checked.
 * @property {(error: unknown, params: any) => InstanceType<typeof SpecialiseError>} [loadError] what the platform is told of a failed `load`
 * @property {(idle: () => boolean, call: import('./connection.cjs').Host['call'], warm: string[]) => unknown} [warmUp]
 *   called once, shortly after the platform's first HELLO; it stops when `idle` no longer holds
 * @property {Record<string, (params: any, context: {loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}) => Promise<object>>} [calls]
 *   further methods of the control connection
 * @property {boolean} [ownServer] requests go to an HTTP server of the runtime's own: a data connection is an error
 * @property {() => Promise<unknown>} [reachable] resolves when a request would be worked on, where that is not for this process to say
 * @property {{drain: (graceMs: number) => Promise<number>, stop: () => Promise<unknown>}} [beside] the end of functions that the process
 *   holds without being theirs: `drain` resolves with the requests that are left when the time is over, `stop` lets go of them
 * @property {() => void} [saveCaches] called at rest, after the first answer, and before the end
 * @property {{watch: () => {problem: (trusted: boolean) => Promise<string | undefined>}, serve: () => void}} [ahead] how this process is
 *   forked once it has loaded a function's code: `watch` is called before, `serve` returns in the forked process
 */

/** @typedef {import('./loader.cjs').Loaded} Loaded */

/** @type {Runtime} */
let runtime;
/** @type {'generic' | 'specialising' | 'specialised' | 'failed'} */
let state = 'generic';
/** @type {Loaded | undefined} */
let loaded;
/** What was loaded before this process was forked, for whom. @type {{params: any, loaded: Loaded} | undefined} */
let ahead;
/** @type {net.Server} */
let server;
/** What happens is for nobody. */
let rehearsing = false;
/** It ends its connections in order to be forked. */
let resting = false;
let inFlight = 0;
let draining = false;
let answeredOne = false;
let warmed = false;
/** @type {Set<Connection>} */
const connections = new Set();
let controls = 0;
/** @type {NodeJS.Timeout | undefined} */
let lonely;
/** @type {(() => void)[]} */
const idleWaiters = [];

/** @type {import('./connection.cjs').Host} */
const host = {
  hello: () => ({
    version: 1,
    runtime: runtime.name,
    language: runtime.language,
    pid: process.pid,
    state: state === 'specialising' ? 'generic' : state,
    ...(ahead && { preloaded: ahead.params.revision }),
  }),
  reachable: () => runtime.reachable?.(),
  request(exchange) {
    inFlight++;
    if (loaded?.dispatch === undefined) {
      exchange.reset(
        draining ? 'draining' : 'overloaded',
        `this instance is ${state} and takes no requests here`,
      );
      return;
    }
    loaded.dispatch(exchange);
  },
  answered() {
    inFlight--;
    if (!answeredOne) {
      answeredOne = true;
      setTimeout(saveCaches, CACHE_DELAY_MS).unref();
    }
    if (inFlight === 0 && idleWaiters.length > 0) for (const waiter of idleWaiters.splice(0)) waiter();
  },
  call(connection, call) {
    const extra = runtime.calls?.[call.method];
    const method = Object.hasOwn(methods, call.method)
      ? methods[call.method]
      : extra && ((/** @type {any} */ params) => extra(params, contextOfLoad()));
    const answer = (/** @type {object} */ value) => {
      connection.writer.json(TYPE.RESULT, 0, { id: call.id, ...value });
    };
    if (method === undefined) {
      answer({ error: { code: 'BadRequest', message: `no such method: ${call.method}` } });
      return;
    }
    method(call.params ?? {}).then(
      (result) => answer({ result }),
      (error) =>
        answer({
          error:
            error instanceof SpecialiseError
              ? error.toJSON()
              : { code: 'BadRequest', message: messageOf(error) },
        }),
    );
  },
  roles: () => (runtime.ownServer ? ['control'] : ['control', 'data']),
  opened(connection, role) {
    if (role === 'control') {
      controls++;
      // Not at once: an instance that was started for a waiting request hears of it now.
      if (!warmed)
        setTimeout(
          () => runtime.warmUp?.(() => state === 'generic', host.call, options.warm),
          WARM_DELAY_MS,
        ).unref(); // what keeps the event loop going is taken for the code's own
      warmed = true;
      clearTimeout(lonely);
    }
    if (draining) connection.goaway();
  },
  closed(connection) {
    connections.delete(connection);
    if (connection.role !== 'control') return;
    controls--;
    if (controls === 0 && !resting) lonely = setTimeout(() => leave(0), options.controlGraceMs);
  },
};

/** Calls of the control connection. @type {Record<string, (params: any) => Promise<object>>} */
const methods = {
  specialise,
  preload,
  health: async () => ({
    state: state === 'specialising' ? 'generic' : state,
    inFlight: (await loaded?.inFlight?.()) ?? inFlight,
  }),
  drain: async ({ graceMs = 30_000 }) => ({ left: await drain(Number(graceMs)) }),
  shutdown: async () => {
    setImmediate(() => stop(0));
    return {};
  },
};

/** @param {any} params @param {string} name @param {string} type @param {boolean} [required] */
function check(params, name, type, required = false) {
  const value = params[name];
  if ((value === undefined || value === null) && !required) return;
  if (typeof value !== type) throw new SpecialiseError('BadRequest', `specialise: ${name} must be a ${type}`);
}

const contextOfLoad = () => ({
  loadTimeoutMs: options.loadTimeoutMs,
  onProgramExit: (/** @type {string} */ message, /** @type {string} */ detail) =>
    crash('exit', message, detail),
});

/** Whether what `specialise` or `preload` has been given can be tried. @param {any} params see PROTOCOL.md */
function checkAll(params) {
  if (state !== 'generic')
    throw new SpecialiseError('AlreadySpecialised', `this instance is ${state} already`);
  check(params, 'code', 'string', true);
  for (const name of ['entry', 'handler', 'shape', 'cache', 'workdir', 'namespace', 'function', 'revision'])
    check(params, name, 'string');
  for (const name of ['port', 'timeoutMs', 'concurrency']) check(params, name, 'number');
  check(params, 'env', 'object');
  if (fs.statSync(params.code, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new SpecialiseError('BadRequest', `specialise: ${params.code} is not a directory`);
  }
}

/** Makes the process what the code expects around it. @param {any} params @param {string} separator in the title */
function settleIn(params, separator) {
  for (const [name, value] of Object.entries(params.env ?? {})) {
    // What loaded code has changed since stays so; our own were taken away.
    const same = ahead?.params.env?.[name] === value && !name.startsWith('PETREL_');
    if (!same) process.env[name] = String(value);
  }
  if (params.port !== undefined && process.env.PORT === undefined) process.env.PORT = String(params.port);
  settings.development = params.development === true;
  if (ahead === undefined) process.chdir(params.workdir ?? params.code);
  if (rehearsing) return;
  process.title = `${runtime.name}${separator}${params.namespace ?? 'default'}/${params.function ?? 'function'}`;
}

/** The process cannot become anything any more: code that is loaded by half may hold anything. */
function useUp() {
  state = 'failed';
  // The answer goes out first.
  setTimeout(() => leave(1), 50);
}

/** What the platform is told of a failed load. @param {unknown} error @param {any} params */
function failed(error, params) {
  useUp();
  if (error instanceof SpecialiseError) return error;
  return (
    runtime.loadError?.(error, params) ??
    new SpecialiseError('LoadError', messageOf(error), { detail: stackOf(error) })
  );
}

/** Milliseconds since. Not `performance`: touching it for the first time costs a millisecond. @param {bigint} begin */
const since = (begin) => Number((process.hrtime.bigint() - begin) / 10_000n) / 100;

/** Parameters that decide what is loaded. */
const CODE = ['code', 'entry', 'handler', 'shape', 'revision'];

/** Turns this generic instance into one of a function. @param {any} params see PROTOCOL.md */
async function specialise(params) {
  checkAll(params);
  if (ahead !== undefined && CODE.some((name) => ahead?.params[name] !== params[name]))
    throw new SpecialiseError('BadRequest', 'this instance has been forked for other code');
  state = 'specialising';
  const begin = process.hrtime.bigint();
  try {
    settleIn(params, ' ');
    loaded = ahead?.loaded ?? (await runtime.load(params, contextOfLoad()));
    state = 'specialised';
    return { shape: loaded.shape, loadMs: since(begin), transport: loaded.transport };
  } catch (error) {
    throw failed(error, params);
  }
}

/** Loads a function's code for instances that are forked from here. @param {any} params see PROTOCOL.md */
async function preload(params) {
  if (runtime.ahead === undefined)
    throw new SpecialiseError('BadRequest', 'nothing is forked from this process');
  checkAll(params);
  state = 'specialising';
  const begin = process.hrtime.bigint();
  const watched = runtime.ahead.watch();
  try {
    settleIn(params, ' zygote:');
    const mine = await runtime.load(params, contextOfLoad());
    const loadMs = since(begin);
    const problem =
      mine.transport.kind === 'mux' ? await watched.problem(params.trusted === true) : 'it is a program';
    if (problem !== undefined) {
      useUp();
      return { loadMs, problem };
    }
    ahead = { params, loaded: mine };
    state = 'generic';
    setImmediate(rest);
    return { loadMs };
  } catch (error) {
    throw failed(error, params);
  }
}

/** Longest time that a connection may take to end before it is cut, ms. */
const REST_MS = 500;

/** Ends all connections and takes no more: nothing of ours is pending in the event loop then. */
async function hangUp() {
  resting = true;
  clearTimeout(lonely);
  await Promise.all([
    new Promise((resolve) => server.close(resolve)),
    ...[...connections].map(({ writer, socket }) => {
      writer.flush();
      socket.end();
      const cut = setTimeout(() => socket.destroy(), REST_MS);
      socket.once('close', () => clearTimeout(cut));
      return new Promise((resolve) => socket.once('close', resolve));
    }),
  ]);
  resting = false;
}

/** Waits to be forked; what is forked goes on from here. */
async function rest() {
  await hangUp();
  setImmediate(() => {
    /** @type {NonNullable<Runtime['ahead']>} */ (runtime.ahead).serve();
    runtime = { ...runtime, ahead: undefined };
    listen();
  });
}

/**
 * Lives once for nobody, in a process that others are forked from: what they will do has then been compiled, and its memory is there.
 * @param {Runtime} mine @param {string} socket @param {() => Promise<void>} play does with it what a platform would
 */
async function rehearse(mine, socket, play) {
  const { argv } = process;
  const cwd = process.cwd();
  runtime = mine;
  warmed = true;
  rehearsing = true;
  // Nothing is to be kept of what this loads.
  answeredOne = true;
  process.env.PETREL_SOCKET = socket;
  listen();
  await new Promise((resolve) => server.once('listening', resolve));
  await play();
  await hangUp();
  answeredOne = false;
  warmed = false;
  rehearsing = false;
  loaded = undefined;
  state = 'generic';
  process.argv = argv;
  process.chdir(cwd);
}

/** Lives for nobody to the end, in a process that is there for nothing else. @param {Runtime} mine @param {any[]} sockets what stands for connections */
function rehearseAlone(mine, sockets) {
  runtime = mine;
  warmed = true;
  rehearsing = true;
  for (const socket of sockets) connections.add(new Connection(socket, host));
}

/** Writes what makes the next start of the same code faster; at rest when there is a choice. */
function saveCaches() {
  if (inFlight > 0 && !draining) {
    setTimeout(saveCaches, CACHE_DELAY_MS).unref();
    return;
  }
  runtime.saveCaches?.();
}

/** @param {number} graceMs @returns {Promise<number>} requests that are left when the time is over */
async function drain(graceMs) {
  draining = true;
  for (const connection of connections) connection.goaway();
  const left = await Promise.all([drainOwn(graceMs), runtime.beside?.drain(graceMs) ?? 0]);
  return left[0] + left[1];
}

/** @param {number} graceMs @returns {Promise<number>} requests of the instance's own function that are left */
async function drainOwn(graceMs) {
  if (loaded?.drain !== undefined) return loaded.drain(graceMs);
  if (inFlight > 0) {
    await new Promise((resolve) => {
      idleWaiters.push(() => resolve(undefined));
      setTimeout(resolve, graceMs);
    });
  }
  return inFlight;
}

/** Ends in order: the user's own shutdown hook or program first. @param {number} code */
async function stop(code) {
  try {
    if (state === 'specialised') saveCaches();
    await Promise.race([
      Promise.all([loaded?.stop?.('SIGTERM'), runtime.beside?.stop()]),
      new Promise((resolve) => setTimeout(resolve, options.termGraceMs)),
    ]);
  } catch (error) {
    process.stderr.write(`petrel: shutdown failed: ${stackOf(error)}\n`);
  }
  leave(code);
}

let leaving = false;
/** Ends now, after what has been written is on its way. @param {number} code */
function leave(code) {
  if (leaving) return;
  leaving = true;
  loaded?.stop?.('SIGKILL')?.catch(() => {});
  let open = connections.size;
  const done = () => {
    if (--open <= 0) process.exit(code);
  };
  if (open === 0) done();
  for (const { writer, socket } of connections) {
    writer.flush();
    socket.end(done);
  }
  setTimeout(() => process.exit(code), 200);
}

/** User code has broken the process. @param {string} reason @param {string} message @param {string} detail */
function crash(reason, message, detail) {
  if (leaving) return;
  state = 'failed';
  for (const connection of connections) {
    connection.goaway(); // first, so that nothing new is sent here
    for (const exchange of [...connection.exchanges.values()]) {
      exchange.reset(
        'crashed',
        settings.development ? message : 'the instance crashed while it worked on this request',
      );
    }
    if (connection.role === 'control')
      connection.writer.json(TYPE.EVENT, 0, { event: 'failed', reason, message, detail });
  }
  leave(1);
}

/** Hears of what ends the process. */
function watchEnds() {
  process.on('uncaughtException', (error, origin) => {
    // A listener of the user's own has taken it upon itself.
    if (process.listenerCount('uncaughtException') > 1) return;
    process.stderr.write(`petrel: ${origin}: ${stackOf(error)}\n`);
    crash(origin, messageOf(error), stackOf(error));
  });
  process.on('SIGTERM', async () => {
    if (draining && leaving) return;
    await drain(options.termGraceMs);
    await stop(0);
  });
}

/** Standard input is at its end for user code, whatever the process was started with. */
function closeStdin() {
  try {
    fs.closeSync(0);
    fs.openSync('/dev/null', 'r'); // takes the lowest number, which is 0
  } catch {}
}

/** Begins the life of this process. @param {Runtime} mine */
function live(mine) {
  runtime = mine;
  watchEnds();
  process.execArgv = [];
  closeStdin();
  listen();
}

/** Takes connections on the socket that the variables name; user code does not see these. */
function listen() {
  options = settingsOfProcess();
  if (options.socket === '') {
    process.stderr.write(
      `petrel: PETREL_SOCKET is not set: the ${runtime.name} runtime is started by the platform\n`,
    );
    process.exit(2);
  }
  for (const name of Object.keys(process.env)) if (name.startsWith('PETREL_')) delete process.env[name];
  fs.rmSync(options.socket, { force: true });
  server = net.createServer((socket) => {
    connections.add(new Connection(socket, host));
  });
  server.on('error', (error) => {
    process.stderr.write(`petrel: cannot listen on ${options.socket}: ${error.message}\n`);
    process.exit(2);
  });
  server.listen(options.socket, () => {
    lonely = setTimeout(() => leave(0), options.orphanMs);
  });
}

module.exports = { live, rehearse, rehearseAlone };
