/** Real instances of the runtimes, for tests: started, specialised, and ended with everything they left. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { MuxClient } from './client.ts';
import { type Caller, HttpClient } from './http-client.ts';

const RUNTIMES = path.dirname(import.meta.dirname);
/** Kept between runs: compilers and package managers are slow without what they remember. */
const BUILD_CACHE = path.join(os.homedir(), '.cache/petrel/contract-tests');

/** Why a runtime cannot be tested here: a program it needs is not installed; undefined when all are. */
export function withoutProgram(...names: string[]): string | undefined {
  const found = (name: string) =>
    spawnSync('/bin/sh', ['-c', 'command -v "$0"', name], { stdio: 'ignore' }).status === 0;
  const gone = names.filter((name) => !found(name));
  return gone.length === 0 ? undefined : `${gone.join(', ')} is not installed`;
}

/** The same for a program that is there, but older than `least` (`1.22`). */
export function olderThan(least: string, ...command: [string, ...string[]]): string | undefined {
  const [program, ...args] = command;
  const found = /(\d+)\.(\d+)/.exec(spawnSync(program, args, { encoding: 'utf8' }).stdout ?? '');
  const [major = 0, minor = 0] = least.split('.').map(Number);
  if (found === null) return `${program} is not installed`;
  const [mine, minors] = [Number(found[1]), Number(found[2])];
  return mine > major || (mine === major && minors >= minor)
    ? undefined
    : `${program} ${found[0]} is older than ${least}`;
}

/** The part of a runtime's manifest that tests need. */
interface Manifest {
  spec: {
    command: string[];
    env?: { name: string; value?: string }[];
    zygote?: { command: string[] };
    build?: { command: string[]; when?: string[] };
  };
}

/** Instances are forked from their runtime's zygote. */
const FORKED = process.env.PETREL_CONTRACT_FORKED === '1';
const FORK = path.join(import.meta.dirname, 'forked.ts');

/** The last process that this one has started. Throws when there is none. */
function childOf(pid: number): number {
  const child = Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').at(-1));
  // 0 would be this process's own group.
  if (!(child > 0)) throw new Error(`process ${pid} has no child`);
  return child;
}

const manifestOf = (runtime: string): Manifest =>
  parse(fs.readFileSync(path.join(RUNTIMES, runtime, 'runtime.yaml'), 'utf8')) as Manifest;

/** Where Python really is: a version manager's shim would add its own start to every instance. */
const real = (command: string): string => {
  if (command !== 'python3') return command;
  const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : command;
};

const argvOf = (command: string[], runtime: string): string[] =>
  command.map((argument) =>
    real(
      argument
        .replace('$(NODE)', process.execPath)
        .replace('$(RUNTIME_DIR)', path.join(RUNTIMES, runtime))
        .replace('$(RUNTIME_CACHE)', preparedOf(runtime)),
    ),
  );

/** How the zygote of a runtime is started. */
export const zygoteArgv = (runtime: string): string[] =>
  argvOf(manifestOf(runtime).spec.zygote?.command ?? [], runtime);

const preparedOf = (runtime: string): string => path.join(BUILD_CACHE, `${runtime}-prepared`);
const prepared = new Set<string>();

/** Makes ready what the runtime's instances start from, once in a process. */
function prepare(runtime: string): void {
  const script = path.join(RUNTIMES, runtime, 'prepare.cjs');
  if (prepared.has(runtime) || !fs.existsSync(script)) return;
  prepared.add(runtime);
  const env = { PATH: process.env.PATH, HOME: os.tmpdir(), PETREL_OUTPUT: preparedOf(runtime) };
  fs.mkdirSync(BUILD_CACHE, { recursive: true });
  const done = spawnSync(process.execPath, [script], { env, encoding: 'utf8', timeout: 120_000 });
  if (done.status !== 0) throw new Error(`${runtime} cannot be prepared: ${done.stdout}${done.stderr}`);
}

/** A build ended with another code than 0; `log` is what it said. */
export class BuildError extends Error {
  readonly log: string;
  constructor(log: string) {
    super(log.slice(-2000));
    this.log = log;
  }
}

const built = new Map<string, string>();

/** Whether an entry of `when` names a file that is there, and, after a `#`, a word that is in it: enough for the packages of tests. */
function asks(source: string, entry: string): boolean {
  const [name = '', word] = entry.split('#');
  const file = path.join(source, name);
  if (!fs.existsSync(file)) return false;
  return word === undefined || new RegExp(`\\b${word}\\b`).test(fs.readFileSync(file, 'utf8'));
}

/**
 * Builds a package as BUILDS.md says, or returns the directory as it is when its runtime builds nothing of it. The same files are
 * built once in a process. Throws `BuildError`.
 */
export function build(
  runtime: string,
  source: string,
  files: Files,
  entry?: string,
  handler?: string,
): string {
  const { spec } = manifestOf(runtime);
  const { command, when = [] } = spec.build ?? { command: [] };
  if (command.length === 0) return source;
  if (when.length > 0 && !when.some((entry) => asks(source, entry))) return source;
  const key = JSON.stringify([runtime, entry, handler, Object.entries(files)]);
  const known = built.get(key);
  if (known !== undefined) return known;
  const output = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-built-'));
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-home-'));
  const cache = path.join(BUILD_CACHE, runtime);
  fs.mkdirSync(cache, { recursive: true });
  const registries = Object.entries(process.env).filter(([name]) =>
    /^(.*_proxy|GOPROXY|GOFLAGS|GONOSUMDB|GOSUMDB|PIP_.*|NPM_CONFIG_.*|CARGO_.*|RUSTUP_.*|JAVA_HOME|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS)$/i.test(
      name,
    ),
  );
  const [program, ...args] = argvOf(command, runtime);
  const done = spawnSync(program as string, args, {
    cwd: source,
    encoding: 'utf8',
    timeout: 280_000,
    env: {
      PATH: process.env.PATH,
      HOME: home,
      TMPDIR: home,
      ...Object.fromEntries(registries),
      PETREL_OUTPUT: output,
      PETREL_CACHE: cache,
      PETREL_RUNTIME_DIR: path.join(RUNTIMES, runtime),
      ...(entry ? { PETREL_ENTRY: entry } : {}),
      ...(handler ? { PETREL_HANDLER: handler } : {}),
    },
  });
  fs.rmSync(home, { recursive: true, force: true });
  if (done.status !== 0) {
    fs.rmSync(output, { recursive: true, force: true });
    throw new BuildError(`${done.stdout}${done.stderr}${done.error ?? ''}`);
  }
  if (fs.readdirSync(output).length === 0) {
    fs.rmdirSync(output);
    return source;
  }
  built.set(key, output);
  return output;
}

