/**
 * The platform's own HTTP interface, on a unix socket that only its user can open: packages, and whatever rows the
 * composition root adds (`/status`, `/shutdown`). Objects go through the Kubernetes API instead.
 */
import { chmod, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type ErrorCode, PetrelError } from '../../base/errors.ts';
import { createServer } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import { isDigest, type PackageStore } from './store.ts';

/** One row of the socket's route table. `path` is exact. */
export interface SocketRoute {
  method: string;
  path: string;
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | void;
}

/** An error as it travels in a JSON body; `errorFromBody` makes it a `PetrelError` again. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  why: string;
  fix: string;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  InvalidArgument: 400,
  UnsafeArchive: 422,
  UnsupportedSource: 415,
  DigestMismatch: 422,
  NotFound: 404,
  PackageTooLarge: 413,
  Conflict: 409,
  NotReady: 503,
  DiskFull: 507,
};

/** How long the rest of a refused upload is read and dropped, so that its sender sees the answer, ms. */
const LINGER_MS = 2000;

/** Answers with one JSON value. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** Answers with a failure; one that is no `PetrelError` is logged and told as `Internal`. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: Logger,
): void {
  let told: PetrelError;
  if (error instanceof PetrelError) {
    told = error;
  } else {
    log.error('a request on the platform socket failed', {
      url: request.url,
      error: String((error as Error)?.stack ?? error),
    });
    told = new PetrelError('Internal', `The platform failed: ${(error as Error)?.message ?? error}.`, {
      fix: 'See the platform log, and report it when it happens again.',
    });
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body: ErrorBody = { code: told.code, message: told.message, why: told.why, fix: told.fix };
  const answer = () => sendJson(response, STATUS[told.code] ?? 500, body);
  if (request.complete || request.destroyed) {
    answer();
    return;
  }
  // An answer closes the connection of an upload that is still under way, and its sender may never read it.
  response.setHeader('connection', 'close');
  const late = setTimeout(answer, LINGER_MS).unref();
  request.once('close', () => clearTimeout(late));
  request.once('end', () => {
    clearTimeout(late);
    if (!response.headersSent) answer();
  });
  request.resume();
}

/** The error that an answer's body carries. */
export function errorFromBody(body: unknown): PetrelError {
  const { code, message, why, fix } = body as Partial<ErrorBody>;
  return new PetrelError(code ?? 'Internal', message ?? 'The platform gave no reason.', {
    why: why ?? '',
    fix: fix ?? '',
  });
}

/** Answer to HEAD for a package that is not there as a whole: bytes of it that have arrived. */
export const OFFSET_HEADER = 'upload-offset';

/** `content-length` and `content-range: bytes <first>-<last>/<all>` of an upload. */
function announcedOf({ headers }: IncomingMessage): { bytes?: number; offset?: number } {
  const length = headers['content-length'];
  const range = headers['content-range'];
  const bytes = length === undefined ? {} : { bytes: Number(length) };
  if (range === undefined) return bytes;
  const [, first = '', last = '', all = ''] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(range) ?? [];
  if (first === '' || Number(last) + 1 !== Number(all) || Number(first) > Number(last)) {
    throw new PetrelError('InvalidArgument', `"${range}" is no range of an upload.`, {
      fix: 'Send everything from a byte on to the end: bytes <first>-<last>/<all>.',
    });
  }
  return { ...bytes, offset: Number(first) };
}

async function handlePackage(
  store: PackageStore,
  digest: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isDigest(digest)) {
    throw new PetrelError('InvalidArgument', `"${digest}" is not a package digest.`, {
      fix: 'Use sha256: and 64 hexadecimal digits.',
    });
  }
  if (request.method === 'PUT') {
    const stored = await store.put(request, { digest, ...announcedOf(request) });
    if (!request.complete) request.resume();
    sendJson(response, stored.created ? 201 : 200, stored);
    return;
  }
  if (request.method === 'HEAD') {
    const found = await store.stat(digest);
    // How much of it has arrived, for who wants to go on.
    const headers = found
      ? { 'content-length': found.bytes }
      : { [OFFSET_HEADER]: await store.begun(digest) };
    response.writeHead(found ? 200 : 404, headers).end();
    return;
  }
  const { bytes, stream } = await store.read(digest);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  await pipeline(stream, response);
}

export interface PackageServer {
  /** Stops accepting and ends open exchanges. */
  close(): Promise<void>;
}

/**
 * Serves the store and `routes` on a new socket of mode 0600, in a directory that is private already. A socket file left
 * by a dead platform is replaced: whether one still runs is for the caller to find out first.
 */
export async function servePackages(options: {
  socketPath: string;
  store: PackageStore;
  routes?: SocketRoute[];
  log: Logger;
}): Promise<PackageServer> {
  const routes = new Map((options.routes ?? []).map((route) => [`${route.method} ${route.path}`, route]));
  const prefix = '/packages/';

  const dispatch = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '/').split('?')[0] as string;
    if (path.startsWith(prefix) && ['HEAD', 'PUT', 'GET'].includes(request.method ?? '')) {
      return handlePackage(options.store, decodeURIComponent(path.slice(prefix.length)), request, response);
    }
    const route = routes.get(`${request.method} ${path}`);
    if (route === undefined) {
      throw new PetrelError('NotFound', `The platform socket has no ${request.method} ${path}.`, {
        fix: 'Check that the petrel command and the running platform are of one version: petrel version.',
      });
    }
    await route.handle(request, response);
  };

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    dispatch(request, response).catch((error) => sendError(request, response, error, options.log));
  });
  await rm(options.socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.socketPath, resolve);
  });
  await chmod(options.socketPath, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
