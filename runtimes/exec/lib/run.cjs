// @ts-check
'use strict';
/** One request, one process: its body on standard input, its answer from standard output, nothing of it left when it is over. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */
/** @typedef {import('./script.cjs').Script} Script */

const { spawn } = require('node:child_process');
const { isUtf8 } = require('node:buffer');
const { fail } = require('../../node/lib/answer.cjs');
const { environmentOf } = require('./environment.cjs');
const { readHead } = require('./cgi.cjs');
const pipes = require('./pipes.cjs');

/** An answer leaves when it is complete, or this long after its first byte: until then a failure can still become a 500. Milliseconds. */
const HOLD_MS = 100;
/** … or as soon as it is this large, bytes. */
const HOLD_BYTES = 262144;
/** From SIGTERM to SIGKILL for what is cancelled, milliseconds. */
const KILL_MS = 1000;
/** Bytes of standard error that a failure is told with. */
const TAIL = 8192;

/** A program did not do what it was started for. */
class ExitError extends Error {
  /** @param {string} message @param {string} stack */
  constructor(message, stack) {
    super(message);
    this.name = 'ExitError';
    this.stack = stack;
  }
}

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

/** Text, unless it cannot be: a character may be cut in two at the end. @param {Buffer} bytes */
function typeOf(bytes) {
  let end = bytes.length;
  while (end > bytes.length - 3 && end > 0 && /** @type {number} */ (bytes[end - 1]) >= 0x80) end--;
  return isUtf8(bytes) || isUtf8(bytes.subarray(0, end))
    ? 'text/plain; charset=utf-8'
    : 'application/octet-stream';
}

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
    /** @type {Buffer[]} */
    this.held = [];
    this.heldBytes = 0;
    this.holding = true;
    /** Whether the client reads slower than the program writes. */
    this.stalled = false;
    this.tail = Buffer.alloc(0);
    /** @type {NodeJS.Timeout | undefined} */
    this.hold = undefined;
    /** @type {import('node:child_process').ChildProcess | undefined} */
    this.child = undefined;
    /** Things that have to end: the process and its two outputs. */
    this.open = 3;
    /** @type {string | undefined} how the process ended, when that is a failure */
    this.failure = undefined;
    /** @type {import('./pipes.cjs').Pipes | undefined} */
    this.pipes = undefined;
  }

  /** @param {import('./pipes.cjs').Set} set */
  start(set) {
    const { exchange, script } = this;
    const ends = pipes.open(set, exchange.hasBody);
    this.pipes = ends;
    ends.stdout.on('data', (chunk) => this.output(/** @type {Buffer} */ (chunk)));
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
      this.failure =
        /** @type {any} */ (error).code === 'E2BIG' ? 'its request has too long headers' : error.message;
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

  /** @param {Buffer} chunk */
  output(chunk) {
    if (this.exchange.finished) return; // cancelled, or answered with a failure
    if (!this.holding) {
      this.send(chunk);
      return;
    }
    this.held.push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes >= HOLD_BYTES) this.begin(false);
    else this.hold ??= setTimeout(() => this.begin(false), HOLD_MS);
  }

  /** @param {Buffer} chunk */
  send(chunk) {
    const { exchange } = this;
    if (exchange.method === 'HEAD' || exchange.write(chunk)) return;
    this.stalled = true;
    this.pipes?.stdout.pause();
    exchange.drained().then(() => {
      this.stalled = false;
      this.pipes?.stdout.resume();
    });
  }

  /** Sends what has been held. @param {boolean} complete whether that is all there is */
  begin(complete) {
    clearTimeout(this.hold);
    const bytes = Buffer.concat(this.held);
    let answer;
    try {
      answer =
        this.script.mode === 'cgi'
          ? readHead(bytes, complete)
          : {
              status: 200,
              headers: `content-type: ${this.env.content_type ?? typeOf(bytes)}\r\n`,
              body: bytes,
            };
    } catch (error) {
      this.broken(error);
      return;
    }
    if (answer === undefined) {
      this.held = [bytes];
      this.hold = setTimeout(() => this.begin(false), HOLD_MS);
      return;
    }
    this.holding = false;
    this.held = [];
    const { status, headers, body } = answer;
    if (complete) this.exchange.respond(status, headers, body);
    else {
      this.exchange.start(status, headers);
      if (body.length > 0) this.send(body);
    }
  }

  /** The program's answer cannot be used. @param {unknown} error */
  broken(error) {
    const { message, name } = /** @type {Error} */ (error);
    const at = `${this.script.name}: ${message}`;
    fail(this.exchange, new ExitError(at, `${name}: ${at}`));
    this.cancel();
  }

  /** One of the three has ended. */
  part() {
    if (--this.open > 0) return;
    clearTimeout(this.hold);
    this.pipes?.stdin?.destroy();
    this.pipes?.done();
    const { exchange } = this;
    if (!exchange.finished) {
      if (this.failure !== undefined) {
        const said = this.tail.toString().trim();
        const what = `${this.script.name} ${this.failure}`;
        fail(exchange, new ExitError(said === '' ? what : `${what}: ${said}`, `${what}\n${said}`), what);
      } else if (this.holding) this.begin(true);
      else exchange.end();
    }
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
