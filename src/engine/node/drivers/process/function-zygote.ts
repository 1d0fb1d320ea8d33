/**
 * A function zygote, as the agent sees it: a container whose process has loaded a function's code and is forked from then on
 * (runtimes/PROTOCOL.md, "Function zygote"). The agent speaks with its gate, which runs files of the runtime only.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { link } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ContainerGroup } from './cgroup.ts';
import type { Lifeline, OutputPipe, PipePool } from './pipes.ts';
import { releaseWriters } from './pipes.ts';
import type { ContainerProcesses } from './processes.ts';
import { signalProcess } from './spawn.ts';
import { SCRATCH_DIRS } from './view.ts';
import type { GateOrder } from './zygote.ts';

export interface Gate {
  order: GateOrder;
  orders: Lifeline;
  answers: OutputPipe;
  /** The other side has opened its ends. */
  opened(): void;
  close(): void;
}

export interface FunctionZygote {
  /** Instances that live. */
  readonly children: number;
  /** Resolves when its gate is gone, and with it everything in its namespaces. */
  readonly over: Promise<void>;
  /** Forks one; waits a moment for a zygote that is about to be ready. Rejects when there is none. */
  fork(order: ChildOrder): Promise<{ ended: Promise<number> }>;
  /** Ends the process that has loaded the code; what was forked from it lives on. */
  end(): void;
}

export interface ChildOrder {
  /** `cgroup.procs` of the control groups that it enters. */
  groups: string[];
  stdout: string;
  stderr: string;
  env: Record<string, string>;
}

interface Message {
  ready?: true;
  lost?: string;
  id?: number;
  up?: true;
  error?: string;
  ended?: number;
  code?: number;
}

/** From the answer to `preload` until the process can be forked, and for a fork, ms. */
const PATIENCE_MS = 5000;
/** How often is looked for processes that have not gone yet, ms. */
const LEFT_MS = 5;

/** What a gate needs of the pipes; undefined when none are ready. */
export function openGate(pool: PipePool, group: ContainerGroup | undefined): Gate | undefined {
  const orders = pool.hold();
  const pipes = pool.take(true);
  if (!orders || !pipes) {
    orders?.free();
    return undefined;
  }
  const [answers, spare] = pipes;
  spare.read.destroy();
  releaseWriters([spare]);
  let writing = true;
  const opened = () => {
    if (writing) releaseWriters([answers]);
    writing = false;
  };
  const groups = [...new Set((group?.entrances ?? []).map((file) => dirname(dirname(file))))];
  return {
    order: { orders: orders.path, answers: answers.path, groups, fresh: [...SCRATCH_DIRS] },
    orders,
    answers,
    opened,
    close() {
      opened();
      answers.read.destroy();
      orders.release();
    },
  };
}

interface Waiting {
  up: PromiseWithResolvers<{ ended: Promise<number> }>;
  ended: PromiseWithResolvers<number>;
}

export function functionZygote(gate: Gate): FunctionZygote {
  const ready = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const orders = new Map<number, Waiting>();
  const living = new Set<number>();
  let sequence = 1;
  let why = '';
  ready.promise.catch(() => {});

  const lose = (reason: string) => {
    why ||= reason;
    ready.reject(new Error(why));
  };

  const take = ({ ready: isReady, lost, id, up, error, ended, code }: Message) => {
    if (isReady) ready.resolve();
    else if (lost !== undefined) lose(lost);
    else if (ended !== undefined) {
      living.delete(ended);
      orders.get(ended)?.up.reject(new Error('the forked process ended while it was set up'));
      orders.get(ended)?.ended.resolve(code ?? 255);
      orders.delete(ended);
    } else if (id !== undefined) {
      const order = orders.get(id);
      if (up) {
        living.add(id);
        order?.up.resolve({ ended: order.ended.promise });
      } else {
        orders.delete(id);
        order?.up.reject(new Error(error ?? 'it was not forked'));
      }
    }
  };

  let unread = '';
  gate.answers.read.setEncoding('utf8');
  gate.answers.read.on('data', (chunk: string) => {
    const lines = (unread + chunk).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as Message);
  });
  gate.answers.read.on('error', () => {});
  gate.answers.read.on('close', () => {
    lose('its gate is gone');
    for (const { up, ended } of orders.values()) {
      up.promise.catch(() => {});
      up.reject(new Error(why));
      ended.resolve(137);
    }
    orders.clear();
    living.clear();
    gate.orders.release();
    over.resolve();
  });
  gate.answers.read.unref();

  const end = () => {
    lose('it was not needed any more');
    gate.orders.send(JSON.stringify({ end: true }));
  };

  const patience = async <T>(promise: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error('the zygote of the function did not answer in time')),
        PATIENCE_MS,
      );
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  };

  return {
    get children() {
      return orders.size;
    },
    over: over.promise,
    async fork(order) {
      await patience(ready.promise);
      if (why !== '') throw new Error(why);
      const id = sequence++;
      const waiting = {
        up: Promise.withResolvers<{ ended: Promise<number> }>(),
        ended: Promise.withResolvers<number>(),
      };
      orders.set(id, waiting);
      if (!gate.orders.send(JSON.stringify({ fork: { id, ...order } }))) {
        orders.delete(id);
        throw new Error('the zygote of the function takes no orders');
      }
      return patience(waiting.up.promise).catch((error) => {
        // One that does not even answer keeps nobody else waiting.
        if (orders.has(id)) end();
        throw error;
      });
    },
    end,
  };
}

