/**
 * An open-loop HTTP/1.1 load generator: requests begin on schedule whether or not earlier ones have ended, and latency counts
 * from the moment a request was due, so that a stall shows in every request that it delayed. Runs in a process of its own.
 */
import { spawn } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { quantile } from './report.ts';

export interface LoadOptions {
  host: string;
  port: number;
  /** Value of the Host header. */
  name: string;
  path?: string;
  requestsPerSecond: number;
  seconds: number;
  /** Connections are opened as needed up to this. Default 4,000. */
  maxConnections?: number;
}

export interface LoadResult {
  sent: number;
  /** Anything but a complete 200, by what happened. */
  errors: Record<string, number>;
  /**
   * GET requests sent a second time because the connection ended before any byte of the answer: a kept one that was closed meanwhile
   * (RFC 9112 §9.3.1), or a new one in the queue of a listener that closes.
   */
  repeated: number;
  /** Milliseconds from due to answered, [second in which it was due, latency]. */
  answered: [number, number][];
}

export const failures = (result: LoadResult): number =>
  Object.values(result.errors).reduce((sum, count) => sum + count, 0);

/** Latencies of the requests that were due at or after `second`. */
export const latencies = (result: LoadResult, second = 0): number[] =>
  result.answered.filter(([due]) => due >= second).map(([, ms]) => ms);

export const summary = (result: LoadResult): string =>
  `${result.sent} sent, ${failures(result)} failed ${JSON.stringify(result.errors)}, ${result.repeated} repeated, p50 ${quantile(latencies(result), 0.5).toFixed(1)} ms, p99 ${quantile(latencies(result), 0.99).toFixed(1)} ms`;

/** Starts the load in another process; `done` resolves with what became of it, `stop` ends it before its time. */
export function startLoad(options: LoadOptions): { done: Promise<LoadResult>; stop(): void } {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => {}); // it has ended by itself
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const done = new Promise<LoadResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve(JSON.parse(Buffer.concat(chunks).toString()) as LoadResult)
        : reject(new Error(`the load generator ended with ${code}`)),
    );
  });
  // Not by a signal, which would kill it before it listens for one.
  return { done, stop: () => child.stdin.end() };
}

/** Told when an answer is complete or the connection is over. */
type Ended = (connection: Connection, outcome: string, reusable: boolean) => void;

/** One kept connection; at most one request at a time. */
class Connection {
  readonly socket: net.Socket;
  busy: { due: number; repeated: boolean } | undefined;
  #text = '';
  readonly #ended: Ended;

  constructor(options: LoadOptions, ended: Ended) {
    this.#ended = ended;
    this.socket = net.connect({ host: options.host, port: options.port, noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => this.#read(chunk));
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.#over(error.code ?? 'error'));
    this.socket.on('close', () => this.#over('closed'));
  }

  send(request: string, job: { due: number; repeated: boolean }): void {
    this.busy = job;
    this.#text = '';
    this.socket.write(request);
  }

  #over(reason: string): void {
    const untouched = this.#text === '';
    if (this.busy) this.#ended(this, untouched ? 'untouched' : reason, false);
    else this.#ended(this, '', false);
    this.socket.destroy();
  }

  #read(chunk: string): void {
    this.#text += chunk;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return;
    const fields = this.#text.slice(0, head);
    const length = /\r\ncontent-length: *(\d+)/i.exec(fields);
    const complete = length
      ? this.#text.length - head - 4 >= Number(length[1])
      : this.#text.endsWith('0\r\n\r\n') && /\r\ntransfer-encoding: *chunked/i.test(fields);
    if (!complete || !this.busy) return;
    const status = this.#text.slice(9, 12);
    const reusable = !/\r\nconnection: *close/i.test(fields);
    this.#ended(this, status === '200' ? 'ok' : status, reusable);
    if (!reusable) this.socket.destroy();
  }
}

async function run(options: LoadOptions): Promise<LoadResult> {
  const result: LoadResult = { sent: 0, errors: {}, repeated: 0, answered: [] };
  const request = `GET ${options.path ?? '/'} HTTP/1.1\r\nhost: ${options.name}\r\n\r\n`;
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  const waiting: { due: number; repeated: boolean }[] = [];
  const limit = options.maxConnections ?? 4000;
  const begin = performance.now();
  let total = Math.round(options.requestsPerSecond * options.seconds);
  let finished = 0;
  const { promise, resolve } = Promise.withResolvers<void>();

  const ended = (connection: Connection, outcome: string, reusable: boolean) => {
    const job = connection.busy;
    connection.busy = undefined;
    if (!reusable) all.delete(connection);
    if (job) {
      if (outcome === 'untouched' && !job.repeated) {
        result.repeated++;
        dispatch({ due: job.due, repeated: true });
      } else {
        finished++;
        const now = performance.now();
        if (outcome === 'ok') result.answered.push([Math.floor((job.due - begin) / 1000), now - job.due]);
        else result.errors[outcome] = (result.errors[outcome] ?? 0) + 1;
        if (finished === total) resolve();
      }
    }
    if (!reusable) {
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
      return;
    }
    const next = waiting.shift();
    if (next) connection.send(request, next);
    else idle.push(connection);
  };
  const dispatch = (job: { due: number; repeated: boolean }) => {
    const free = idle.pop();
    if (free) return free.send(request, job);
    if (all.size >= limit) {
      waiting.push(job);
      return;
    }
    const connection = new Connection(options, ended);
    all.add(connection);
    connection.send(request, job);
  };

  const ticker = setInterval(() => {
    const wanted = Math.min(
      total,
      Math.floor(((performance.now() - begin) * options.requestsPerSecond) / 1000),
    );
    while (result.sent < wanted) {
      dispatch({ due: begin + (result.sent * 1000) / options.requestsPerSecond, repeated: false });
      result.sent++;
    }
    if (result.sent === total) clearInterval(ticker);
  }, 1);
  process.stdin.resume().once('end', () => {
    clearInterval(ticker);
    total = result.sent;
    if (finished === total) resolve();
  });
  // What is not answered long after the end never will be.
  const late = setTimeout(resolve, options.seconds * 1000 + 60_000);
  await promise;
  clearTimeout(late);
  if (finished < total) result.errors.unanswered = total - finished;
  for (const connection of all) connection.socket.destroy();
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await run(JSON.parse(process.argv[2] ?? '{}') as LoadOptions);
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