/** Removes what was built; for the end of a test file. */
export function forgetBuilds(): void {
  for (const directory of built.values()) fs.rmSync(directory, { recursive: true, force: true });
  built.clear();
}

/** Files of a package: path and content. */
export type Files = Record<string, string | Uint8Array>;

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves when `condition` holds; fails loudly when it does not within `ms`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface InstanceOptions {
  runtime: string;
  /** Extra variables of the process, for example `PETREL_LOAD_TIMEOUT_MS`. */
  env?: Record<string, string>;
}

export class Instance {
  readonly child: ChildProcess;
  readonly dir: string;
  readonly socket: string;
  readonly runtime: string;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  output = '';
  control!: MuxClient;
  #clients: MuxClient[] = [];
  #callers: Caller[] = [];
  #transport: { kind: string; host?: string; port?: number } | undefined;

  private constructor({ runtime, env = {} }: InstanceOptions) {
    prepare(runtime);
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-rt-'));
    this.socket = path.join(this.dir, 'i.sock');
    this.runtime = runtime;
    const { command: started, env: fixed = [], zygote } = manifestOf(runtime).spec;
    const argv = FORKED ? [process.execPath, FORK, ...(zygote?.command ?? [])] : started;
    const [command, ...args] = argvOf(argv, runtime);
    const own = Object.fromEntries(fixed.map(({ name, value }) => [name, value]));
    this.child = spawn(command as string, args, {
      stdio: ['pipe', 'pipe', 'pipe'], // stdin stays open: the supervisor itself has to put user code at its end
      env: { PATH: process.env.PATH, HOME: this.dir, PETREL_SOCKET: this.socket, ...own, ...env },
    });
    this.child.stdout?.on('data', (chunk) => {
      this.output += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.output += chunk;
    });
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }));
  }

  /** A generic instance with its control connection open. */
  static async start(options: InstanceOptions): Promise<Instance> {
    const instance = new Instance(options);
    let gone = false;
    instance.exited.then(() => {
      gone = true;
    });
    await until(async () => {
      if (gone) throw new Error(`the instance ended at its start: ${instance.output}`);
      try {
        instance.control = await instance.connect('control');
        return true;
      } catch {
        return false;
      }
    }, 'the socket of the instance');
    return instance;
  }

  /** A client of what the instance said that requests take; for `mux` a data connection. */
  async caller(): Promise<Caller> {
    const { kind = 'mux', host = '127.0.0.1', port = 0 } = this.#transport ?? {};
    if (kind === 'mux') return this.connect();
    const target = kind === 'http1' ? { host, port } : { socketPath: path.join(this.dir, 'h.sock') };
    const client = new HttpClient(target);
    this.#callers.push(client);
    return client;
  }

  /** The instance's own process. */
  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error('the instance was not started');
    return FORKED ? childOf(childOf(pid)) : pid;
  }

  /** Signals the instance; false when it is gone. */
  kill(signal: NodeJS.Signals): boolean {
    try {
      return FORKED ? process.kill(this.pid, signal) : this.child.kill(signal);
    } catch {
      return false;
    }
  }

  async connect(role: 'data' | 'control' = 'data'): Promise<MuxClient> {
    const client = await MuxClient.open(this.socket, role);
    this.#clients.push(client);
    return client;
  }

  /** Writes a package to disk. */
  package(files: Files): string {
    const code = path.join(this.dir, 'code');
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(code, name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, content);
    }
    return code;
  }

  /** Builds the package where its runtime does, and loads it. Rejects with the instance's error, or with `BuildError`. */
  async specialise(
    files: Files,
    params: { entry?: string; handler?: string; [name: string]: unknown } = {},
    // biome-ignore lint/suspicious/noExplicitAny: a JSON result
  ): Promise<any> {
    const result = await this.control.call('specialise', {
      namespace: 'default',
      function: 'hello',
      revision: 'hello-00001',
      code: build(this.runtime, this.package(files), files, params.entry, params.handler),
      development: true,
      timeoutMs: 300_000,
      concurrency: 0,
      env: { K_SERVICE: 'hello', K_CONFIGURATION: 'hello', K_REVISION: 'hello-00001', GREETING: 'hi there' },
      ...params,
    });
    this.#transport = result.transport;
    return result;
  }

  /** What the instance did against the protocol on any connection. */
  get violations(): Error[] {
    return [this.control, ...this.#clients].flatMap((client) => client?.violations ?? []);
  }

  async stop(): Promise<void> {
    for (const client of [...this.#clients, ...this.#callers]) client.close();
    this.kill('SIGKILL');
    await this.exited;
    fs.rmSync(this.dir, { recursive: true, force: true });
    if (this.violations.length > 0) throw this.violations[0];
  }
}
