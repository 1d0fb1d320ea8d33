/**
 * Functions as tools: an MCP server over Streamable HTTP, one for each namespace, without sessions. Speaks the revision in which
 * every request stands for itself, and the ones before it that begin with `initialize`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../base/errors.ts';
import { VERSION } from '../../base/version.ts';
import type { FunctionTool } from '../../kinds/function.ts';
import { Refusal, readBody } from '../invocations/answers.ts';
import type { Caller } from './call.ts';
import {
  type Headers,
  headerParameters,
  isModern,
  LEGACY,
  matchHeader,
  type Request,
  RpcError,
  readMessage,
  SUPPORTED,
  valueAt,
} from './messages.ts';
import { type Schema, violations } from './schema.ts';

/** Where it is in the gateway; the namespace follows. */
export const TOOLS_PATH = '/.petrel/mcp';

const LIMITS = { body: 6 * 1024 * 1024, page: 200, batch: 50 } as const;
/** How long a client may believe a list, ms. */
const LIST_TTL_MS = 10_000;
/** Pages that may use the tools when nobody has named others: those of this machine. */
const LOOPBACK = /^https?:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\]|([a-z0-9-]+\.)+localhost)(:\d+)?$/i;
/** What of the client's request reaches the function, so that its own rules of access hold. */
const PASSED_ON = ['authorization', 'x-api-key', 'x-request-id', 'x-petrel-hops', 'tracestate'];

/** A function that is a tool. */
export interface Tool extends FunctionTool {
  /** Name of the function. */
  function: string;
  /** Header with the key that its access rules ask for, when it is another than usual. */
  keyHeader?: string;
}

export interface ToolServerOptions {
  caller: Caller;
  /** Tools of a namespace, in the order of their functions' names. */
  tools(namespace: string): Tool[];
  gateway(): { host: string; port: number };
  /** Further origins of web pages that may use the tools. */
  origins: readonly string[];
}

type Answer = Record<string, unknown> | undefined;
interface Asked {
  namespace: string;
  headers: Headers;
  modern: boolean;
  signal: AbortSignal;
}

const SERVER_INFO = { name: 'petrel', title: 'Petrel functions', version: VERSION };
const CAPABILITIES = { tools: {} };
const nameOf = (tool: Tool): string => tool.name ?? tool.function;

