/** Real instances of the runtimes, for tests: started, specialised, and ended with everything they left. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { MuxClient } from './client.ts';

const RUNTIMES = path.dirname(import.meta.dirname);

export type RuntimeName = 'node' | 'python';

/** Where Python really is: a version manager's shim would add its own start to every instance. */
function findPython(): string | undefined {
  const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}
const python = findPython();

/** argv of a generic instance, as the runtime's manifest has it. */
const COMMANDS: Record<RuntimeName, string[]> = {
  node: [
    process.execPath,
    '--disable-sigusr1',
    '--min-semi-space-size=4',
    path.join(RUNTIMES, 'node/supervisor.cjs'),
  ],
  python: [python ?? 'python3', '-S', '-u', path.join(RUNTIMES, 'python/supervisor.py')],
};

/** Why a runtime cannot be tested here; undefined when it can. */
export const missing: Record<RuntimeName, string | undefined> = {
  node: undefined,
  python: python === undefined ? 'python3 is not installed' : undefined,
};

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
  runtime: RuntimeName;
  /** Extra variables of the process, for example `PETREL_LOAD_TIMEOUT_MS`. */
  env?: Record<string, string>;
}

export class Instance {
  readonly child: ChildProcess;
  readonly dir: string;
  readonly socket: string;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  output = '';
  control!: MuxClient;
  #clients: MuxClient[] = [];

  private constructor({ runtime, env = {} }: InstanceOptions) {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-rt-'));
    this.socket = path.join(this.dir, 'i.sock');
    const [command, ...args] = COMMANDS[runtime];
    this.child = spawn(command as string, args, {
      stdio: ['pipe', 'pipe', 'pipe'], // stdin stays open: the supervisor itself has to put user code at its end
      env: { PATH: process.env.PATH, HOME: this.dir, PETREL_SOCKET: this.socket, ...env },
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

  // biome-ignore lint/suspicious/noExplicitAny: a JSON result
  specialise(files: Files, params: object = {}): Promise<any> {
    return this.control.call('specialise', {
      namespace: 'default',
      function: 'hello',
      revision: 'hello-00001',
      code: this.package(files),
      development: true,
      timeoutMs: 300_000,
      concurrency: 0,
      env: { K_SERVICE: 'hello', K_CONFIGURATION: 'hello', K_REVISION: 'hello-00001', GREETING: 'hi there' },
      ...params,
    });
  }

  /** What the instance did against the protocol on any connection. */
  get violations(): Error[] {
    return [this.control, ...this.#clients].flatMap((client) => client?.violations ?? []);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.child.kill('SIGKILL');
    await this.exited;
    fs.rmSync(this.dir, { recursive: true, force: true });
    if (this.violations.length > 0) throw this.violations[0];
  }
}
