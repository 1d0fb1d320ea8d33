/**
 * Lambda's Invoke operations: translated to requests through the gateway, whose rules for the function hold as for any other. Served on the
 * machine's own host names, with the first function that there is; signatures (SigV4) are neither asked for nor checked: who may call is
 * the function's own `spec.access`.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import { reachableHost } from '../../base/reachable.ts';
import { listenUnix } from '../../base/unix-server.ts';
import type { Gateway } from '../../gateway/contract.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import { bodyOf, type FunctionFailure, LambdaFailure, meaningOf, readFailure } from './failures.ts';
import { configurationOf, findTarget, type Target } from './functions.ts';
import { type FunctionName, operationOf, parseName } from './name.ts';

/** Longest event, and longest answer that is not streamed, bytes: Lambda's limits for a synchronous invocation. */
const MAX_EVENT = 6 * 1024 * 1024;
/** Longest client context, bytes before it is encoded. */
const MAX_CLIENT_CONTEXT = 3583;
/** Functions whose way is kept; the way of one that is called again after that many others is made anew. */
const MAX_WAYS = 1000;
const OWN_HOSTS = ['localhost', '127.0.0.1', '[::1]'];
const PREFIXES = ['/2015-03-31/functions', '/2021-11-15/functions'];
/** What of a request is for the function: who calls, and what was agreed on with its owner. */
const PASSED_ON =
  /^(x-amz-client-context$|x-amzn-trace-id$|x-(?!amz-|amzn-|petrel-|forwarded-|request-id$)|authorization$|traceparent$|tracestate$|idempotency-key$)/;
const TYPES = ['RequestResponse', 'Event', 'DryRun'];

export interface LambdaOptions {
  gateway: Pick<Gateway, 'address' | 'setPathRoute'>;
  /** Path of the socket that the gateway leads Invoke requests to. */
  socket: string;
  client: KubeClient;
  /** Of the same API. */
  transport: KubeTransport;
  log: Logger;
}

export interface Lambda {
  stop(): Promise<void>;
}

/** One invocation that was checked. */
interface Invocation {
  asked: FunctionName;
  target: Target;
  event: Buffer;
  /** What both sides know it by. */
  id: string;
  /** The last lines of its log are wanted. */
  tail: boolean;
}

