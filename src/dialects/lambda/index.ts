/**
 * Lambda's Invoke operation (`POST /2015-03-31/functions/<name>/invocations`): translated to a request through the gateway, whose rules for
 * the function hold as for any other. Served on the machine's own host names, with the first function that there is; signatures
 * (SigV4) are neither asked for nor checked: who may call is the function's own `spec.access`.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import { reachableHost } from '../../base/reachable.ts';
import { listenUnix } from '../../base/unix-server.ts';
import type { Gateway } from '../../gateway/contract.ts';
import { type FunctionName, nameInPath, parseName } from './name.ts';

/** Longest event, bytes: Lambda's limit for a synchronous invocation. */
const MAX_EVENT = 6 * 1024 * 1024;
/** Functions whose way is kept; the way of one that is called again after that many others is made anew. */
const MAX_WAYS = 1000;
const OWN_HOSTS = ['localhost', '127.0.0.1', '[::1]'];
/** What of a request is for the function: who calls, and what was agreed on with its owner. */
const PASSED_ON = /^(x-(?!amz-|petrel-|forwarded-)|authorization$|traceparent$|tracestate$|idempotency-key$)/;
const TYPES = ['RequestResponse', 'Event', 'DryRun'];

export interface LambdaOptions {
  gateway: Pick<Gateway, 'address' | 'setPathRoute'>;
  /** Path of the socket that the gateway leads Invoke requests to. */
  socket: string;
  /** Whether a function, or the alias of one, can be called. */
  exists(namespace: string, route: string): Promise<boolean>;
  log: Logger;
}

export interface Lambda {
  stop(): Promise<void>;
}

/** A failure as AWS's SDKs read it. */
class LambdaFailure extends Error {
  readonly status: number;
  readonly type: string;
  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export async function startLambda({ gateway, socket, exists, log }: LambdaOptions): Promise<Lambda> {
  const agent = new Agent({ keepAlive: true, timeout: 2000 });
  /** Host names that only this server knows: what comes over them is an event as it is. */
  const ways = new Map<string, string>();

  /** The host name over which a function is given an event as it is. */
  const wayTo = (route: string): string => {
    const known = ways.get(route);
    if (known !== undefined) {
      ways.delete(route);
      ways.set(route, known);
      return known;
    }
    const host = `${crypto.randomUUID()}.lambda.petrel.internal`;
    gateway.setPathRoute?.(`lambda/${route}`, {
      hosts: [host],
      path: { type: 'exact', value: '/' },
      methods: ['POST'],
      rewrite: 'keep',
      to: [{ route, percent: 100 }],
      headers: { 'x-petrel-lambda-event': 'raw' },
      order: 0,
    });
    ways.set(route, host);
    const [oldest] = ways.keys();
    if (ways.size > MAX_WAYS && oldest !== undefined) {
      ways.delete(oldest);
      gateway.setPathRoute?.(`lambda/${oldest}`, null);
    }
    return host;
  };

  const invoke = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://lambda');
    const text = nameInPath(pathname);
    if (text === undefined || request.method !== 'POST')
      throw new LambdaFailure(
        404,
        'ResourceNotFoundException',
        `There is no ${request.method} ${pathname} here.`,
      );
    const namespace = request.headers['x-petrel-namespace'];
    const asked = parseName(
      text,
      searchParams.get('Qualifier'),
      typeof namespace === 'string' ? namespace : undefined,
    );
    if (asked === undefined)
      throw new LambdaFailure(400, 'InvalidParameterValueException', `"${text}" is no name of a function.`);
    const route = `${asked.namespace}/${routeOf(asked)}`;
    if (!(await exists(asked.namespace, routeOf(asked))))
      throw new LambdaFailure(404, 'ResourceNotFoundException', `Function not found: ${text}`);
    const type = String(request.headers['x-amz-invocation-type'] ?? 'RequestResponse');
    if (!TYPES.includes(type))
      throw new LambdaFailure(
        400,
        'InvalidParameterValueException',
        `InvocationType must be one of ${TYPES.join(', ')}.`,
      );
    const event = await readEvent(request);
    if (type === 'DryRun') {
      response.writeHead(204).end();
      return;
    }
    await forward(request, response, route, asked, event, type === 'Event');
  };