export interface ChildOptions {
  parent: FunctionZygote;
  /** Directory of its own that it sees at the same path: its socket, and its output. */
  dir: string;
  group: ContainerGroup;
  pipes: PipePool;
  env: Record<string, string>;
  /** Whether it sees a mount already, because its parent does. */
  sees(mount: { source: string; target: string }): boolean;
}

/** Has an instance forked from a function zygote. Rejects when that does not work, and nothing is left of it then. */
export async function forkChild(options: ChildOptions): Promise<ContainerProcesses> {
  const { parent, dir, group, pipes: pool, env, sees } = options;
  // Others of its revision can open what is in its directory: these serve nobody after it.
  const pipes = pool.take(true);
  if (!pipes) throw new Error('no pipes are ready for its output');
  const names = ['out', 'err'].map((name) => join(dir, name)) as [string, string];
  try {
    await Promise.all(names.map((name, index) => link(pipes[index]!.path, name)));
    const { ended } = await parent.fork({ groups: group.entrances, stdout: names[0], stderr: names[1], env });
    const [pid] = group.pids();
    return childProcesses({ pid, ended, group, pipes, sees });
  } catch (error) {
    for (const { read } of pipes) read.destroy();
    throw error;
  } finally {
    releaseWriters(pipes);
  }
}

interface Child {
  pid: number | undefined;
  ended: Promise<number>;
  group: ContainerGroup;
  pipes: [OutputPipe, OutputPipe];
  sees: ChildOptions['sees'];
}

/** It shares the first process of its namespace with others: what is its own is what is in its control group. */
function childProcesses({ pid, ended, group, pipes, sees }: Child): ContainerProcesses {
  let over = false;
  const kill = () => {
    for (const each of group.pids()) signalProcess(each, 'SIGKILL');
  };
  const exited = (async () => {
    const code = await ended;
    over = true;
    for (kill(); group.pids().length > 0; kill())
      await new Promise((resolve) => setTimeout(resolve, LEFT_MS));
    return code;
  })();
  const alive = () => (over ? undefined : pid);
  return {
    pid,
    stdout: pipes[0].read,
    stderr: pipes[1].read,
    others: [],
    setUp: Promise.resolve(undefined),
    exited,
    init: alive,
    main: alive,
    mount: async (mount) => sees(mount),
    kill,
  };
}

/** Directories of what is forked from a function zygote, which all of them see. */
export function createForkDirs(runDir: string) {
  const root = join(runDir, 'forks');
  rmSync(root, { recursive: true, force: true });
  let count = 0;
  return {
    /** That of a zygote, which it has to be shown. */
    of(podUid: string): string {
      const dir = join(root, podUid);
      mkdirSync(dir, { recursive: true, mode: 0o755 });
      return dir;
    },
    /** A new one for an instance. */
    make(podUid: string): string {
      const dir = join(root, podUid, String(++count));
      mkdirSync(dir, { mode: 0o700 });
      return dir;
    },
    remove: (podUid: string) => rmSync(join(root, podUid), { recursive: true, force: true }),
  };
}