export async function startLambda(options: LambdaOptions): Promise<Lambda> {
  const { gateway, socket, client, transport, log } = options;
  const agent = new Agent({ keepAlive: true, timeout: 2000 });
  /** Host names that only this server knows: what comes over them is an event as it is. */
  const ways = new Map<string, string>();

  /** The host name over which a function is given an event as it is. */
  const wayTo = ({ route, revision }: Target): string => {
    const key = revision ?? route;
    const known = ways.get(key);
    if (known !== undefined) {
      ways.delete(key);
      ways.set(key, known);
      return known;
    }
    const host = `${crypto.randomUUID()}.lambda.petrel.internal`;
    gateway.setPathRoute?.(`lambda/${key}`, {
      hosts: [host],
      path: { type: 'exact', value: '/' },
      methods: ['POST'],
      rewrite: 'keep',
      to: [{ route, ...(revision === undefined ? {} : { revision }), percent: 100 }],
      headers: { 'x-petrel-lambda-event': 'raw' },
      order: 0,
    });
    ways.set(key, host);
    const [oldest] = ways.keys();
    if (ways.size > MAX_WAYS && oldest !== undefined) {
      ways.delete(oldest);
      gateway.setPathRoute?.(`lambda/${oldest}`, null);
    }
    return host;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const id = crypto.randomUUID();
    response.setHeader('x-amzn-requestid', id);
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://lambda');
    const wanted = operationOf(request.method, pathname);
    if (wanted === undefined)
      throw new LambdaFailure(
        404,
        'ResourceNotFoundException',
        `There is no ${request.method} ${pathname} here.`,
      );
    const { operation, text } = wanted;
    const namespace = request.headers['x-petrel-namespace'];
    const asked = parseName(
      text,
      searchParams.get('Qualifier'),
      typeof namespace === 'string' ? namespace : undefined,
    );
    if (asked === undefined)
      throw new LambdaFailure(400, 'InvalidParameterValueException', `"${text}" is no name of a function.`);
    const unknown = () => new LambdaFailure(404, 'ResourceNotFoundException', `Function not found: ${text}`);
    if (operation === 'get' || operation === 'configuration') {
      const configuration = await configurationOf(client, asked);
      if (configuration === undefined) throw unknown();
      const body = operation === 'configuration' ? configuration : { Configuration: configuration };
      response.writeHead(200, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify(body));
    }
    const target = await findTarget(client, asked);
    if (target === undefined) throw unknown();
    const type = oneOf(request, 'invocation-type', TYPES);
    const tail = oneOf(request, 'log-type', ['None', 'Tail']) === 'Tail';
    checkClientContext(request.headers['x-amz-client-context']);
    const event = await readEvent(request);
    if (type === 'DryRun') return void response.writeHead(204).end();
    const invocation: Invocation = { asked, target, event, id, tail };
    if (operation === 'stream') return stream(request, response, invocation);
    if (type !== 'Event') return invoke(request, response, invocation);
    if (target.revision !== undefined)
      throw new LambdaFailure(
        400,
        'InvalidParameterValueException',
        'An event of a numbered version cannot be kept: name an alias.',
      );
    return accept(request, response, invocation);
  };

  /** Sends the event to the function; resolves with the head of the answer. */
  const send = (
    request: IncomingMessage,
    response: ServerResponse,
    { target, event, id }: Invocation,
    later: boolean,
  ): Promise<IncomingMessage> => {
    const { host, port } = gateway.address;
    const headers: OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries(request.headers))
      if (PASSED_ON.test(name)) headers[name] = value;
    if (typeof headers.authorization === 'string' && headers.authorization.startsWith('AWS4-'))
      delete headers.authorization;
    headers['content-type'] = 'application/json';
    headers['content-length'] = event.length;
    headers['x-request-id'] = id;
    if (later) headers['x-petrel-invoke-mode'] = 'async';
    headers.host = wayTo(target);
    const answered = Promise.withResolvers<IncomingMessage>();
    const outgoing = httpRequest(
      { host: reachableHost(host), port, agent, method: 'POST', path: '/', headers, setHost: false },
      answered.resolve,
    );
    outgoing.on('error', answered.reject);
    response.on('close', () => outgoing.destroy());
    outgoing.end(event);
    return answered.promise;
  };

  /** An event that is only accepted goes the same way: what it is is kept with it. */
  const accept = async (request: IncomingMessage, response: ServerResponse, invocation: Invocation) => {
    const said = await send(request, response, invocation, true);
    const body = await bodyOf(said, MAX_EVENT);
    if (said.statusCode !== 202) throw refusalOf(said, body, invocation.id);
    response.writeHead(202, { 'content-type': 'application/json' });
    response.end(body);
  };

  /** What became of it: the function's own answer, or what stands for one that it did not give. Throws what is a refusal. */
  const outcome = async (
    said: IncomingMessage,
    { id }: Invocation,
    began: number,
  ): Promise<{ error?: string; failure?: FunctionFailure; body?: Buffer }> => {
    const told = said.headers['x-amz-function-error'];
    const status = said.statusCode ?? 500;
    if (status < 400) return typeof told === 'string' ? { error: told } : {};
    const body = await bodyOf(said, MAX_EVENT);
    const failure = readFailure(body);
    if (failure === undefined && status === 429) throw refusalOf(said, body, id);
    // What a handler of another shape says of a failure is a failure of the function to AWS's clients.
    if (failure === undefined) return { body, ...(status >= 500 ? { error: 'Unhandled' } : {}) };
    const meaning = meaningOf(failure, { id, seconds: (performance.now() - began) / 1000 });
    if (meaning instanceof LambdaFailure) throw meaning;
    return { error: 'Unhandled', failure: meaning, body: Buffer.from(JSON.stringify(meaning)) };
  };

  const logOf = async ({ asked, target, id }: Invocation, since: number, began: number): Promise<string> => {
    const { logResult } = await import('./log-tail.ts');
    const { namespace, name } = asked;
    const ended = { namespace, name, id, version: target.version, since, ms: performance.now() - began };
    return logResult({ client, transport }, ended);
  };

  const invoke = async (request: IncomingMessage, response: ServerResponse, invocation: Invocation) => {
    const since = Date.now();
    const began = performance.now();
    const said = await send(request, response, invocation, false);
    const { error, failure, body } = await outcome(said, invocation, began);
    const head: OutgoingHttpHeaders = {
      'x-amz-executed-version': invocation.target.version,
      'content-type': failure ? 'application/json' : (said.headers['content-type'] ?? 'application/json'),
      ...(error === undefined ? {} : { 'x-amz-function-error': error }),
    };
    if (!invocation.tail && body === undefined) {
      response.writeHead(200, head);
      return pipeline(said, response);
    }
    const whole = body ?? (await bodyOf(said, MAX_EVENT));
    if (invocation.tail) head['x-amz-log-result'] = await logOf(invocation, since, began);
    response.writeHead(200, head);
    response.end(whole);
  };

  /** The answer as it comes, in events. */
  const stream = async (request: IncomingMessage, response: ServerResponse, invocation: Invocation) => {
    const { eventMessage, EVENT_STREAM } = await import('./event-stream.ts');
    const since = Date.now();
    const began = performance.now();
    const said = await send(request, response, invocation, false);
    const { error, body } = await outcome(said, invocation, began);
    response.writeHead(200, {
      'x-amz-executed-version': invocation.target.version,
      'content-type': EVENT_STREAM,
      'x-amzn-remapped-content-type': said.headers['content-type'] ?? 'application/json',
    });
    const chunk = (bytes: Buffer) => eventMessage('PayloadChunk', 'application/octet-stream', bytes);
    const complete: Record<string, string> = {};
    if (error !== undefined) complete.ErrorCode = error;
    async function* events(): AsyncGenerator<Buffer> {
      if (body !== undefined) yield chunk(body);
      try {
        if (body === undefined) for await (const bytes of said as AsyncIterable<Buffer>) yield chunk(bytes);
      } catch (cause) {
        complete.ErrorCode = 'Unhandled';
        complete.ErrorDetails = `The answer broke off: ${(cause as Error).message}`;
      }
      if (invocation.tail) complete.LogResult = await logOf(invocation, since, began);
      yield eventMessage('InvokeComplete', 'application/json', Buffer.from(JSON.stringify(complete)));
    }
    await pipeline(events(), response);
  };

  const server = await listenUnix(socket, (request, response) => {
    answer(request, response).catch((error) => {
      request.resume();
      if (response.headersSent) return void response.destroy();
      const known = error instanceof LambdaFailure;
      if (!known) log.warn('an invocation could not be passed on', { error: String(error) });
      const { status, type, message, reason } = known
        ? error
        : new LambdaFailure(500, 'ServiceException', 'The gateway gave no answer.');
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
      const told = { Type: status < 500 ? 'User' : 'Service', Reason: reason, Message: message, message };
      response.end(JSON.stringify(told));
    });
  });
  for (const prefix of PREFIXES)
    gateway.setPathRoute?.(`lambda${prefix}`, {
      hosts: OWN_HOSTS,
      path: { type: 'prefix', value: prefix },
      methods: [],
      rewrite: 'keep',
      to: { kind: 'http1-unix', path: socket },
      order: 0,
    });
  return {
    async stop() {
      for (const prefix of PREFIXES) gateway.setPathRoute?.(`lambda${prefix}`, null);
      for (const route of ways.keys()) gateway.setPathRoute?.(`lambda/${route}`, null);
      agent.destroy();
      await server.close();
    },
  };
}

