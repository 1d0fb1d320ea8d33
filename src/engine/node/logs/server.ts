/**
 * What the agent answers over loopback HTTP, as kubelet does: container logs to the API server (`GET
 * /containerLogs/<ns>/<pod>/<container>`), what Pods use (`GET /stats/summary`), and logs of instances that are gone (`GET
 * /goneLogs/…`).
 */
import { timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../../base/errors.ts';
import { createServer } from '../../../base/http.ts';
import { roomIn } from '../../../base/room.ts';
import { GONE_LOGS } from '../../../kube/logs/gone.ts';
import type { StatsSummary } from '../../../kube/node-stats.ts';
import type { GoneLogs } from './gone.ts';
import { type ReadOptions, readLog } from './reader.ts';

/** Why a log cannot be shown; `message` is kubelet's text. */
export class LogRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface LogServer {
  port: number;
  close(): Promise<void>;
}

export type OpenLog = (
  namespace: string,
  pod: string,
  container: string,
  previous: boolean,
  options: ReadOptions,
) => AsyncGenerator<Buffer>;

function count(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new LogRefusal(400, `invalid ${name} parameter: ${text}`);
  return value;
}

/** Query parameters of `v1.PodLogOptions`. */
function parseLogQuery(query: URLSearchParams, now: number): ReadOptions & { previous: boolean } {
  const flag = (name: string) => query.get(name) === 'true' || query.get(name) === '1';
  const seconds = count(query, 'sinceSeconds');
  const time = query.get('sinceTime');
  const at = time ? Date.parse(time) : undefined;
  if (at !== undefined && Number.isNaN(at)) throw new LogRefusal(400, `invalid sinceTime parameter: ${time}`);
  if (seconds !== undefined && at !== undefined) {
    throw new LogRefusal(400, 'at most one of `sinceTime` or `sinceSeconds` may be specified');
  }
  return {
    follow: flag('follow'),
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    tailLines: count(query, 'tailLines'),
    limitBytes: count(query, 'limitBytes'),
    since: seconds === undefined ? at : now - seconds * 1000,
  };
}

export async function startLogServer(options: {
  token: string;
  now: () => number;
  open: OpenLog;
  gone: GoneLogs;
  /** What Pods use now. */
  stats: () => StatsSummary;
}): Promise<LogServer> {
  const expected = Buffer.from(`Bearer ${options.token}`);
  const allowed = ({ headers }: IncomingMessage) => {
    const given = Buffer.from(headers.authorization ?? '');
    return given.length === expected.length && timingSafeEqual(given, expected);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://node');
    const [kind, ...segments] = url.pathname.split('/').slice(1).map(decodeURIComponent);
    if (!allowed(request)) throw new LogRefusal(401, 'Unauthorized');
    if (request.method !== 'GET') throw new LogRefusal(405, 'Method Not Allowed');
    const json = (body: unknown) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const { previous, ...read } = parseLogQuery(url.searchParams, options.now());
    const left = new AbortController();
    response.on('close', () => left.abort());
    if (url.pathname === '/stats/summary') return json(options.stats());
    if (kind === GONE_LOGS && segments.length === 2)
      return json(await options.gone.list(segments[0]!, segments[1]!));
    if (kind === GONE_LOGS) return send(response, goneLog(segments, read), left.signal);
    const [namespace, pod, container, ...more] = segments;
    if (kind !== 'containerLogs' || !namespace || !pod || !container || more.length > 0) {
      throw new LogRefusal(
        404,
        'not found: use /containerLogs/<namespace>/<pod>/<container>, /goneLogs/… or /stats/summary',
      );
    }
    return send(
      response,
      options.open(namespace, pod, container, previous, { ...read, signal: left.signal }),
      left.signal,
    );
  };

  const goneLog = (segments: string[], read: ReadOptions): AsyncGenerator<Buffer> => {
    const [namespace = '', group = '', id = '', container = '', run = '', ...more] = segments;
    const path =
      more.length > 0 || !/^\d{1,6}$/.test(run)
        ? undefined
        : options.gone.find(namespace, group, id, container, Number(run));
    if (path === undefined) throw new LogRefusal(404, 'this log is not kept, or not any more');
    return readLog(path, read, undefined);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) return response.destroy();
      const status = error instanceof LogRefusal ? error.status : 500;
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`${messageOf(error)}\n`);
    });
  });
  // The process ends when the platform says so, not when the last log reader has left.
  server.unref();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function send(response: ServerResponse, log: AsyncGenerator<Buffer>, gone: AbortSignal): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/plain' });
  // A client that follows a silent container must see that it is connected.
  response.flushHeaders();
  for await (const chunk of log) {
    if (gone.aborted) return;
    if (!response.write(chunk)) await roomIn(response);
  }
  response.end();
}
