/** Calling the function behind a tool, and its answer as a tool's result. */
import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import { messageOf } from '../../base/errors.ts';
import { Agent, request } from '../../base/http.ts';
import { bodyAsJson } from '../invocations/body.ts';

/** Bytes of an answer that a model is given; more is cut off and said to be. */
const ANSWER_LIMIT = 4 * 1024 * 1024;
/** Idle connections to the gateway are closed after this time, ms. */
const KEEP_ALIVE_MS = 2000;

/** What a model gets. Source: MCP, `CallToolResult`. */
export interface ToolResult {
  content: Record<string, unknown>[];
  structuredContent?: unknown;
  isError?: boolean;
}

export interface Call {
  host: string;
  port: number;
  /** `/fn/<namespace>/<name>/`. */
  path: string;
  headers: Record<string, string>;
  arguments: unknown;
  signal: AbortSignal;
}

const text = (value: string): Record<string, unknown> => ({ type: 'text', text: value });
const CONTENT = new Set(['text', 'image', 'audio', 'resource', 'resource_link']);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a function has answered with a tool's result of its own making. */
function isResult(value: unknown): value is Record<string, unknown> & ToolResult {
  return (
    isObject(value) &&
    Array.isArray(value.content) &&
    value.content.length > 0 &&
    value.content.every((item) => isObject(item) && CONTENT.has(String(item.type)))
  );
}

/** What an answer of a function means to a model. */
export function resultOf(answer: { status: number; type: string; body: Buffer; cut: boolean }): ToolResult {
  const { status, body, cut } = answer;
  const type = (answer.type.split(';')[0] ?? '').trim().toLowerCase();
  if (status >= 400) {
    const said = body.toString('utf8').trim();
    return {
      content: [text(said === '' ? `the function answered ${status}` : `${status}: ${said}`)],
      isError: true,
    };
  }
  if (cut) return { content: [text(`the answer has more than ${ANSWER_LIMIT} bytes`)], isError: true };
  if (body.length === 0) return { content: [] };
  if (type === 'application/json' || type.endsWith('+json')) {
    try {
      const value: unknown = JSON.parse(body.toString('utf8'));
      if (isResult(value)) {
        const { content, structuredContent, isError } = value;
        return {
          content,
          ...(structuredContent === undefined ? {} : { structuredContent }),
          ...(isError === true ? { isError } : {}),
        };
      }
      return { content: [text(body.toString('utf8'))], structuredContent: value };
    } catch {
      // Not what it says it is: text, then.
    }
  }
  const medium = /^(image|audio)\//.exec(type)?.[1];
  if (medium) return { content: [{ type: medium, data: body.toString('base64'), mimeType: type }] };
  const told = bodyAsJson(body);
  if ('body' in told) return { content: [text(told.body)] };
  const resource = { uri: 'result:', mimeType: type || 'application/octet-stream', blob: told.bodyBase64 };
  return { content: [{ type: 'resource', resource }] };
}

export interface Caller {
  /** Rejects when the gateway gives no answer, and when `signal` aborts. */
  call(call: Call): Promise<ToolResult>;
  close(): void;
}

export function createCaller(): Caller {
  const agent: HttpAgent = new Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS });
  return {
    async call({ host, port, path, headers, arguments: args, signal }) {
      const body = Buffer.from(JSON.stringify(args));
      const answered = Promise.withResolvers<IncomingMessage>();
      const outgoing = request(
        {
          host,
          port,
          path,
          agent,
          method: 'POST',
          signal,
          headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length },
        },
        answered.resolve,
      );
      outgoing.on('error', answered.reject);
      outgoing.end(body);
      const response = await answered.promise.catch((error) => {
        throw new Error(`the gateway gave no answer: ${messageOf(error)}`, { cause: error });
      });
      const parts: Buffer[] = [];
      let length = 0;
      for await (const part of response as AsyncIterable<Buffer>) {
        length += part.length;
        if (length <= ANSWER_LIMIT) parts.push(part);
      }
      return resultOf({
        status: response.statusCode ?? 0,
        type: response.headers['content-type'] ?? '',
        body: Buffer.concat(parts),
        cut: length > ANSWER_LIMIT,
      });
    },
    close: () => agent.destroy(),
  };
}
