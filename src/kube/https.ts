/** The API over the network: one keep-alive agent for calls, connections of their own for streams. */
import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import * as http from '../base/http.ts';
import type { KubeRequest, KubeResponse, KubeTransport } from './transport.ts';

export interface HttpsTransportOptions {
  /** Base URL, for example `https://127.0.0.1:7443`. Plain `http:` is accepted (a local `kubectl proxy`). */
  server: string;
  /** PEM. Absent: the system's roots. */
  ca?: string | Uint8Array;
  /** PEM client certificate and key. */
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  /** Bearer token, or a function that yields the current one (projected tokens rotate). */
  token?: string | (() => string | Promise<string>);
  /** Name the server's certificate is checked against, where it differs from the URL's host. */
  tlsServerName?: string;
  /** Trust any certificate. Only what a kubeconfig asks for explicitly. */
  insecureSkipTlsVerify?: boolean;
}

/** TCP's own keep-alive finds a peer that is gone; no timer of ours runs on an idle connection. */
const TCP_KEEPALIVE_MS = 30_000;
const STREAMS = /[?&](watch|follow)=(true|1)\b/;

/** Speaks to a Kubernetes API over HTTPS. Streams (watch, followed logs) never share a connection with calls. */
export function httpsTransport(options: HttpsTransportOptions): KubeTransport {
  const base = new URL(options.server);
  const prefix = base.pathname.replace(/\/+$/, '');
  const secure = base.protocol === 'https:';
  const tls = {
    ca: asBuffer(options.ca),
    cert: asBuffer(options.cert),
    key: asBuffer(options.key),
    servername: options.tlsServerName,
    rejectUnauthorized: !options.insecureSkipTlsVerify,
  };
  const agentOptions = { keepAliveMsecs: TCP_KEEPALIVE_MS, maxSockets: Number.POSITIVE_INFINITY };
  const agent = (keepAlive: boolean) =>
    secure
      ? new https.Agent({ ...agentOptions, ...tls, keepAlive })
      : new http.Agent({ ...agentOptions, keepAlive });
  const calls = agent(true);
  const streams = agent(false);
  const start = secure ? https.request : http.request;

  const attempt = (request: KubeRequest, headers: Record<string, string>): Promise<KubeResponse> =>
    new Promise((resolve, reject) => {
      const stream = STREAMS.test(request.path);
      const outgoing = start(
        {
          protocol: base.protocol,
          hostname: base.hostname.replace(/^\[|\]$/g, ''),
          port: base.port,
          path: prefix + request.path,
          method: request.method,
          headers,
          agent: stream ? streams : calls,
          signal: request.signal,
        },
        (response) => {
          resolve({ status: response.statusCode ?? 0, headers: flatten(response.headers), body: response });
        },
      );
      if (stream) outgoing.once('socket', (socket) => socket.setKeepAlive(true, TCP_KEEPALIVE_MS));
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        // The server closed an idle connection just as we took it up: nothing was read, so a read can be repeated.
        const stale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (stale && request.method === 'GET' && !request.signal?.aborted)
          attempt(request, headers).then(resolve, reject);
        else reject(error);
      });
      outgoing.end(request.body);
    });

  return {
    async request(request) {
      const headers: Record<string, string> = { ...request.headers };
      if (request.body !== undefined) headers['content-length'] = String(Buffer.byteLength(request.body));
      if (options.token) {
        headers.authorization = `Bearer ${typeof options.token === 'string' ? options.token : await options.token()}`;
      }
      return attempt(request, headers);
    },
    close() {
      calls.destroy();
      streams.destroy();
    },
  };
}

function asBuffer(value: string | Uint8Array | undefined): string | Buffer | undefined {
  return value === undefined || typeof value === 'string' ? value : Buffer.from(value);
}

function flatten(headers: IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}
