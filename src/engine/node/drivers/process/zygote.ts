/**
 * One zygote: a warm process of a language runtime that forks instances on order (runtimes/PROTOCOL.md, "Zygote"). It runs code of
 * the runtime only, with the platform's own rights; what it forks confines itself before anything else can run in it.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { signalProcess } from './spawn.ts';

/** What a forked process is to do before it becomes an instance. */
export interface ForkOrder {
  /** Files that its output goes to. */
  stdout: string;
  stderr: string;
  /** First process of its pid namespace; reads `life`, and ends when that does. */
  keeper: { command: string[]; life: string };
  /** JSON of the sandbox, see `orderOf`. */
  sandbox: string;
  env: Record<string, string>;
  /** It is to become one that others are forked from. */
  gate?: GateOrder;
}

/** How a function zygote hears from the agent, and what it needs for those it forks. */
export interface GateOrder {
  /** Files: lines of JSON to it and from it. */
  orders: string;
  answers: string;
  /** Directories in which control groups are made. */
  groups: string[];
  /** Directories in memory that each of those it forks has of its own. */
  fresh: string[];
}

export interface Forked {
  pid: number;
  keeper: number;
  /** Exit code of the process, and of the keeper, once the zygote has told it. Never settles when the zygote ends first. */
  ended: Promise<number>;
  keeperEnded: Promise<number>;
  /** Resolves when the process is confined and runs, or with the reason why it never will. */
  setUp: Promise<string | undefined>;
}

export interface Zygote {
  /** Resolves with true once it can fork; false: it has failed its self-test, or ended. */
  readonly ready: Promise<boolean>;
  readonly state: 'starting' | 'ready' | 'ended';
  /** Why it ended. */
  readonly why: string;
  readonly over: Promise<void>;
  fork(order: ForkOrder): Promise<Forked>;
  /** Mounts something in the namespace of a process it has forked; false when that did not work. */
  mount(order: { of: number; source: string; target: string; flags: number[] }): Promise<boolean>;
  /** Ends it; what it has forked lives on. */
  end(): void;
}

interface Message {
  ready?: true;
  failed?: string;
  id?: number;
  pid?: number;
  keeper?: number;
  up?: true;
  error?: string;
  ended?: number;
  code?: number;
}

interface Order {
  /** One that the zygote alone speaks of: its answer is the process that does it. */
  short?: (pid: number | undefined) => void;
  /** The zygote has told of the process; it and the process itself speak in any order. */
  known: boolean;
  /** The process has told how it went. */
  told: boolean;
  forked: PromiseWithResolvers<Forked>;
  setUp: PromiseWithResolvers<string | undefined>;
}

/** From its start until it has tested itself. */
const READY_MS = 20_000;
/** Kept of what it has to say about its trouble. */
const KEPT_OUTPUT = 4096;

/** Starts a zygote. `argv` as it is executed, environment included in `env`. */
export function startZygote(argv: string[], env: Record<string, string>): Zygote {
  const [file = '', ...args] = argv;
  let child: ChildProcess;
  let state: Zygote['state'] = 'starting';
  let why = '';
  let output = '';
  let sequence = 0;
  const ready = Promise.withResolvers<boolean>();
  const over = Promise.withResolvers<void>();
  const orders = new Map<number, Order>();
  const living = new Map<number, (code: number) => void>();

  const end = (reason: string) => {
    if (state === 'ended') return;
    state = 'ended';
    why = [reason, output.trim()].filter((text) => text !== '').join(': ');
    clearTimeout(timer);
    for (const { forked, setUp, short } of orders.values()) {
      short?.(undefined);
      forked.promise.catch(() => {});
      forked.reject(new Error(why));
      setUp.resolve(why);
    }
    orders.clear();
    living.clear();
    control.destroy();
    if (child.pid !== undefined && child.exitCode === null) signalProcess(child.pid, 'SIGKILL');
    ready.resolve(false);
    over.resolve();
  };

  const settle = (id: number, order: Order) => {
    if (!order.known || !order.told) return;
    orders.delete(id);
    if (orders.size === 0) control.unref();
  };

  const endOf = (pid: number) =>
    new Promise<number>((resolve) => {
      living.set(pid, resolve);
    });

  const take = (message: Message) => {
    if (message.ready) {
      state = 'ready';
      clearTimeout(timer);
      ready.resolve(true);
    } else if (message.failed !== undefined) {
      end(message.failed);
    } else if (message.ended !== undefined) {
      const tell = living.get(message.ended);
      living.delete(message.ended);
      tell?.(message.code ?? 255);
    } else if (message.id !== undefined) {
      const order = orders.get(message.id);
      if (order === undefined) return;
      const { pid, keeper } = message;
      if (order.short) {
        orders.delete(message.id);
        order.short(pid);
        if (orders.size === 0) control.unref();
      } else if (pid !== undefined && keeper !== undefined) {
        order.known = true;
        const ended = endOf(pid);
        // One that ends without a word, as a process does that a fork has not brought over whole.
        void ended.then(() => order.setUp.resolve('the forked process ended while it was set up'));
        order.forked.resolve({ pid, keeper, ended, keeperEnded: endOf(keeper), setUp: order.setUp.promise });
      } else {
        order.told = true;
        order.setUp.resolve(message.error);
        // Said by the zygote itself, when there is no process.
        if (message.error !== undefined && !message.up) order.forked.reject(new Error(message.error));
      }
      settle(message.id, order);
    }
  };

  const newOrder = (): Order => ({
    known: false,
    told: false,
    forked: Promise.withResolvers(),
    setUp: Promise.withResolvers(),
  });
  const send = (order: Order, text: (id: number) => string) => {
    const id = sequence++;
    orders.set(id, order);
    control.ref();
    control.write(`${text(id)}\n`);
  };

  child = spawn(file, args, { env, detached: true, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const control = child.stdio[3] as Socket;
  const timer = setTimeout(() => end('it was not ready in time'), READY_MS);
  timer.unref();
  child.on('error', (error) => end(error.message));
  child.on('exit', (code, signal) => end(`it ended with ${signal ?? `exit code ${code}`}`));
  child.stderr!.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
  });
  child.stderr!.on('error', () => {});
  let unread = '';
  control.setEncoding('utf8');
  control.on('error', () => {});
  control.on('data', (chunk: string) => {
    const lines = (unread + chunk).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as Message);
  });
  // Nothing that the platform has to stay for.
  child.unref();
  control.unref();
  (child.stderr as Socket).unref();

  return {
    ready: ready.promise,
    over: over.promise,
    get state() {
      return state;
    },
    get why() {
      return why;
    },
    fork({ sandbox, ...order }) {
      if (state !== 'ready') return Promise.reject(new Error(`the zygote is ${state}`));
      const entry = newOrder();
      send(entry, (id) => `${JSON.stringify({ id, ...order }).slice(0, -1)},"sandbox":${sandbox}}`);
      return entry.forked.promise;
    },
    async mount(order) {
      if (state !== 'ready') return false;
      const { promise, resolve } = Promise.withResolvers<number | undefined>();
      let ended: Promise<number> | undefined;
      const short = (pid: number | undefined) => {
        // Its end may be told in the same breath.
        if (pid !== undefined) ended = endOf(pid);
        resolve(pid);
      };
      send({ ...newOrder(), short }, (id) => JSON.stringify({ id, mount: order }));
      await promise;
      return (await ended) === 0;
    },
    end: () => end('it was not needed any more'),
  };
}
