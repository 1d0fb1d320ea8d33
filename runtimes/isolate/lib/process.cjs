// @ts-check
'use strict';
/** The one workerd of an instance: its configuration, its life, and what is said to it on its control socket. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { COMPATIBILITY_DATE, spareCode } = require('./code.cjs');
const { Control } = require('./control.cjs');

/** Starts a command with a signal of its own for the death of its parent. */
const SETPRIV = '/usr/bin/setpriv';
/** Where the package manager puts the binary, by the names of Node's `process.arch`. @type {Record<string, string>} */
const PACKAGES = { x64: 'workerd-linux-64', arm64: 'workerd-linux-arm64' };
/** Bytes of its output that are told when it does not start. */
const TAIL = 4096;

/** @returns {string} path of the binary, whether it is there or not */
function binary() {
  const name = PACKAGES[process.arch] ?? `workerd-${process.arch}`;
  return path.join(__dirname, '../node_modules/@cloudflare', name, 'bin/workerd');
}

/** Text in Cap'n Proto's notation. @param {string} value */
const quoted = (value) =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (char) =>
    [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );

/** Path of the socket on which a slot is served; slot 0 is the instance's own. @param {string} dir @param {number} slot */
const socketOf = (dir, slot) => path.join(dir, slot === 0 ? '' : `f${slot}`, 'h.sock');

/** @param {string} dir @param {number} slots @returns {string} */
function configOf(dir, slots) {
  const router = fs.readFileSync(path.join(__dirname, 'router.mjs'), 'utf8');
  const sockets = Array.from({ length: slots }, (_, slot) => {
    const address = quoted(`unix:${socketOf(dir, slot)}`);
    const props = quoted(JSON.stringify({ slot }));
    return `(name = "s${slot}", address = ${address}, http = (), service = (name = "router", props = (json = ${props})))`;
  });
  const control = `(name = "control", address = ${quoted(`unix:${path.join(dir, 'c.sock')}`)}, http = (), service = (name = "router", entrypoint = "Control"))`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "router", worker = (
      modules = [
        (name = "router.mjs", esModule = ${quoted(router)}),
        (name = "spare.json", json = ${quoted(JSON.stringify(spareCode()))})],
      compatibilityDate = "${COMPATIBILITY_DATE}",
      compatibilityFlags = ["enable_request_signal", "request_signal_passthrough", "experimental"],
      bindings = [(name = "LOADER", workerLoader = (id = "functions"))])),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [${[control, ...sockets].join(',\n    ')}],
);
`;
}

/** How often it is looked whether it works without a pause, milliseconds. */
const LOOK_MS = 2000;
/** Part of that time in processor time from which on it has to prove that it still answers. */
const BUSY = 0.2;
/** … within this time, milliseconds. */
const ANSWER_MS = 5000;
/** Clock ticks of the kernel's accounting, per second. */
const TICKS = 100;

/** Processor time of a process, ms; all its threads. @param {number} pid */
function processorTime(pid) {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
  } catch {
    return 0;
  }
}

class Workerd {
  /** @param {string} dir of the sockets @param {number} slots */
  constructor(dir, slots) {
    this.dir = dir;
    this.slots = slots;
    this.control = new Control(path.join(dir, 'c.sock'));
    /** @type {import('node:child_process').ChildProcess | undefined} */
    this.child = undefined;
    /** @type {Promise<void> | undefined} */
    this.starting = undefined;
    this.tail = '';
    this.guarded = false;
    this.asked = false;
    /** @type {(message: string, detail: string) => void} */
    this.onExit = () => {};
  }

  /** Resolves when it takes requests. */
  start() {
    this.starting ??= this.#start();
    return this.starting;
  }

  async #start() {
    for (let slot = 0; slot < this.slots; slot++) {
      const socket = socketOf(this.dir, slot);
      fs.mkdirSync(path.dirname(socket), { recursive: true });
      fs.rmSync(socket, { force: true });
    }
    fs.rmSync(path.join(this.dir, 'c.sock'), { force: true });
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'workerd-'));
    const config = path.join(home, 'config.capnp');
    fs.writeFileSync(config, configOf(this.dir, this.slots));
    const keeper = fs.existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
    const [command, ...args] = [...keeper, binary(), 'serve', '--experimental', config, 'config'];
    const child = spawn(/** @type {string} */ (command), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: home },
    });
    this.child = child;
    process.once('exit', () => child.kill('SIGKILL'));
    for (const [stream, out] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]))
      stream?.on('data', (chunk) => {
        out.write(chunk);
        this.tail = (this.tail + chunk).slice(-TAIL);
      });
    let ended = '';
    child.once('error', (error) => {
      ended ||= error.message;
    });
    child.once('close', (code, signal) => {
      ended ||= `workerd ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`;
      this.onExit(ended, this.tail);
    });
    for (;;) {
      if (ended !== '') throw new Error(`${ended}: ${this.tail.trim()}`);
      const up = await this.say('/ping').then(
        () => true,
        () => false,
      );
      if (up) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    fs.rmSync(home, { recursive: true, force: true });
  }

  /**
   * Ends a process in which one function holds up all others: workerd has no limit on processor time of its own. The look costs a
   * few microseconds; nothing is asked of a process that rests.
   */
  guard() {
    if (this.guarded || this.child?.pid === undefined) return;
    this.guarded = true;
    const { child } = this;
    const { pid } = child;
    let before = processorTime(pid);
    const timer = setInterval(async () => {
      const now = processorTime(pid);
      const busy = now - before > LOOK_MS * BUSY;
      before = now;
      if (!busy || this.asked) return;
      this.asked = true;
      const late = new Promise((resolve) => setTimeout(resolve, ANSWER_MS, 'late').unref());
      const answer = await Promise.race([this.say('/ping').catch(() => 'gone'), late]);
      this.asked = false;
      if (answer !== 'late') return;
      clearInterval(timer);
      this.tail = `a function kept the process busy for more than ${ANSWER_MS / 1000} s, and all that share it waiting`;
      process.stderr.write(`petrel: ${this.tail}\n`);
      child.kill('SIGKILL');
    }, LOOK_MS);
    timer.unref();
  }

  /** @param {string} what path @param {string} [message] JSON @returns {Promise<any>} */
  async say(what, message) {
    const text = await this.control.say(what, message);
    try {
      return what === '/ping' ? text : JSON.parse(text);
    } catch {
      throw new Error(`workerd said: ${text.slice(0, 500)}`);
    }
  }

  /** Ends it. At SIGTERM it answers first what it has been asked. @param {NodeJS.Signals} signal @returns {Promise<void>} resolves when it has ended */
  async stop(signal) {
    const { child } = this;
    this.onExit = () => {};
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** @param {number} slot requests for it are refused from now on, by there being nothing to connect to */
  close(slot) {
    fs.rmSync(socketOf(this.dir, slot), { force: true });
  }
}

module.exports = { Workerd, binary, socketOf };
