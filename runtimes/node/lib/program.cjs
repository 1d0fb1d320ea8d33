// @ts-check
'use strict';
/** Programs: started as a child, reached over HTTP/1.1 on `$PORT`. */

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { SpecialiseError } = require('./entry.cjs');

/** Starts a command with a signal of its own for the death of its parent. */
const SETPRIV = '/usr/bin/setpriv';
/** Bytes of stderr that are kept for the message of a program that did not start. */
const TAIL = 8192;

/** Nothing in it that needs a shell to go on after the command: the shell can make way for it, and signals reach it. */
const ONE_COMMAND = /^[^;&|<>()`\n]+$/;

/** @param {string} root @returns {string | undefined} the command that a Procfile gives for the web */
function procfileCommand(root) {
  let text;
  try {
    text = fs.readFileSync(path.join(root, 'Procfile'), 'utf8');
  } catch {
    return undefined;
  }
  return /^web:[ \t]*(\S.*?)\s*$/m.exec(text)?.[1];
}

/**
 * The command line of a package: `web` of its Procfile, `scripts.start` as npm runs it, otherwise its entry file.
 * @param {string} root @param {any} manifest @param {string | undefined} entry absolute, when it was asked for or found
 * @param {boolean} declared whether the entry was asked for
 */
function commandOf(root, manifest, entry, declared) {
  const start = procfileCommand(root) ?? manifest.scripts?.start;
  if (typeof start === 'string' && !declared) {
    // A plain command is started without a shell between: signals reach the program itself.
    const words =
      /^[\w./=:@-]+(?: +[\w./=:@-]+)*$/.test(start) && !/^\w+=/.test(start)
        ? start.split(/ +/)
        : ['/bin/sh', '-c', ONE_COMMAND.test(start) ? `exec env ${start}` : start];
    const command = /** @type {string} */ (words[0]);
    return { command: command === 'node' ? process.execPath : command, args: words.slice(1), label: start };
  }
  if (entry === undefined)
    throw new SpecialiseError(
      'EntryNotFound',
      'the package has neither a Procfile, scripts.start nor a main file to run as a program',
    );
  return { command: process.execPath, args: [entry], label: path.relative(root, entry) };
}

/** @param {number} port @returns {Promise<boolean>} whether something accepts there */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * @typedef {object} Start
 * @property {string} root @property {string} cwd @property {string} command @property {string[]} args
 * @property {string} label the command in messages
 * @property {number | undefined} port
 * @property {number} limitMs time until it listens
 * @property {(message: string, detail: string) => void} onProgramExit only after it has started
 */

/**
 * Starts a program and resolves once its port accepts connections.
 * @param {Start & {port: number}} options
 * @returns {Promise<import('node:child_process').ChildProcess>} @throws {SpecialiseError} LoadError with the end of its stderr
 */
async function start({ root, cwd, command, args, label, port, limitMs, onProgramExit }) {
  if (await accepts(port)) {
    throw new SpecialiseError(
      'LoadError',
      `port ${port} is taken: another process of this machine listens on it`,
    );
  }
  const bins = [
    path.join(root, 'node_modules/.bin'),
    path.dirname(process.execPath),
    process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  ];
  // Where util-linux is there, the kernel ends the program with its supervisor, however that ends.
  const keeper = fs.existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
  const [file, ...argv] = [...keeper, command, ...args];
  const child = spawn(/** @type {string} */ (file), argv, {
    cwd,
    env: { ...process.env, PATH: bins.join(':'), PORT: String(port) },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  // Whatever ends this process ends the program too.
  process.once('exit', () => child.kill('SIGKILL'));
  let tail = Buffer.alloc(0);
  child.stderr?.on('data', (chunk) => {
    process.stderr.write(chunk);
    tail = Buffer.concat([tail, chunk]).subarray(-TAIL);
  });
  /** @type {string | undefined} */
  let ended;
  let up = false;
  child.once('error', (error) => {
    ended = `${label} could not be started: ${error.message}`;
  });
  child.once('close', (code, signal) => {
    ended ??= `${label} ended ${signal === null ? `with exit code ${code}` : `by ${signal}`} before it listened on port ${port}`;
    if (up) {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      onProgramExit(`the program ended ${how}`, tail.toString());
    }
  });
  const deadline = Date.now() + limitMs;
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 100)) {
    if (ended !== undefined) break;
    if (await accepts(port)) {
      up = true;
      return child;
    }
    if (Date.now() > deadline) {
      child.kill('SIGKILL');
      ended = `${label} did not listen on port ${port} ($PORT) within ${Math.round(limitMs / 1000)} s`;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  const detail = tail.toString().replaceAll(`${root}/`, '').trim();
  throw new SpecialiseError('LoadError', ended, { detail: detail === '' ? ended : `${ended}\n${detail}` });
}

/**
 * A program as what an instance has loaded. @param {Start} options
 * @returns {Promise<import('./loader.cjs').Loaded>} @throws {SpecialiseError}
 */
async function loadProgram(options) {
  const { port } = options;
  if (port === undefined) throw new SpecialiseError('BadRequest', 'a program needs a port');
  const child = await start({ ...options, port });
  return {
    shape: 'program',
    transport: { kind: 'http1', host: '127.0.0.1', port },
    stop: (signal) =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) resolve();
        else {
          child.removeAllListeners('close');
          child.once('close', () => resolve());
          child.kill(signal);
        }
      }),
  };
}

module.exports = { commandOf, loadProgram };
