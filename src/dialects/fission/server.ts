/** The router's own paths and the storage service, on a socket that only the gateway speaks to. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { listenUnix } from '../../base/unix-server.ts';
import type { FissionPackages } from './archives.ts';
import type { Auth } from './auth.ts';
import { HOLD_HEADER, type Hold } from './hold.ts';
import { isPackageKey, packageStream } from './images.ts';
import { boundaryOf, filePart } from './multipart.ts';
import type { Storage } from './storage.ts';

export interface FissionServer {
  close(): Promise<void>;
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
}

function send(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const text = typeof value === 'string';
  const body = Buffer.from(text ? value : JSON.stringify(value));
  response.writeHead(status, {
    'content-type': text ? 'text/plain; charset=utf-8' : 'application/json',
    'content-length': body.length,
    ...headers,
  });
  response.end(body);
}

/** The shape of Fission's own failures. */
function fail(
  { request, response }: Exchange,
  status: number,
  reason: string,
  message: string,
  headers = {},
): void {
  const requestId = String(request.headers['x-request-id'] ?? '');
  send(
    response,
    status,
    { component: 'router', reason, requestId, message },
    { 'x-fission-component': 'router', ...headers },
  );
}

/** Most of what a user has to say to log in, bytes. */
const LOGIN_MAX = 16 * 1024;

/** What somebody logs in with. Throws `InvalidArgument`. */
async function credentials(request: IncomingMessage): Promise<{ username?: unknown; password?: unknown }> {
  const wrong = () =>
    new PetrelError('InvalidArgument', 'The body must be JSON with username and password.', {
      fix: 'Send {"username": …, "password": …}.',
    });
  let text = '';
  // Read to its end, so that who sends it sees the answer.
  for await (const part of request.setEncoding('utf8')) if (text.length <= LOGIN_MAX) text += part;
  if (text.length > LOGIN_MAX) throw wrong();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // told below
  }
  throw wrong();
}

const STATUS: Partial<Record<PetrelError['code'], number>> = {
  InvalidArgument: 400,
  PackageTooLarge: 413,
  DiskFull: 507,
};

/** `/<hex digest>/<key>/<form>` */
const PACKAGE = /^\/([0-9a-f]{64})\/([0-9a-f]+)\/(tree|file|archive)$/;

export async function startServer(options: {
  socket: string;
  storage: Storage;
  hold: Hold;
  login: Auth['login'];
  packages: FissionPackages;
  /** What is below is passed on as the platform's own. */
  internalPath: string;
  /** Fields by which it is known. */
  headers(): Record<string, string>;
  /** Opens packages to who has a key made with it. */
  secret: string;
  version: string;
  clock: Clock;
  log: Logger;
  /** An archive came or went. */
  onArchive(): void;
}): Promise<FissionServer> {
  const { storage, log } = options;

  const archive: Record<string, (exchange: Exchange, id: string) => Promise<void>> = {
    async POST({ request, response }) {
      const id = await storage.put(
        filePart(request, boundaryOf(request.headers['content-type']), 'uploadfile'),
      );
      // What comes after the file is nothing; read so that the sender sees the answer.
      request.resume();
      options.onArchive();
      send(response, 200, { id });
    },
    async GET(exchange, id) {
      const { response, query } = exchange;
      if (!query.has('id')) return send(response, 200, await storage.list());
      const found = await storage.get(id);
      if (!found) return fail(exchange, 404, 'not_found', `There is no archive "${id}".`);
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': found.bytes });
      await pipeline(found.stream(), response);
    },
    async HEAD({ response }, id) {
      const found = await storage.get(id);
      response.writeHead(found ? 200 : 404, {
        'x-fission-storagetype': 'local',
        'x-fission-bucket': '',
        ...(found ? { 'content-length': found.bytes } : {}),
      });
      response.end();
    },
    async DELETE(exchange, id) {
      if (await storage.remove(id)) return send(exchange.response, 200, '');
      fail(exchange, 404, 'not_found', `There is no archive "${id}".`);
    },
  };

  const ok = async ({ response }: Exchange) => send(response, 200, 'OK');
  const paths: Record<string, (exchange: Exchange) => Promise<void>> = {
    '/router-healthz': ok,
    '/readyz': ok,
    async '/_version'({ response }) {
      send(response, 200, {
        Build: { Version: `petrel-${options.version}` },
        ServerTime: { Timezone: 'UTC', CurrentTime: new Date(options.clock.now()).toISOString() },
      });
    },
    async '/auth/login'(exchange) {
      const { request, response } = exchange;
      if (request.method !== 'POST')
        return fail(exchange, 405, 'method_not_allowed', 'Logging in is a POST.');
      const outcome = options.login(await credentials(request));
      if (outcome === 'off')
        return fail(
          exchange,
          404,
          'not_found',
          'This router asks for no token; access of a function is its own.',
        );
      if (outcome === 'refused') return send(response, 401, 'unauthorized: invalid username or password\n');
      send(response, 201, { accesstoken: outcome.token, tokentype: 'Bearer' });
    },
    async '/v1/archive'(exchange) {
      const handle = archive[exchange.request.method ?? ''];
      if (handle) return handle(exchange, exchange.query.get('id') ?? '');
      fail(exchange, 405, 'method_not_allowed', 'Archives know POST, GET, HEAD and DELETE.');
    },
  };

  const dispatch = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const owner = request.headers[HOLD_HEADER];
    if (typeof owner === 'string') {
      const problem = await options.hold.answer(owner, request, response);
      const status = problem?.reason === 'capacity_exceeded' ? 429 : 503;
      if (problem)
        fail({ request, response, query: new URLSearchParams() }, status, problem.reason, problem.message);
      return;
    }
    const inside = `${options.internalPath}/`;
    if (request.url?.startsWith(inside))
      return options.hold.forward(request, response, request.url.slice(inside.length - 1), options.headers());
    const url = new URL(request.url ?? '/', 'http://fission');
    const exchange = { request, response, query: url.searchParams };
    const [, hex = '', key = '', as = ''] = PACKAGE.exec(url.pathname) ?? [];
    if (hex !== '' && isPackageKey(options.secret, hex, key)) {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      return pipeline(packageStream(options.packages, `sha256:${hex}`, as), response);
    }
    const handle = Object.hasOwn(paths, url.pathname) ? paths[url.pathname] : undefined;
    if (handle) return handle(exchange);
    fail(exchange, 404, 'not_found', `No function is at ${url.pathname}.`, {
      'x-fission-route-miss': 'true',
    });
  };

  const refuse = (request: IncomingMessage, response: ServerResponse, error: unknown) => {
    if (!(error instanceof PetrelError))
      log.error("a request to Fission's router failed", {
        path: request.url?.split('?')[0],
        error: String((error as Error)?.stack ?? error),
      });
    if (response.headersSent) return response.destroy();
    request.resume();
    const status = error instanceof PetrelError ? (STATUS[error.code] ?? 500) : 500;
    const message =
      error instanceof PetrelError ? [error.message, error.fix].filter(Boolean).join(' ') : 'It failed.';
    fail({ request, response, query: new URLSearchParams() }, status, 'request_failed', message);
  };

  return listenUnix(options.socket, (request, response) => {
    dispatch(request, response).catch((error) => refuse(request, response, error));
  });
}
