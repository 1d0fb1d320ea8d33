/**
 * OpenFaaS' REST API, so that `faas-cli` works: `/system/…` (with the password of this home), `/function/<name>` and
 * `/async-function/<name>`. The way of a function that was called once is a path route of its own: requests after the first meet the gateway alone.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { CALLBACK_FIELD, type Callback } from '../../base/callback.ts';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import { reachableHost } from '../../base/reachable.ts';
import { listenUnix } from '../../base/unix-server.ts';
import type { Gateway } from '../../gateway/contract.ts';
import { type KubeClient, KubeError, orUndefined } from '../../kube/client.ts';
import { ROUTES } from '../../kube/refs.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import { answerLogs } from './logs.ts';
import { type Answer, type Call, OPERATIONS } from './rest.ts';
import { parseName } from './translate.ts';

const MAX_BODY = 1024 * 1024;
const MAX_WAYS = 1000;
const PATHS = ['/system', '/function', '/async-function', '/healthz'];
const OWN_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

const UNAUTHORIZED: Answer = { status: 401, body: 'invalid credentials' };

export interface OpenfaasOptions {
  client: KubeClient;
  /** Of the same API. */
  transport: KubeTransport;
  gateway: Pick<Gateway, 'address' | 'setPathRoute'>;
  socket: string;
  /** Who may be told of the outcome of an asynchronous call, and the field that says it to `route`; see `sealCallback`. */
  callbacks: { problem(url: URL): string | undefined; seal(route: string, callback: Callback): string };
  /** Of the user `admin`. */
  password: string;
  version: string;
  log: Logger;
}

export interface Openfaas {
  stop(): Promise<void>;
}

