/**
 * Finds out that a server answers before its Pod is reported Ready: readiness probes run once a second, a cold start should
 * take as long as the program does. Where the Pod's address cannot be reached from here, the report decides alone.
 */
import type { RequestOptions } from 'node:http';
import net from 'node:net';
import { type Clock, sleep } from '../base/clock.ts';
import { get } from '../base/http.ts';
import type { Probe } from '../kinds/pod.ts';

/** Wait between two looks: short at first, never longer than `MAX_WAIT_MS`. */
const FIRST_WAIT_MS = 10;
const MAX_WAIT_MS = 250;
/** One look may take this long. */
const LOOK_MS = 1000;

/** Resolves to true as soon as `probe` succeeds against `host`; to false when `signal` aborts or the probe cannot be made from here. */
export async function probeEarly(
  host: string,
  probe: Probe,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const look = lookFor(host, probe);
  if (!look) return false;
  for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(MAX_WAIT_MS, wait * 1.5)) {
    if (await look()) return !signal.aborted;
    await sleep(clock, wait, signal);
  }
  return false;
}

function lookFor(host: string, { httpGet, tcpSocket }: Probe): (() => Promise<boolean>) | undefined {
  if (httpGet && typeof httpGet.port === 'number' && httpGet.scheme !== 'HTTPS') {
    const { port, path = '/', httpHeaders = [] } = httpGet;
    const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]));
    return () => answers({ host, port, path, headers });
  }
  const port = tcpSocket?.port;
  return typeof port === 'number' ? () => accepts(host, port) : undefined;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: LOOK_MS });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

function answers(options: RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ ...options, agent: false, timeout: LOOK_MS }, (response) => {
      const status = response.statusCode ?? 0;
      request.destroy();
      resolve(status >= 200 && status < 400);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });
}
