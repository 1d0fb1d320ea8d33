/**
 * Fission's node environment server beside ours: the same function, requests per second, processor time and memory. Ours is asked through the
 * gateway; theirs directly, and through Go's ReverseProxy, which Fission's router hands requests on with. Both as they come, theirs with a log line for each request (thrown away). `FISSION_NODE_ENVIRONMENT` names a checkout of `nodejs/` of github.com/fission/environments with its dependencies installed.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { goProxy } from '../gateway/peers.ts';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { instancesOf, proportionalBytes } from '../lib/instances.ts';
import { cpuSeconds, request, residentBytes, startPlatform, wrk } from '../lib/platform.ts';
import type { Row } from '../lib/report.ts';

const PORT = 18_888;
const MIB = 2 ** 20;
const LOAD = { connections: 16, seconds: 6 };
const FUNCTION = `module.exports = async (context) => ({ status: 200, body: 'hello' });\n`;

interface Figure {
  requestsPerSecond: number;
  bytes: number;
  /** Processor time of the instance for each request, microseconds. */
  cpu: number;
}
interface Ours extends Figure {
  /** The same of the platform, whose gateway it is. */
  gatewayCpu: number;
}
interface Theirs extends Figure {
  /** Undefined where there is no Go. */
  routedPerSecond: number | undefined;
}

/** Requests a second, and processor time of a process for each. */
async function loaded(url: string, pid: number, host?: string) {
  const before = await cpuSeconds(pid);
  const { requestsPerSecond } = await wrk(url, { ...LOAD, ...(host === undefined ? {} : { host }) });
  const cpu = ((await cpuSeconds(pid)) - before) / (requestsPerSecond * LOAD.seconds);
  return { requestsPerSecond, cpu: cpu * 1e6 };
}

/** Requests a second through a router like theirs. */
async function routed(folder: string): Promise<number | undefined> {
  const program = goProxy(folder);
  if (program === null) return undefined;
  const proxy = spawn(program, [`127.0.0.1:${PORT + 1}`, `127.0.0.1:${PORT}`], { stdio: 'ignore' });
  try {
    for (let tries = 0; tries < 200; tries++) {
      const answer = await request({ host: '127.0.0.1', port: PORT + 1 }, 'localhost').catch(() => undefined);
      if (answer?.body === 'hello') break;
      await sleep(50);
    }
    return (await wrk(`http://127.0.0.1:${PORT + 1}`, LOAD)).requestsPerSecond;
  } finally {
    proxy.kill('SIGKILL');
  }
}

/** Their server, specialised as Fission does it. */
async function theirs(checkout: string, folder: string): Promise<Theirs> {
  const code = path.join(folder, 'user.js');
  await writeFile(code, FUNCTION);
  const server = spawn(process.execPath, ['server.js', '--port', String(PORT)], {
    cwd: checkout,
    stdio: 'ignore',
  });
  try {
    const url = `http://127.0.0.1:${PORT}`;
    const body = JSON.stringify({
      filepath: code,
      functionName: '',
      url: '',
      FunctionMetadata: { name: 'hello' },
    });
    for (let waited = 0; ; waited += 50) {
      const done = await fetch(`${url}/v2/specialize`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      }).catch(() => undefined);
      if (done?.ok) break;
      if (waited > 10_000) throw new Error(`their server was not specialised: ${done?.status}`);
      await sleep(50);
    }
    const answer = await request({ host: '127.0.0.1', port: PORT }, 'localhost');
    if (answer.body !== 'hello') throw new Error(`their function answered ${answer.status} ${answer.body}`);
    const pid = server.pid ?? 0;
    const figures = await loaded(url, pid);
    const bytes = await residentBytes(pid);
    return { ...figures, bytes, routedPerSecond: await routed(folder) };
  } finally {
    server.kill('SIGKILL');
  }
}

async function ours(): Promise<Ours> {
  const platform = await startPlatform();
  try {
    const digest = await uploadSource(platform, 'hello.js', FUNCTION);
    const fn = functionObject('same', digest, 'hello.js');
    fn.metadata.annotations = { ...fn.metadata.annotations, 'autoscaling.knative.dev/max-scale': '1' };
    await createFunctions(platform, [fn]);
    const { host, port } = platform.gateway;
    await request({ host, port }, hostOf('same'));
    const [pid = 0] = instancesOf('same');
    const before = await cpuSeconds(platform.pid);
    const figures = await loaded(`http://${host}:${port}/`, pid, hostOf('same'));
    const spent = ((await cpuSeconds(platform.pid)) - before) * 1e6;
    const gatewayCpu = spent / (figures.requestsPerSecond * LOAD.seconds);
    return { ...figures, gatewayCpu, bytes: proportionalBytes(pid) };
  } finally {
    await platform.stop();
  }
}

export async function measure(): Promise<Row[]> {
  const checkout = process.env.FISSION_NODE_ENVIRONMENT;
  if (checkout === undefined || !existsSync(path.join(checkout, 'server.js'))) {
    console.error('skipped environment: FISSION_NODE_ENVIRONMENT names no checkout');
    return [];
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'petrel-bench-environment-'));
  try {
    const [one, other] = [await theirs(checkout, folder), await ours()];
    return [
      {
        what: "requests a second × Fission's node environment, one instance, through our gateway",
        value: other.requestsPerSecond / one.requestsPerSecond,
        unit: '×',
        reach: { at: 5, better: 'higher' },
        note: `${Math.round(other.requestsPerSecond)} and ${Math.round(one.requestsPerSecond)}; theirs asked directly`,
      },
      ...(one.routedPerSecond === undefined
        ? []
        : [
            {
              what: 'the same, theirs through a router as Fission has it (ReverseProxy of Go)',
              value: other.requestsPerSecond / one.routedPerSecond,
              unit: '×',
              note: `${Math.round(other.requestsPerSecond)} and ${Math.round(one.routedPerSecond)}`,
            },
          ]),
      {
        what: 'processor time of that instance × theirs, each request',
        value: other.cpu / one.cpu,
        unit: '×',
        note: `${other.cpu.toFixed(1)} and ${one.cpu.toFixed(1)} µs; our gateway ${other.gatewayCpu.toFixed(1)} µs`,
      },
      {
        what: 'memory of that instance × theirs, after the load',
        value: other.bytes / one.bytes,
        unit: '×',
        reach: { at: 0.5, better: 'lower' },
        note: `${(other.bytes / MIB).toFixed(1)} and ${(one.bytes / MIB).toFixed(1)} MiB`,
      },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
