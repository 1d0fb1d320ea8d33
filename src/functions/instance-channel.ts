/**
 * The control connection to one instance (runtimes/PROTOCOL.md): HELLO, calls with results, events, pings. User traffic
 * never runs over it. Its end is the earliest sign that an instance is gone.
 */
import { connect } from 'node:net';
import type { Json } from '../kinds/object.ts';
import { createFrameReader, encodeFrame, FRAME } from './instance-frames.ts';

/** What an instance says of itself. */
export interface InstanceHello {
  version: number;
  runtime: string;
  /** Version of the language, for example `v26.10.0`; part of the name of code caches. */
  language: string;
  pid: number;
  state: 'generic' | 'specialised' | 'failed';
  /** The revision whose code was loaded before this process was forked: `specialise` is quick for it, and refused for others. */
  preloaded?: string;
}

/** Parameters of `specialise`. */
export interface SpecialiseParams {
  namespace: string;
  function: string;
  revision: string;
  /** Directory of the unpacked package. */
  code: string;
  workdir: string;
  entry?: string;
  handler?: string;
  shape?: string;
  debugPort?: number;
  env: Record<string, string>;
  /** Directory for the code cache. */
  cache?: string;
  /** Whether errors of the function show their text to clients. */
  development: boolean;
  timeoutMs: number;
  concurrency: number;
  /** Port for a program that listens on `$PORT`. */
  port?: number;
}

export interface SpecialiseResult {
  shape: string;
  loadMs: number;
  transport: { kind: 'mux' } | { kind: 'http1-unix' } | { kind: 'http1'; host: string; port: number };
}

/** The error that an instance answered a call with. */
export class InstanceCallError extends Error {
  readonly code: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** The language's own full text. */
  readonly detail: string | undefined;
  constructor(error: {
    code?: string;
    message?: string;
    file?: string;
    line?: number;
    column?: number;
    detail?: string;
  }) {
    super(error.message ?? 'the instance gave no reason');
    this.name = 'InstanceCallError';
    this.code = error.code ?? 'Unknown';
    this.file = error.file;
    this.line = error.line;
    this.column = error.column;
    this.detail = error.detail;
  }
}

/** The connection ended, or the instance did not answer in time. */
export class InstanceGone extends Error {
  /** The connection stands, but the answer did not come. */
  readonly timedOut: boolean;
  constructor(message: string, timedOut = false) {
    super(message);
    this.name = 'InstanceGone';
    this.timedOut = timedOut;
  }
}

export interface InstanceEvent {
  event: string;
  reason?: string;
  message?: string;
  detail?: string;
}

export interface InstanceChannel {
  readonly hello: InstanceHello;
  /** Resolves with why, once the connection has ended. Never rejects. */
  readonly closed: Promise<string>;
  /** Rejects with `InstanceCallError` (the instance said no) or `InstanceGone` (no answer). */
  call<T>(method: string, params: unknown, timeoutMs: number): Promise<T>;
  /** Resolves when the instance's event loop answers; rejects with `InstanceGone` after `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>;
  close(): void;
}

interface Waiting {
  resolve(value: Json): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/**
 * Connects to an instance's socket and exchanges HELLO. Rejects with the socket's own error (`ENOENT`, `ECONNREFUSED`: not
 * there yet) or with `InstanceGone`.
 */
export function connectInstance(
  path: string,
  options: { timeoutMs: number; onEvent?: (event: InstanceEvent) => void },
): Promise<InstanceChannel> {
  const opened = Promise.withResolvers<InstanceChannel>();
  const closed = Promise.withResolvers<string>();
  const calls = new Map<number, Waiting>();
  const pings: Waiting[] = [];
  let nextId = 1;
  let ended: string | undefined;

  const socket = connect(path);
  const end = (reason: string) => {
    if (ended !== undefined) return;
    ended = reason;
    socket.destroy();
    const gone = new InstanceGone(reason);
    opened.reject(gone);
    for (const waiting of [...calls.values(), ...pings]) {
      clearTimeout(waiting.timer);
      waiting.reject(gone);
    }
    calls.clear();
    pings.length = 0;
    closed.resolve(reason);
  };

  const wait = (timeoutMs: number, what: string, forget: () => void) => {
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    const timer = setTimeout(() => {
      forget();
      reject(new InstanceGone(`the instance did not answer ${what} within ${timeoutMs} ms`, true));
    }, timeoutMs);
    return { promise, waiting: { resolve, reject, timer } };
  };

  const channelOf = (hello: InstanceHello): InstanceChannel => ({
    hello,
    closed: closed.promise,
    call<T>(method: string, params: unknown, timeoutMs: number) {
      if (ended !== undefined) return Promise.reject(new InstanceGone(ended));
      const id = nextId++;
      const { promise, waiting } = wait(timeoutMs, `"${method}"`, () => calls.delete(id));
      calls.set(id, waiting);
      socket.write(encodeFrame(FRAME.call, JSON.stringify({ id, method, params })));
      return promise as Promise<T>;
    },
    async ping(timeoutMs) {
      if (ended !== undefined) throw new InstanceGone(ended);
      const { promise, waiting } = wait(timeoutMs, 'a ping', () => pings.splice(pings.indexOf(waiting), 1));
      pings.push(waiting);
      socket.write(encodeFrame(FRAME.ping, Buffer.alloc(8)));
      await promise;
    },
    close: () => end('closed by the platform'),
  });

  const onResult = (payload: Buffer) => {
    const { id, result, error } = JSON.parse(payload.toString('utf8'));
    const waiting = calls.get(id);
    if (waiting === undefined) return;
    calls.delete(id);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new InstanceCallError(error));
    else waiting.resolve(result ?? null);
  };
  const onPong = () => {
    const waiting = pings.shift();
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    waiting.resolve(null);
  };
  const onHello = (payload: Buffer) => {
    const hello = JSON.parse(payload.toString('utf8')) as InstanceHello;
    if (hello.version !== 1) return end(`it speaks version ${hello.version} of the instance protocol, not 1`);
    clearTimeout(greeting);
    opened.resolve(channelOf(hello));
  };
  const handlers: Record<number, (payload: Buffer) => void> = {
    [FRAME.hello]: onHello,
    [FRAME.result]: onResult,
    [FRAME.pong]: onPong,
    [FRAME.ping]: (payload) => socket.write(encodeFrame(FRAME.pong, payload)),
    [FRAME.event]: (payload) => options.onEvent?.(JSON.parse(payload.toString('utf8'))),
  };

  const read = createFrameReader((type, payload) => handlers[type]?.(payload));
  const greeting = setTimeout(() => end(`no HELLO within ${options.timeoutMs} ms`), options.timeoutMs);
  socket.on('connect', () => socket.write(encodeFrame(FRAME.hello, '{"version":1,"role":"control"}')));
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      end(`it broke the instance protocol: ${(error as Error).message}`);
    }
  });
  socket.on('error', (error) => {
    clearTimeout(greeting);
    opened.reject(error);
    end(error.message);
  });
  socket.on('close', () => {
    clearTimeout(greeting);
    end('the instance closed its control connection');
  });
  return opened.promise;
}