export async function startOpenfaas(options: OpenfaasOptions): Promise<Openfaas> {
  const { client, gateway, socket, version, log } = options;
  const agent = new Agent({ keepAlive: true, timeout: 2000 });
  const ways = new Set<string>();
  const expected = Buffer.from(`Basic ${Buffer.from(`admin:${options.password}`).toString('base64')}`);

  const allowed = ({ headers }: IncomingMessage): boolean => {
    const given = Buffer.from(headers.authorization ?? '');
    return given.length === expected.length && timingSafeEqual(given, expected);
  };

  /** From now on the gateway leads requests for this name itself. */
  const pave = (text: string, route: string): void => {
    if (ways.has(text)) return;
    ways.add(text);
    gateway.setPathRoute?.(`openfaas/function/${text}`, {
      hosts: OWN_HOSTS,
      path: { type: 'prefix', value: `/function/${text}` },
      methods: [],
      rewrite: 'strip',
      to: [{ route, percent: 100 }],
      order: 0,
    });
    const [oldest] = ways;
    if (ways.size <= MAX_WAYS || oldest === undefined) return;
    ways.delete(oldest);
    gateway.setPathRoute?.(`openfaas/function/${oldest}`, null);
  };

  const system = async (request: IncomingMessage, url: URL): Promise<Answer> => {
    const path = url.pathname.replace(/\/$/, '');
    const cut = path.lastIndexOf('/') + 1;
    const operation =
      OPERATIONS[`${request.method} ${path}`] ?? OPERATIONS[`${request.method} ${path.slice(0, cut)}`];
    if (operation === undefined) return { status: 404, body: `there is no ${request.method} ${path} here` };
    let body: unknown;
    const text = await readText(request);
    if (text === undefined) return { status: 413, body: `more than ${MAX_BODY} bytes` };
    try {
      body = text === '' ? undefined : JSON.parse(text);
    } catch (error) {
      return { status: 400, body: `no JSON: ${(error as Error).message}` };
    }
    const call: Call = { query: url.searchParams, rest: decodeURIComponent(path.slice(cut)), body };
    try {
      return await operation(client, call, version);
    } catch (error) {
      if (!(error instanceof KubeError) || error.code < 400 || error.code >= 500) throw error;
      return { status: error.code, body: error.message };
    }
  };

  const invoke = async (
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<Answer | undefined> => {
    const [, kind, text = '', rest] =
      /^\/(function|async-function)\/([^/]+)(\/.*)?$/.exec(url.pathname) ?? [];
    const name = parseName(text);
    const known =
      name !== undefined && (await orUndefined(client.get(ROUTES, name.namespace, name.name))) !== undefined;
    if (name === undefined || !known)
      return { status: 404, body: `error finding function ${text}: not found` };
    const route = `${name.namespace}/${name.name}`;
    const later = kind === 'async-function';
    if (!later) pave(text, route);
    const { host, port } = gateway.address;
    const callId = String(request.headers['x-call-id'] ?? crypto.randomUUID());
    const headers: OutgoingHttpHeaders = { ...request.headers, 'x-call-id': callId };
    delete headers[CALLBACK_FIELD];
    if (later) {
      headers['x-petrel-invoke-mode'] = 'async';
      const asked = headers['x-callback-url'];
      delete headers['x-callback-url'];
      if (asked !== undefined && asked !== '') {
        const url = callbackUrl(String(asked), reachableHost(host), port);
        const wrong = url === undefined ? 'it is no address' : options.callbacks.problem(url);
        if (url === undefined || wrong !== undefined)
          return { status: 400, body: `X-Callback-Url: ${wrong}` };
        headers[CALLBACK_FIELD] = options.callbacks.seal(route, { url: url.href, name: text });
      }
    }
    delete headers.host;
    delete headers['transfer-encoding'];
    const answered = Promise.withResolvers<IncomingMessage>();
    const outgoing = httpRequest(
      {
        host: reachableHost(host),
        port,
        agent,
        method: request.method,
        path: `/fn/${route}${rest ?? '/'}${url.search}`,
        headers,
      },
      answered.resolve,
    );
    outgoing.on('error', answered.reject);
    response.on('close', () => outgoing.destroy());
    pipeline(request, outgoing).catch(() => {});
    const answer = await answered.promise;
    const { connection: _c, 'transfer-encoding': _t, 'keep-alive': _k, ...told } = answer.headers;
    response.writeHead(answer.statusCode ?? 502, { ...told, 'x-call-id': callId });
    await pipeline(answer, response);
    return undefined;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://openfaas');
    let answer: Answer | undefined;
    if (url.pathname === '/healthz') answer = { status: 200, body: 'OK' };
    else if (!url.pathname.startsWith('/system')) answer = await invoke(request, response, url);
    else if (!allowed(request)) answer = UNAUTHORIZED;
    else if (url.pathname === '/system/logs' && request.method === 'GET')
      answer = await answerLogs(options, url.searchParams, response);
    else answer = await system(request, url);
    if (answer === undefined) return;
    if (answer === UNAUTHORIZED) response.setHeader('www-authenticate', 'Basic realm="Restricted"');
    request.resume();
    const text = typeof answer.body === 'string';
    response.writeHead(answer.status, {
      'content-type': text ? 'text/plain; charset=utf-8' : 'application/json',
    });
    response.end(
      answer.body === undefined ? '' : text ? (answer.body as string) : JSON.stringify(answer.body),
    );
  };

  const server = await listenUnix(socket, (request, response) => {
    handle(request, response).catch((error) => {
      log.warn('a request of OpenFaaS could not be answered', { error: String(error) });
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { 'content-type': 'text/plain' }).end('the platform gave no answer');
    });
  });
  for (const path of PATHS)
    gateway.setPathRoute?.(`openfaas${path}`, {
      hosts: OWN_HOSTS,
      path: { type: 'prefix', value: path },
      methods: [],
      rewrite: 'keep',
      to: { kind: 'http1-unix', path: socket },
      order: 1,
    });
  return {
    async stop() {
      for (const path of PATHS) gateway.setPathRoute?.(`openfaas${path}`, null);
      for (const text of ways) gateway.setPathRoute?.(`openfaas/function/${text}`, null);
      agent.destroy();
      await server.close();
    },
  };
}

/** OpenFaaS' own names of its gateway, by which its users call one function after the other. */
const GATEWAY_NAMES = new Set(['gateway', 'gateway.openfaas', 'gateway.openfaas.svc.cluster.local']);

/** Undefined when it is no address. */
function callbackUrl(text: string, host: string, port: number): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol === 'http:' && GATEWAY_NAMES.has(url.hostname)) url.host = `${host}:${port}`;
  return url;
}

/** The body as text; undefined when it is too long. */
async function readText(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
