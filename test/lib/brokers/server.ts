/**
 * Real servers for tests: each started in a directory of its own on free ports of the loopback interface, stopped, killed and started
 * again there. What is not installed is a sentence that the tests print when they skip.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** A server that runs. */
export interface Server {
  /** Its files; they survive `kill` and `restart`. */
  readonly dir: string;
  readonly port: number;
  /** Ends it as an operator would, keeps its files. */
  end(): Promise<void>;
  /** `kill -9`, keeps its files. */
  kill(): Promise<void>;
  /** It stands still (SIGSTOP): connections are still made, and nothing is answered, until `thaw`, `kill` or `stop`. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same files and ports, after `end` or `kill`. */
  start(): Promise<void>;
  /** The end: kills it and removes its files. */
  stop(): Promise<void>;
  /** What it has written to its output. */
  output(): string;
}

export interface Plan {
  command: string;
  args: string[];
  env?: Record<string, string>;
  /** Runs as this user where the tests run as root: some servers refuse to be root. */
  user?: string;
  /** Whether it answers. Default: it accepts connections on its port. */
  ready?(): Promise<boolean>;
}

const START_MS = 60_000;
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) killGroup(child);
});

/** Where servers are, too, though the PATH of who is not root may not say so. */
const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Whether there is a program of this name. */
export const installed = (program: string): boolean =>
  spawnSync('/bin/sh', ['-c', 'command -v "$0"', program], {
    stdio: 'ignore',
    env: { ...process.env, PATH },
  }).status === 0;

/** `count` ports that nobody listened on just now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer();
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Whether something accepts connections there. */
export const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Waits until `condition` holds. @throws when it does not within `ms`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await pause(10);
  }
}

/** Starts a server. `plan` is asked once, with the directory. */
export async function startServer(
  name: string,
  port: number,
  plan: (dir: string) => Plan | Promise<Plan>,
): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), `petrel-${name}-`));
  const { command, args, env, user, ready = () => listens(port) } = await plan(dir);
  const log = join(dir, 'output.log');
  let child: ChildProcess | undefined;
  const output = () => readFileSync(log, 'utf8');

  const start = async () => {
    const out = openSync(log, 'a');
    const guard = ['--pdeathsig', 'KILL', '--', command, ...args];
    const as =
      user === undefined || process.getuid?.() !== 0
        ? []
        : ['--reuid', user, '--regid', group(user), '--clear-groups'];
    const mine = spawn('setpriv', [...as, ...guard], {
      cwd: dir,
      detached: true, // a process group of its own: what it starts is ended with it
      stdio: ['ignore', out, out],
      env: { ...process.env, PATH, ...env },
    });
    closeSync(out);
    let failure: string | undefined;
    mine.once('error', (error) => {
      failure = error.message;
    });
    mine.once('exit', (code, signal) => {
      children.delete(mine);
      failure = `it ended with ${signal ?? code}`;
    });
    child = mine;
    children.add(mine);
    const answers = async () => {
      if (failure !== undefined)
        throw new Error(`${name} does not start: ${failure}\n${output().slice(-2000)}`);
      return ready();
    };
    await until(answers, `${name} answers`, START_MS);
  };
  const gone = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const mine = child;
    if (mine === undefined || mine.exitCode !== null || mine.signalCode !== null) return;
    const exit = new Promise((resolve) => mine.once('exit', resolve));
    if (signal === 'SIGTERM') mine.kill(signal);
    else killGroup(mine);
    await exit;
    killGroup(mine);
    await until(async () => !(await listens(port)), `${name} is gone`);
  };
  try {
    await start();
  } catch (error) {
    await gone('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  return {
    dir,
    port,
    output,
    start,
    freeze: () => signalTree(child, 'SIGSTOP'),
    thaw: () => signalTree(child, 'SIGCONT'),
    end: () => gone('SIGTERM'),
    kill: () => gone('SIGKILL'),
    async stop() {
      await gone('SIGKILL');
      rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    },
  };
}

const group = (user: string) => spawnSync('id', ['-gn', user], { encoding: 'utf8' }).stdout.trim();

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of it is left.
  }
}

/** To a process and all that it has started, which may be in groups of their own. */
function signalTree(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  const visit = (pid: number) => {
    try {
      // The parent first: one that stands still starts nobody.
      process.kill(pid, signal);
      for (const task of readdirSync(`/proc/${pid}/task`))
        for (const its of readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '))
          if (its !== '') visit(Number(its));
    } catch {
      // It is gone.
    }
  };
  if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) visit(child.pid);
}
