// @ts-check
'use strict';
/**
 * The zygote of the node runtime: a warm supervisor that never listens itself. It loads and runs once what every instance needs,
 * then waits to be told to fork (runtimes/PROTOCOL.md, "Zygote"); a forked process confines itself and goes on as an instance.
 */

const fs = require('node:fs');
const v8 = require('node:v8');
const vm = require('node:vm');
const path = require('node:path');
const { once } = require('./lib/once.cjs');

/** Major version of Node for which this has been tried; forking is not something that Node promises. */
const TRIED = 26;

/** Lives that are rehearsed: often enough that V8 has gathered what it wants to know of the code, and compiled what it wants to. */
const LIVES = 16;

/** Collects garbage; `minor` leaves alone what has survived before. @type {(options?: {type: 'minor'}) => void} */
let collect = () => {};
const tidy = () => collect({ type: 'minor' });

/** What a forked process needs: found before, as looking for a module takes long and much memory. */
const parts = once(() => ({
  RUNTIME: require('./supervisor.cjs').RUNTIME,
  life: require('./lib/life.cjs'),
  ...require('./zygote/libc.cjs'),
  ...require('./zygote/serve.cjs'),
  ...require('./zygote/sandbox.cjs'),
  ...require('./zygote/gate.cjs'),
  ...require('./zygote/random.cjs'),
}));

/** @param {string} why */
function refuse(why) {
  fs.writeSync(3, `${JSON.stringify({ failed: why })}\n`);
  process.exit(1);
}

/** Everything that functions would otherwise load, and nothing that holds a descriptor or a thread: once here, it costs no instance anything. */
async function warmUp() {
  await require('./warm/warm-up.cjs').warmUp(
    ['typescript', 'fetch'],
    () => true,
    () => {},
  );
  const { rehearse } = require('./zygote/rehearsal.cjs');
  v8.setFlagsFromString('--no-lazy');
  await rehearse(LIVES);
  v8.setFlagsFromString('--lazy');
  v8.setFlagsFromString('--expose-gc');
  collect = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc');
  // What lives on is moved away from where new objects are made: children share it as long as nobody writes there.
  for (let round = 0; round < 3; round++) collect();
  sweep();
  // Once more, as V8 forgets much of what it knows of code when it collects; and what that has left is only moved.
  await rehearse(2);
  tidy();
  tidy();
}

/**
 * Takes up what garbage collection has left for later: in one thread memory is swept where something new is to go, and each child
 * would do that for itself, and write to all of it. Looking for objects needs a heap that has been swept.
 */
function sweep() {
  const { emitWarning } = process;
  try {
    // That it may change concerns nobody but us: the Node version is pinned.
    process.emitWarning = () => {};
    v8.queryObjects(class Nothing {}, { format: 'count' });
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** @param {{stdout?: string, stderr?: string}} files */
function openOutput({ stdout, stderr }) {
  const { libc } = parts();
  for (const [fd, file] of [
    [1, stdout],
    [2, stderr],
  ]) {
    if (file === undefined) continue;
    const opened = fs.openSync(/** @type {string} */ (file), 'w');
    libc.dup2(opened, fd);
    fs.closeSync(opened);
  }
}

/** @param {import('./zygote/serve.cjs').Order} order */
function become(order) {
  const { tell, CONTROL, libc, openGate, enterSandbox, seedFirst } = parts();
  /** @type {import('./zygote/gate.cjs').Channel | undefined} */
  let channel;
  try {
    libc.setsid();
    openOutput(order);
    if (order.gate !== undefined) channel = openGate(order.gate, order.sandbox, CONTROL);
    else if (order.sandbox !== undefined) enterSandbox(order.sandbox);
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, order.env);
    process.argv[1] = path.join(__dirname, 'supervisor.cjs');
    seedFirst();
    tell({ id: order.id, up: true });
    fs.closeSync(CONTROL);
  } catch (error) {
    tell({ id: order.id, error: /** @type {Error} */ (error).message });
    process.exit(125);
  }
  live(channel && aheadOf(channel, order.env));
}

/** Goes on as an instance. @param {ReturnType<typeof aheadOf>} [ahead] it may become one that others are forked from */
function live(ahead) {
  const { RUNTIME, copyAhead, life } = parts();
  const forked = {
    ...RUNTIME,
    saveCaches() {
      // From the first answers on memory is this instance's own, and worth giving back.
      v8.setFlagsFromString('--memory-reducer');
      RUNTIME.saveCaches?.();
    },
    ...(ahead && { ahead }),
    /** @param {() => boolean} idle */
    warmUp: (idle) => void (idle() && copyAhead()),
  };
  life.live(forked);
}

/**
 * How a process that has loaded a function's code is forked.
 * @param {import('./zygote/gate.cjs').Channel} channel @param {Record<string, string>} env variables it has begun with
 */
function aheadOf({ input, output, go }, env) {
  /** @type {ReturnType<import('./zygote/forkable.cjs')['watch']> | undefined} */
  let watched;
  return {
    watch() {
      require('./zygote/random.cjs').install();
      watched = require('./zygote/forkable.cjs').watch();
      return watched;
    },
    /** Returns in a forked process. */
    serve() {
      const { Forker } = require('./zygote/forker.cjs');
      const { libc, lookAgain } = require('./zygote/libc.cjs');
      for (let round = 0; round < 3; round++) collect();
      sweep();
      lookAgain();
      const cwd = process.cwd();
      const forker = new Forker(input, output, [go]);
      forker.tidy = tidy;
      forker.look();
      forker.tell({ ready: true });
      const order = forker.nextFork();
      if (order === undefined) return process.exit(0);
      // Not before it is in its control groups.
      fs.readSync(go, Buffer.alloc(1), 0, 1, null);
      forker.forget();
      libc.setsid();
      openOutput(order);
      forker.tell({ begun: true });
      for (const fd of [input, output]) fs.closeSync(fd);
      // The root may be another one.
      process.chdir(cwd);
      // Code may have changed what it was given; what is this process's own it has not seen.
      for (const [name, value] of Object.entries(order.env))
        if (env[name] !== value) process.env[name] = String(value);
      require('./zygote/random.cjs').reseed(watched?.drawn() !== '');
    },
  };
}

async function main() {
  if (Number(process.versions.node.split('.')[0]) !== TRIED)
    refuse(`forking has been tried with Node ${TRIED} only, this is ${process.version}`);
  try {
    // What is the runtime's own is compiled here, whether or not it is rehearsed.
    v8.setFlagsFromString('--no-lazy');
    parts();
    for (const name of ['load-error', 'loader', 'module-cache', 'type-cache']) require(`./lib/${name}.cjs`);
    require('./zygote/self-test.cjs');
    v8.setFlagsFromString('--lazy');
    // OpenSSL finds its generators once; a forked process seeds them anew.
    require('node:crypto').randomFillSync(new Uint32Array(1));
    await warmUp();
  } catch (error) {
    refuse(/** @type {Error} */ (error).message);
  }
  const { explore, tidyUp } = require('./zygote/rehearsal.cjs').explorer();
  // Each that is forked has its own.
  for (const name of Object.keys(process.env)) delete process.env[name];
  require('./zygote/libc.cjs').fillGaps();
  // From a turn of its own: the child goes on with an event loop in which nothing is pending.
  setImmediate(() => {
    const order = require('./zygote/serve.cjs').serve(tidy, tidyUp);
    if (order === 'test') require('./zygote/self-test.cjs').run();
    else if (typeof order === 'number') explore(order);
    else become(order);
  });
}

main();
