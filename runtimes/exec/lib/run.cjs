// @ts-check
'use strict';
/** One request, one process: its body on standard input, its answer from standard output, nothing of it left when it is over. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */
/** @typedef {import('./script.cjs').Script} Script */

const { spawn } = require('node:child_process');
const { fail } = require('../../node/lib/answer.cjs');
const { environmentOf } = require('./environment.cjs');
const { Output } = require('./output.cjs');
const pipes = require('./pipes.cjs');

/** From SIGTERM to SIGKILL for what is cancelled, milliseconds. */
const KILL_MS = 1000;
/** Bytes of standard error that a failure is told with. */
const TAIL = 8192;

/** @param {number | undefined} group @param {NodeJS.Signals} signal */
function killGroup(group, signal) {
  try {
    if (group !== undefined) process.kill(-group, signal);
  } catch {} // nobody is left
}

/** Process groups at work. @type {Set<number>} */
const groups = new Set();
process.once('exit', () => {
  for (const group of groups) killGroup(group, 'SIGKILL');
});

class Run {
  /**
   * @param {Script} script @param {string} root @param {Record<string, string | undefined>} env of every process
   * @param {ExchangeType} exchange @param {() => void} over called once, when nothing of the process is left
   */
  constructor(script, root, env, exchange, over) {
    this.script = script;
    this.root = root;
    this.env = env;
    this.exchange = exchange;
    this.over = over;
    const mode = script.mode === 'cgi' ? 'cgi' : 'stdio';
    this.output = new Output(exchange, script.name, mode, env.content_type, () => this.cancel());
    /** Whether the client reads slower than the program writes. */
    this.stalled = false;
    this.tail = Buffer.alloc(0);
    /** @type {import('node:child_process').ChildProcess | undefined} */
    this.child = undefined;
    /** @type {import('./pipes.cjs').Pipes | undefined} */
    this.pipes = undefined;
    /** Things that have to end: the process and its two outputs. */
    this.open = 3;
    /** @type {string | undefined} how the process ended, when that is a failure */
    this.failure = undefined;
  }

  /** @param {import('./pipes.cjs').Set} set */
  start(set) {
    const { exchange, script } = this;
    const ends = pipes.open(set, exchange.hasBody);
    this.pipes = ends;
    ends.stdout.on('data', (chunk) => {
      if (!this.output.write(/** @type {Buffer} */ (chunk))) this.stall(ends.stdout);
    });
    ends.stderr.on('data', (chunk) => {
      process.stderr.write(chunk);
      this.tail = Buffer.concat([this.tail, /** @type {Buffer} */ (chunk)]).subarray(-TAIL);
    });
    for (const output of [ends.stdout, ends.stderr]) output.once('close', () => this.part());
    const child = spawn(script.command, script.args, {
      cwd: this.root,
      env: { ...this.env, ...environmentOf(exchange, script.file) },
      stdio: ends.stdio,
      detached: true, // a process group of its own, so that all of it can be ended
    });
    this.child = child;
    if (child.pid !== undefined) groups.add(child.pid);
    ends.started();
    child.once('error', (error) => {
      if (child.pid !== undefined) return;
      const tooLong = /** @type {NodeJS.ErrnoException} */ (error).code === 'E2BIG';
      this.failure = tooLong ? 'cannot be started: the headers of its request are too long' : error.message;
      this.part();
    });
    child.once('exit', (code, signal) => {
      if (code !== 0)
        this.failure = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      groups.delete(/** @type {number} */ (child.pid));
      killGroup(child.pid, 'SIGKILL'); // what it has left behind would keep the answer open
      this.part();
      setTimeout(() => this.letGo(), KILL_MS).unref();
    });
    exchange.onabort(() => this.cancel());
    if (ends.stdin !== undefined) this.input(ends.stdin);
  }

  /** Something that got away from its group may hold the outputs for ever. */
  letGo() {
    if (this.stalled) setTimeout(() => this.letGo(), KILL_MS).unref();
    else for (const output of [this.pipes?.stdout, this.pipes?.stderr]) output?.destroy();
  }

  cancel() {
    const group = this.child?.pid;
    killGroup(group, 'SIGTERM');
    const timer = setTimeout(() => killGroup(group, 'SIGKILL'), KILL_MS);
    this.child?.once('exit', () => clearTimeout(timer));
    this.pipes?.stdout.resume();
  }

  /** @param {import('node:net').Socket} stdout read on when the client has caught up */
  stall(stdout) {
    this.stalled = true;
    stdout.pause();
    this.exchange.drained().then(() => {
      this.stalled = false;
      stdout.resume();
    });
  }

  /** The body, as fast as the program reads it. @param {import('node:net').Socket} stdin */
  input(stdin) {
    stdin.on('error', () => {}); // it need not read all
    const next = () => {
      this.exchange.pull((error, chunk) => {
        if (error !== null || chunk === null) stdin.end();
        else if (stdin.destroyed)
          next(); // whoever does not read it is not to be waited for
        else if (stdin.write(chunk)) next();
        else {
          const go = () => {
            stdin.off('drain', go);
            stdin.off('close', go);
            next();
          };
          stdin.on('drain', go);
          stdin.on('close', go);
        }
      });
    };
    next();
  }

  /** One of the three has ended. */
  part() {
    if (--this.open > 0) return;
    this.pipes?.stdin?.destroy();
    this.pipes?.done();
    const { failure } = this;
    this.output.end(failure === undefined ? undefined : { what: failure, said: this.tail.toString() });
    this.over();
  }
}

/**
 * @param {Script} script @param {string} root @param {Record<string, string | undefined>} env @param {ExchangeType} exchange
 * @param {() => void} over
 */
function run(script, root, env, exchange, over) {
  const one = new Run(script, root, env, exchange, over);
  pipes.take().then(
    (set) => {
      if (exchange.aborted !== null) {
        pipes.give(set);
        over();
        return;
      }
      try {
        one.start(set);
      } catch (error) {
        fail(exchange, error);
        over();
      }
    },
    (error) => {
      fail(exchange, error);
      over();
    },
  );
}

module.exports = { run };
