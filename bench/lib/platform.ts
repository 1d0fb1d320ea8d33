/** Starts a platform of its own for a benchmark and takes it away again; nothing is shared with a user's home. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { httpsTransport } from '../../src/kube/https.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { createClient } from '../../src/kube/rest.ts';

const run = promisify(execFile);
export const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const PETREL = path.join(REPOSITORY, 'petrel');

export interface BenchPlatform {
  home: string;
  pid: number;
  gateway: { host: string; port: number };
  client: ReturnType<typeof createClient>;
  /** Runs the petrel command against this home; resolves with its stdout. */
  petrel(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

const environment = (home: string) => ({ ...process.env, PETREL_HOME: home });

/** Runs the command line against a home. */
export async function petrel(home: string, args: string[]): Promise<string> {
  const { stdout } = await run(PETREL, args, { env: environment(home), maxBuffer: 64 << 20 });
  return stdout;
}

/** `up --detach` on a fresh (or given) home, any free ports. */
export async function startPlatform(home?: string): Promise<BenchPlatform> {
  const own = home ?? (await mkdtemp(path.join(tmpdir(), 'petrel-bench-')));
  await petrel(own, ['up', '--detach', '--gateway', '127.0.0.1:0', '--api', '127.0.0.1:0']);
  const status = JSON.parse(await petrel(own, ['status', '-o', 'json'])) as { pid: number; gateway: string };
  const gatewayUrl = new URL(status.gateway.includes('://') ? status.gateway : `http://${status.gateway}`);
  const transport = httpsTransport(await loadKubeconfig(path.join(own, 'kubeconfig')));
  return {
    home: own,
    pid: status.pid,
    gateway: { host: gatewayUrl.hostname, port: Number(gatewayUrl.port) },
    client: createClient(transport),
    petrel: (...args) => petrel(own, args),
    async stop() {
      transport.close();
      await petrel(own, ['down']).catch(() => undefined);
      if (home === undefined) await rm(own, { recursive: true, force: true });
    },
  };
}

/**
 * One GET on a connection of its own; `ms` is the time from the first byte sent to the last byte of the answer, the TCP
 * handshake and a client library's own work left out.
 */
export function request(
  target: { host: string; port: number },
  host: string,
  urlPath = '/',
): Promise<{ status: number; body: string; ms: number }> {
  return new Promise((resolve, reject) => {
    let answer = '';
    let from = 0;
    const finish = () => {
      const ms = performance.now() - from;
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0) return reject(new Error(`no answer from ${host}`));
      const length = Number(/^content-length: (\d+)/im.exec(answer.slice(0, end))?.[1] ?? Number.NaN);
      if (answer.length - end - 4 < length) return;
      socket.destroy();
      resolve({ status: Number(answer.slice(9, 12)), body: answer.slice(end + 4), ms });
    };
    const socket = net.connect({ host: target.host, port: target.port, noDelay: true }, () => {
      from = performance.now();
      socket.write(`GET ${urlPath} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    });
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (/content-length/i.test(answer) && answer.includes('\r\n\r\n')) finish();
    });
    socket.on('end', finish);
    socket.on('error', reject);
  });
}

/** Resident memory of one process, bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

/** CPU seconds used so far by one process, all its threads. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Bytes that one process caused to be written to storage so far. */
export async function writtenBytes(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8');
  return Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
}

/** Runs wrk and reads its figures. */
export async function wrk(
  url: string,
  options: { connections: number; seconds: number; host?: string; script?: string },
): Promise<{ requestsPerSecond: number; p50ms: number; p99ms: number; errors: number }> {
  const args = ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--latency', '--timeout', '30s'];
  if (options.script) args.push('-s', options.script);
  if (options.host) args.push('-H', `Host: ${options.host}`);
  const { stdout } = await run('wrk', [...args, url]);
  const unit = (value: string) =>
    Number.parseFloat(value) * (value.endsWith('us') ? 0.001 : value.endsWith('ms') ? 1 : 1000);
  const errors = [
    .../(?:Non-2xx or 3xx responses: (\d+))|(?:(?:connect|read|write|timeout) (\d+))/g[Symbol.matchAll](
      stdout,
    ),
  ];
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
    p50ms: unit(/^\s+50%\s+(\S+)/m.exec(stdout)?.[1] ?? '0ms'),
    p99ms: unit(/^\s+99%\s+(\S+)/m.exec(stdout)?.[1] ?? '0ms'),
    errors: errors.reduce((sum, match) => sum + Number(match[1] ?? match[2] ?? 0), 0),
  };
}

/** Spawns a server process and resolves with the milliseconds until its first HTTP answer; the process is ended. */
export async function spawnToFirstAnswer(
  command: string,
  args: string[],
  port: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const from = performance.now();
  const child = spawn(command, args, {
    env: { ...env, PORT: String(port) },
    stdio: 'ignore',
    detached: true,
  });
  try {
    for (;;) {
      const answered = await request({ host: '127.0.0.1', port }, 'localhost').catch(() => undefined);
      if (answered) return performance.now() - from;
      if (performance.now() - from > 30_000)
        throw new Error(`${command} did not answer on port ${port} within 30 s`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } finally {
    if (child.pid) process.kill(-child.pid, 'SIGKILL');
  }
}
