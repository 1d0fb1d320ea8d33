/**
 * The gateway beside nginx, HAProxy and Go's ReverseProxy on the same machine in the same run: requests per CPU-second
 * of the proxy, and latency added at one connection. `node bench/gateway/run.ts [-o json] [--rounds 3] [--seconds 3]
 * [--only <part of a name>]`. Proxies run on one core, load and upstreams on another where there are two.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { debian, goProxy, haproxyConf, proxyConf, upstreamConf } from './peers.ts';

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'table' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});

/** What a browser sends: 13 fields, about 800 bytes. */
const BROWSER = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cache-Control: max-age=0',
  'Cookie: session=2f5c0b9e7d1a4c6f8e3b; theme=dark; consent=1; _ga=GA1.1.1234567890.1712345678',
  'Referer: http://shop.example.com/catalogue/items?page=3&sort=price',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Sec-Ch-Ua: "Chromium";v="139", "Not A;Brand";v="24"',
  'Sec-Ch-Ua-Platform: "Linux"',
  'Upgrade-Insecure-Requests: 1',
];

/** A cookie that differs in every request, so that no header block repeats. */
const VARYING = `local n = 0
function request() n = n + 1 wrk.headers["Cookie"] = "session=" .. n .. "; theme=dark; consent=1; _ga=GA1.1.1234567890.1712345678" return wrk.format() end
`;

interface Proxy {
  name: string;
  port: number;
  /** Processes whose CPU time counts. */
  pids: () => number[];
}

interface Load {
  name: string;
  connections: number;
  headers: string[];
  script?: string;
}

interface Sample {
  perCpu: number;
  perSecond: number;
  p50: number;
  errors: number;
}

const LOADS: Load[] = [
  { name: 'tiny, 1 connection', connections: 1, headers: [] },
  { name: 'browser-like, 32', connections: 32, headers: BROWSER },
  { name: 'browser-like, 256', connections: 256, headers: BROWSER },
  { name: 'browser-like, varying cookie, 32', connections: 32, headers: BROWSER, script: VARYING },
  { name: 'browser-like, 500', connections: 500, headers: BROWSER },
];

const dir = mkdtempSync(join(tmpdir(), 'petrel-bench-'));
const children: ChildProcess[] = [];
const pin = availableParallelism() > 1 && spawnSync('sh', ['-c', 'command -v taskset']).status === 0;

function start(
  core: number,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): ChildProcess {
  const child = spawn(pin ? 'taskset' : command, pin ? ['-c', String(core), command, ...args] : args, {
    stdio: 'ignore',
    env: { ...process.env, ...env },
  });
  children.push(child);
  return child;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function reachable(target: { port: number } | { path: string }): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = 'path' in target ? connect(target.path) : connect(target.port, '127.0.0.1');
      socket.on('error', () => resolve(false));
      socket.on('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${JSON.stringify(target)}`);
}

function descendants(pid: number): number[] {
  const listed = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).stdout;
  return [pid, ...listed.trim().split(/\s+/).filter(Boolean).map(Number)];
}

/** CPU seconds of processes, from /proc (clock ticks of 10 ms). */
function cpu(pids: number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

function wrk(path: string, port: number, load: Load, seconds: number): Promise<string> {
  const args = ['-t1', `-c${load.connections}`, `-d${seconds}s`, '--latency'];
  for (const header of load.headers) args.push('-H', header);
  if (load.script !== undefined) {
    writeFileSync(join(dir, 'load.lua'), load.script);
    args.push('-s', join(dir, 'load.lua'));
  }
  args.push(`http://127.0.0.1:${port}/catalogue/items?page=4&sort=price`);
  const child = spawn(pin ? 'taskset' : path, pin ? ['-c', '1', path, ...args] : args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  return new Promise((resolve) => child.on('close', () => resolve(out)));
}

function milliseconds(text: string): number {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text);
  if (match === null) return Number.NaN;
  return Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2] as 'us' | 'ms' | 's'];
}

async function measure(path: string, proxy: Proxy, load: Load, seconds: number): Promise<Sample> {
  const pids = proxy.pids();
  const before = cpu(pids);
  const out = await wrk(path, proxy.port, load, seconds);
  const used = cpu(pids) - before;
  const requests = Number(/(\d+) requests in/.exec(out)?.[1] ?? 0);
  const non2xx = Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(out);
  const errors = non2xx + (socket === null ? 0 : socket.slice(1).reduce((sum, n) => sum + Number(n), 0));
  return {
    perCpu: requests / used,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(out)?.[1] ?? 0),
    p50: milliseconds(/50%\s+(\S+)/.exec(out)?.[1] ?? ''),
    errors,
  };
}