/** A header of the Invoke operation, one of these values; the first when it is absent. */
function oneOf(request: IncomingMessage, name: string, values: readonly string[]): string {
  const value = String(request.headers[`x-amz-${name}`] ?? values[0]);
  if (values.includes(value)) return value;
  throw new LambdaFailure(
    400,
    'InvalidParameterValueException',
    `X-Amz-${name}: "${value}" must be one of ${values.join(', ')}.`,
  );
}

function checkClientContext(value: string | string[] | undefined): void {
  if (value === undefined) return;
  const bytes = Buffer.from(String(value), 'base64');
  try {
    if (bytes.length <= MAX_CLIENT_CONTEXT) return void JSON.parse(bytes.toString());
  } catch {}
  throw new LambdaFailure(
    400,
    'InvalidRequestContentException',
    `Client context must be a valid Base64-encoded JSON object of at most ${MAX_CLIENT_CONTEXT} bytes.`,
  );
}

/** What the gateway, or whoever accepts events, refuses. */
function refusalOf(said: IncomingMessage, body: Buffer, id: string): LambdaFailure {
  const reason = said.statusCode === 429 ? 'rate_limited' : 'unknown';
  const failure = readFailure(body) ?? { reason, message: `it answered ${said.statusCode}` };
  const meaning = meaningOf(failure, { id, seconds: 0 });
  return meaning instanceof LambdaFailure
    ? meaning
    : new LambdaFailure(500, 'ServiceException', failure.message);
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
