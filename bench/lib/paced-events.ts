/**
 * Events at a fixed rate over many connections, in a process of its own: each is due on schedule whatever became of the ones before, and
 * its time counts from when it was due. Raw sockets: a client library would take more of the machine than what is measured.
 */
import { spawn } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { quantile } from './report.ts';

export interface PacedOptions {
  host: string;
  port: number;
  /** Of the broker. */
  path: string;
  connections: number;
  eventsPerSecond: number;
  seconds: number;
  /** Of each event's data. */
  bytes: number;
  /** Beginning of the events' ids. */
  run: string;
}

export interface PacedResult {
  accepted: number;
  /** Anything but 202. */
  refused: number;
  /** Accepted in a second, over the whole run. */
  perSecond: number;
  p50: number;
  p99: number;
  longest: number;
}

export function sendPaced(options: PacedOptions): Promise<PacedResult> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve(JSON.parse(Buffer.concat(chunks).toString()) as PacedResult)
        : reject(new Error(`the producers ended with ${code}`)),
    );
  });
}

const ACCEPTED = Buffer.from('HTTP/1.1 202');
const END = Buffer.from('\r\n\r\n');

async function run(options: PacedOptions): Promise<PacedResult> {
  const total = Math.round(options.eventsPerSecond * options.seconds);
  const every = 1000 / options.eventsPerSecond;
  const times: number[] = [];
  let refused = 0;
  let sent = 0;
  let begin = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const head = `POST ${options.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nce-specversion: 1.0\r\nce-source: /paced\r\nce-type: com.shop.order.created\r\ncontent-length: ${options.bytes}\r\nce-id: ${options.run}-`;
  const body = `\r\n\r\n${'e'.repeat(options.bytes)}`;

  /** Connections without a request. */
  const free: net.Socket[] = [];
  /** Numbers of events that wait for a connection. */
  const waiting: number[] = [];
  const busyWith = new Map<net.Socket, number>();
  const send = (socket: net.Socket, number: number) => {
    busyWith.set(socket, number);
    socket.write(head + number + body, 'latin1');
  };
  const answered = (socket: net.Socket, accepted: boolean) => {
    const number = busyWith.get(socket) ?? 0;
    if (accepted) times.push(performance.now() - begin - number * every);
    else refused++;
    if (times.length + refused === total) return resolve();
    const next = waiting.shift();
    if (next === undefined) free.push(socket);
    else send(socket, next);
  };
  const connect = () =>
    new Promise<void>((connected) => {
      const socket = net.connect({ host: options.host, port: options.port, noDelay: true }, connected);
      let rest: Buffer | undefined;
      socket.on('data', (chunk: Buffer) => {
        const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
        // The answer to an event has no body.
        rest = bytes.includes(END) ? undefined : bytes;
        if (rest === undefined) answered(socket, bytes.subarray(0, ACCEPTED.length).equals(ACCEPTED));
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('a connection was closed')));
      free.push(socket);
    });
  await Promise.all(Array.from({ length: options.connections }, connect));
  begin = performance.now();
  const ticker = setInterval(() => {
    const due = Math.min(total, Math.floor((performance.now() - begin) / every) + 1);
    for (; sent < due; sent++) {
      const socket = free.shift();
      if (socket === undefined) waiting.push(sent);
      else send(socket, sent);
    }
    if (sent === total) clearInterval(ticker);
  }, 1);
  await promise;
  const seconds = (performance.now() - begin) / 1000;
  return {
    accepted: times.length,
    refused,
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    longest: times.reduce((most, ms) => Math.max(most, ms), 0),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await run(JSON.parse(process.argv[2] ?? '{}') as PacedOptions);
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