/** Answers HTTP requests; rejects with `Refusal`. */
export function toolHandler(options: ToolServerOptions) {
  /** Of two with the same name the first is the tool. */
  const toolsOf = (namespace: string): Map<string, Tool> => {
    const found = new Map<string, Tool>();
    for (const tool of options.tools(namespace)) if (!found.has(nameOf(tool))) found.set(nameOf(tool), tool);
    return found;
  };

  const list = ({ namespace }: Asked, { cursor }: Record<string, unknown>) => {
    if (cursor !== undefined && typeof cursor !== 'string')
      throw new RpcError('params', 'the cursor is not one of this server');
    const all = [...toolsOf(namespace)].sort(([a], [b]) => (a < b ? -1 : 1));
    const after = cursor === undefined ? '' : Buffer.from(cursor as string, 'base64url').toString('utf8');
    const rest = all.filter(([name]) => name > after);
    const page = rest.slice(0, LIMITS.page);
    const last = page.at(-1)?.[0];
    return {
      tools: page.map(([name, { description, inputSchema }]) => ({
        name,
        description,
        inputSchema: inputSchema ?? { type: 'object' },
      })),
      ...(rest.length > page.length && last !== undefined
        ? { nextCursor: Buffer.from(last).toString('base64url') }
        : {}),
      ttlMs: LIST_TTL_MS,
      cacheScope: 'public',
    };
  };

  const call = async (asked: Asked, params: Record<string, unknown>) => {
    const { namespace, headers, modern, signal } = asked;
    const { name, arguments: args = {} } = params;
    const tool = typeof name === 'string' ? toolsOf(namespace).get(name) : undefined;
    if (tool === undefined) throw new RpcError('params', `Unknown tool: ${name}`);
    const schema = (tool.inputSchema ?? { type: 'object' }) as Schema;
    if (modern) {
      for (const [path, header] of headerParameters(schema)) {
        const value = valueAt(args, path);
        if (value !== undefined && value !== null) matchHeader(headers, header, value);
      }
    }
    const wrong = violations(schema, args);
    if (wrong.length > 0)
      return { content: [{ type: 'text', text: `Invalid arguments: ${wrong.join('; ')}.` }], isError: true };
    const passed: Record<string, string> = { 'x-petrel-tool': String(name) };
    for (const header of [...PASSED_ON, ...(tool.keyHeader ? [tool.keyHeader.toLowerCase()] : [])]) {
      const value = headers[header];
      if (typeof value === 'string') passed[header] = value;
    }
    const meta = params._meta as { traceparent?: unknown } | undefined;
    if (typeof meta?.traceparent === 'string' && /^[0-9a-f-]{55}$/.test(meta.traceparent))
      passed.traceparent = meta.traceparent;
    try {
      const path = `/fn/${namespace}/${tool.function}/`;
      const result = await options.caller.call({
        ...options.gateway(),
        path,
        headers: passed,
        arguments: args,
        signal,
      });
      // Before 2026-07-28 structured content is an object.
      const { structuredContent: value, ...rest } = result;
      const fits = modern
        ? value !== undefined
        : typeof value === 'object' && value !== null && !Array.isArray(value);
      return fits ? result : rest;
    } catch (error) {
      throw new RpcError('internal', messageOf(error));
    }
  };

  const initialize = (_: Asked, { protocolVersion }: Record<string, unknown>) => ({
    protocolVersion: LEGACY.find((version) => version === protocolVersion) ?? LEGACY[0],
    capabilities: CAPABILITIES,
    serverInfo: SERVER_INFO,
  });
  const discover = () => ({
    supportedVersions: SUPPORTED,
    capabilities: CAPABILITIES,
    ttlMs: LIST_TTL_MS,
    cacheScope: 'public',
  });

  type Method = (asked: Asked, params: Record<string, unknown>) => object | Promise<object>;
  const shared: Record<string, Method> = { 'tools/list': list, 'tools/call': call };
  const METHODS: Record<'modern' | 'legacy', Record<string, Method>> = {
    modern: { ...shared, 'server/discover': discover },
    legacy: { ...shared, initialize, ping: () => ({}) },
  };

  const work = async (request: Request, asked: Asked): Promise<Answer> => {
    if (request.id === undefined) return undefined;
    const methods = METHODS[asked.modern ? 'modern' : 'legacy'];
    const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
    if (method === undefined)
      throw new RpcError('method', `Method not found: ${request.method}`, asked.modern ? 404 : 200);
    const result = await method(asked, request.params);
    if (!asked.modern) return { jsonrpc: '2.0', id: request.id, result };
    const _meta = { 'io.modelcontextprotocol/serverInfo': SERVER_INFO };
    return { jsonrpc: '2.0', id: request.id, result: { resultType: 'complete', ...result, _meta } };
  };

  const answerOne = async (
    message: unknown,
    asked: Omit<Asked, 'modern'>,
  ): Promise<{ status: number; answer: Answer }> => {
    let request: Request | undefined;
    try {
      request = readMessage(message);
      if (request === undefined) return { status: 202, answer: undefined };
      const modern = isModern(request, asked.headers);
      const answer = await work(request, { ...asked, modern });
      return { status: answer === undefined ? 202 : 200, answer };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const { code, message: text, data, status } = error;
      const id = request?.id ?? (message as { id?: unknown } | null)?.id;
      const known = typeof id === 'string' || Number.isInteger(id);
      const failure = { code, message: text, ...(data === undefined ? {} : { data }) };
      return { status, answer: { jsonrpc: '2.0', ...(known ? { id } : {}), error: failure } };
    }
  };

  const send = (response: ServerResponse, status: number, value: unknown) => {
    if (value === undefined) return void response.writeHead(status, { 'content-length': 0 }).end();
    const body = Buffer.from(JSON.stringify(value));
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': body.length,
      'cache-control': 'no-store',
    });
    response.end(body);
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { headers, method, url = '/' } = request;
    const { origin } = headers;
    if (origin !== undefined && !LOOPBACK.test(origin) && !options.origins.includes(origin))
      throw new Refusal(
        'forbidden',
        `pages of ${origin} may not use these tools; PETREL_MCP_ORIGINS names those that may`,
      );
    const namespace = /^\/\.petrel\/mcp(?:\/([a-z0-9-]{1,63})?)?\/?(?:\?|$)/.exec(url);
    if (namespace === null) throw new Refusal('not_found', `tools are at ${TOOLS_PATH}/<namespace>`);
    if (method !== 'POST')
      throw new Refusal(
        'method_not_allowed',
        'messages are sent with POST; there are no streams and no sessions',
        { allow: 'POST' },
      );
    if (!/^application\/json\b/i.test(headers['content-type'] ?? ''))
      throw new Refusal('bad_request', 'messages are application/json');
    const body = await readBody(request, LIMITS.body);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const asked = { namespace: namespace[1] ?? 'default', headers, signal: gone.signal };
    let message: unknown;
    try {
      message = JSON.parse(body.toString('utf8'));
    } catch (error) {
      const failure = { code: -32_700, message: `the message is not JSON: ${messageOf(error)}` };
      return send(response, 400, { jsonrpc: '2.0', error: failure });
    }
    // Several messages at once are of revision 2025-03-26 alone.
    const version = headers['mcp-protocol-version'] ?? '2025-03-26';
    if (
      Array.isArray(message) &&
      version === '2025-03-26' &&
      message.length > 0 &&
      message.length <= LIMITS.batch
    ) {
      const all = await Promise.all(message.map((one) => answerOne(one, asked)));
      const answers = all.flatMap(({ answer }) => (answer === undefined ? [] : [answer]));
      return send(response, answers.length > 0 ? 200 : 202, answers.length > 0 ? answers : undefined);
    }
    const { status, answer } = await answerOne(message, asked);
    send(response, status, answer);
  };
}