  /** An event that is only accepted goes the same way: what it is is kept with it. */
  const forward = async (
    request: IncomingMessage,
    response: ServerResponse,
    route: string,
    asked: FunctionName,
    event: Buffer,
    later: boolean,
  ): Promise<void> => {
    const { host, port } = gateway.address;
    const headers: OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries(request.headers))
      if (PASSED_ON.test(name)) headers[name] = value;
    if (typeof headers.authorization === 'string' && headers.authorization.startsWith('AWS4-'))
      delete headers.authorization;
    headers['content-type'] = 'application/json';
    headers['content-length'] = event.length;
    if (later) headers['x-petrel-invoke-mode'] = 'async';
    headers.host = wayTo(route);
    const answered = Promise.withResolvers<IncomingMessage>();
    const outgoing = httpRequest(
      {
        host: reachableHost(host),
        port,
        agent,
        method: 'POST',
        path: '/',
        headers,
        setHost: false,
      },
      answered.resolve,
    );
    outgoing.on('error', answered.reject);
    response.on('close', () => outgoing.destroy());
    outgoing.end(event);
    const answer = await answered.promise;
    const status = answer.statusCode ?? 500;
    const told = answer.headers['x-amz-function-error'];
    // What the gateway or a handler of another shape says of a failure is a failure of the function to AWS's clients.
    const failed = told ?? (status >= 500 ? 'Unhandled' : undefined);
    response.writeHead(
      later && status === 202 ? 202 : status === 429 ? 429 : status === 401 || status === 403 ? 403 : 200,
      {
        'content-type': answer.headers['content-type'] ?? 'application/json',
        'x-amz-executed-version': asked.alias ?? '$LATEST',
        ...(failed === undefined ? {} : { 'x-amz-function-error': failed }),
        ...(answer.headers['x-request-id'] ? { 'x-amzn-requestid': answer.headers['x-request-id'] } : {}),
      },
    );
    await pipeline(answer, response);
  };

  const server = await listenUnix(socket, (request, response) => {
    invoke(request, response).catch((error) => {
      request.resume();
      if (response.headersSent) return void response.destroy();
      const known = error instanceof LambdaFailure;
      if (!known) log.warn('an invocation could not be passed on', { error: String(error) });
      const { status, type, message } = known
        ? error
        : new LambdaFailure(502, 'ServiceException', 'The gateway gave no answer.');
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
      response.end(JSON.stringify({ Type: status < 500 ? 'User' : 'Service', Message: message, message }));
    });
  });
  gateway.setPathRoute?.('lambda', {
    hosts: OWN_HOSTS,
    path: { type: 'prefix', value: '/2015-03-31/functions' },
    methods: [],
    rewrite: 'keep',
    to: { kind: 'http1-unix', path: socket },
    order: 0,
  });
  return {
    async stop() {
      gateway.setPathRoute?.('lambda', null);
      for (const route of ways.keys()) gateway.setPathRoute?.(`lambda/${route}`, null);
      agent.destroy();
      await server.close();
    },
  };
}

/** An alias is a Route of its own. */
function routeOf({ name, alias }: FunctionName): string {
  return alias === undefined ? name : `${name}-${alias}`;
}

async function readEvent(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_EVENT)
      throw new LambdaFailure(
        413,
        'RequestTooLargeException',
        `The event is longer than ${MAX_EVENT} bytes.`,
      );
    chunks.push(chunk);
  }
  const event = Buffer.concat(chunks);
  if (event.length === 0) return Buffer.from('{}');
  try {
    JSON.parse(event.toString());
  } catch (error) {
    throw new LambdaFailure(
      400,
      'InvalidRequestContentException',
      `Could not parse the event: ${(error as Error).message}`,
    );
  }
  return event;
}
