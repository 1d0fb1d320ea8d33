/** The HTTPS listener in front of `ApiServer.handle`: TLS, who asks, bounded input, back-pressure on output. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { constants, createGzip } from 'node:zlib';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import { createAuthenticator, type TokenUser } from './authentication.ts';
import { MAX_BODY_BYTES } from './body.ts';
import { ApiError, internal, methodNotAllowed, tooLarge } from './errors.ts';
import type { KeyPair } from './pki/certificate.ts';
import { failure } from './reply.ts';
import type { ApiServer } from './server.ts';

export interface ListenOptions {
  host: string;
  /** 0: any free one. */
  port: number;
  /** The server's certificate and key, PEM. */
  certificate: KeyPair;
  /** Authority of client certificates, PEM. */
  clientCa: string;
  tokens?: TokenUser[];
  log: Logger;
}

export interface Listener {
  readonly port: number;
  /** Stops accepting, lets answers under way end for a moment, then closes what is left. */
  close(): Promise<void>;
}

const METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
const LIMITS = { headers: 10_000, request: 60_000, handshake: 10_000, keepAlive: 120_000, connections: 4096 };
/** How long a client may take no byte of an answer that is waiting for it. */
const STALLED_AFTER = 60_000;
const CLOSE_GRACE = 500;
/** Source: apiserver `defaultGzipThresholdBytes`. */
const GZIP_FROM = 128 * 1024;

/** Throws `PetrelError` `PortInUse` or `StartFailed`. */
export async function listen(api: ApiServer, options: ListenOptions): Promise<Listener> {
  const authenticate = createAuthenticator(options.tokens);
  const server = createServer({
    cert: options.certificate.certificate,
    key: options.certificate.key,
    ca: options.clientCa,
    requestCert: true,
    // Clients without a certificate authenticate otherwise; see `authentication.ts`.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: LIMITS.handshake,
    headersTimeout: LIMITS.headers,
    requestTimeout: LIMITS.request,
    keepAliveTimeout: LIMITS.keepAlive,
    maxHeaderSize: 64 * 1024,
  });
  server.maxConnections = LIMITS.connections;

  const answer = async (request: IncomingMessage, signal: AbortSignal): Promise<KubeResponse> => {
    try {
      const user = authenticate(request);
      const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
      if (!METHODS.has(method)) throw methodNotAllowed();
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(request.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
      }
      const body = await readBody(request);
      const exchange: KubeRequest = {
        method: method as KubeRequest['method'],
        path: request.url ?? '/',
        headers,
        body,
        signal,
      };
      return await api.handle(exchange, user);
    } catch (error) {
      return failure(error instanceof ApiError ? error : internal((error as Error).message));
    }
  };

  server.on('request', async (request, response) => {
    const abort = new AbortController();
    response.once('close', () => abort.abort());
    try {
      await send(await answer(request, abort.signal), request, response);
    } catch (error) {
      options.log.debug('an answer was cut short', { error: String(error) });
      response.destroy();
    }
  });
  server.on('tlsClientError', (error) => options.log.debug('TLS handshake failed', { error: error.message }));

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', (error) => options.log.warn('API listener', { error: error.message }));

  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** The whole body, or 413 as soon as it is known to be too large. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
    chunks.push(chunk);
  }
  return size === 0 ? undefined : chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
}

async function send(answer: KubeResponse, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = { ...answer.headers };
  const length = headers['content-length'];
  // An answer of unknown length is a stream: its bytes go out as they come.
  const compress =
    Number(length ?? 0) > GZIP_FROM && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  if (compress) {
    delete headers['content-length'];
    headers['content-encoding'] = 'gzip';
    headers.vary = 'Accept-Encoding';
  }
  // What is left of a refused body would be taken for the next request.
  if (!request.complete) headers.connection = 'close';
  response.writeHead(answer.status, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  if (length === undefined) response.flushHeaders();
  const gzip = compress ? createGzip({ level: constants.Z_BEST_SPEED }) : undefined;
  gzip?.pipe(response);
  const sink = gzip ?? response;
  for await (const chunk of answer.body) {
    if (response.destroyed) return;
    if (!sink.write(chunk)) await drained(sink, response);
  }
  sink.end();
}

function drained(sink: NodeJS.WritableStream, response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => done(new Error('the client takes nothing')), STALLED_AFTER);
    const done = (error?: Error): void => {
      clearTimeout(timer);
      sink.off('drain', onDrain);
      response.off('close', onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = (): void => done();
    const onClose = (): void => done(new Error('the client is gone'));
    sink.once('drain', onDrain);
    response.once('close', onClose);
    if (response.destroyed) onClose();
  });
}

function listenError(error: NodeJS.ErrnoException, { host, port }: ListenOptions): PetrelError {
  if (error.code === 'EADDRINUSE') {
    return new PetrelError('PortInUse', `port ${port} on ${host} is in use`, {
      why: 'Another program, or another platform, listens there.',
      fix: `Choose another address for the API: --api ${host}:0 takes any free port, as --gateway ${host}:0 does for requests.`,
      cause: error,
    });
  }
  return new PetrelError('StartFailed', `cannot listen on ${host}:${port}`, {
    why: error.message,
    fix: 'Choose another address for the API with --api.',
    cause: error,
  });
}