function median(list: number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function startProxies(): Promise<Proxy[]> {
  const nginx = debian('nginx');
  if (nginx === null) throw new Error('the benchmark needs nginx as its upstream');
  const upstream = await freePort();
  start(1, nginx, ['-c', upstreamConf(dir, upstream)]);
  await reachable({ port: upstream });
  const socket = join(dir, 'mux.sock');
  start(1, process.execPath, [join(import.meta.dirname, 'mux-upstream.ts'), socket]);
  await reachable({ path: socket });
  const proxies: Proxy[] = [];
  const add = async (name: string, port: number, child: ChildProcess) => {
    await reachable({ port });
    const pids = descendants(child.pid!);
    proxies.push({ name, port, pids: () => pids });
  };
  const gateway = join(import.meta.dirname, 'gateway-process.ts');
  let port = await freePort();
  await add(
    'petrel, multiplexed',
    port,
    start(0, process.execPath, [gateway, String(port), `mux:${socket}`]),
  );
  port = await freePort();
  await add(
    'petrel, HTTP/1.1',
    port,
    start(0, process.execPath, [gateway, String(port), `http1:${upstream}`]),
  );
  port = await freePort();
  await add('nginx', port, start(0, nginx, ['-c', proxyConf(dir, port, upstream)]));
  const go = goProxy(dir);
  if (go !== null) {
    port = await freePort();
    const child = start(0, go, [`127.0.0.1:${port}`, `127.0.0.1:${upstream}`], { GOMAXPROCS: '1' });
    await add('Go ReverseProxy', port, child);
  }
  const haproxy = debian('haproxy');
  if (haproxy !== null) {
    port = await freePort();
    await add('HAProxy', port, start(0, haproxy, ['-f', haproxyConf(dir, port, upstream)]));
  }
  return proxies;
}

interface Row {
  load: string;
  proxy: string;
  perCpu: number;
  perSecond: number;
  p50: number;
  errors: number;
  toNginx: number;
  toGo: number;
}

async function main(): Promise<Row[]> {
  const path = debian('wrk');
  if (path === null) throw new Error('the benchmark needs wrk');
  const proxies = await startProxies();
  const loads = LOADS.filter((load) => load.name.includes(values.only));
  const rows: Row[] = [];
  for (const load of loads) {
    const samples = new Map<string, Sample[]>(proxies.map((p) => [p.name, []]));
    for (const proxy of proxies) await measure(path, proxy, load, 1);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const proxy of proxies)
        samples.get(proxy.name)!.push(await measure(path, proxy, load, Number(values.seconds)));
    }
    const of = (name: string) => median((samples.get(name) ?? []).map((s) => s.perCpu));
    for (const [proxy, list] of samples) {
      const perCpu = of(proxy);
      rows.push({
        load: load.name,
        proxy,
        perCpu: Math.round(perCpu),
        perSecond: Math.round(median(list.map((s) => s.perSecond))),
        p50: Number(median(list.map((s) => s.p50)).toFixed(3)),
        errors: list.reduce((sum, s) => sum + s.errors, 0),
        toNginx: Number((perCpu / of('nginx')).toFixed(2)),
        toGo: Number((perCpu / of('Go ReverseProxy')).toFixed(2)),
      });
    }
  }
  return rows;
}

try {
  const rows = await main();
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
  if (values.output === 'json')
    console.log(JSON.stringify({ machine, date: new Date().toISOString(), rows }, null, 2));
  else {
    console.log(`${machine}; medians of ${values.rounds} rounds of ${values.seconds} s\n`);
    console.log('| load | proxy | requests per CPU-second | × nginx | × Go | requests/s | p50 ms | errors |');
    console.log('|---|---|---|---|---|---|---|---|');
    for (const r of rows) {
      console.log(
        `| ${r.load} | ${r.proxy} | ${r.perCpu} | ${r.toNginx} | ${r.toGo} | ${r.perSecond} | ${r.p50} | ${r.errors} |`,
      );
    }
  }
} finally {
  for (const child of children) child.kill('SIGTERM');
  rmSync(dir, { recursive: true, force: true });
}
