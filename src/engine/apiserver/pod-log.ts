/** A container's log, passed through from the node's agent as it comes. */
import type { IncomingMessage } from 'node:http';
import { request as send } from '../../base/http.ts';
import type { KubeResponse } from '../../kube/transport.ts';

export interface LogSource {
  host: string;
  port: number;
  token: string;
  /** Path and query. */
  path: string;
  signal: AbortSignal | undefined;
}

/** How long the agent may take to begin its answer. */
const ANSWER_TIMEOUT = 10_000;

/** Rejects when the agent cannot be reached; its refusals are answers like any other. */
export async function fetchLog({ host, port, token, path, signal }: LogSource): Promise<KubeResponse> {
  const request = send({
    host,
    port,
    path,
    headers: { authorization: `Bearer ${token}` },
    agent: false,
    signal,
  });
  const answered = Promise.withResolvers<IncomingMessage>();
  const timer = setTimeout(() => request.destroy(new Error('no answer in time')), ANSWER_TIMEOUT);
  request.once('response', answered.resolve);
  // Stays for the whole exchange: a connection that breaks later ends the body.
  request.on('error', answered.reject);
  request.end();
  const response = await answered.promise.finally(() => clearTimeout(timer));
  return {
    status: response.statusCode ?? 502,
    headers: { 'content-type': response.headers['content-type'] ?? 'text/plain; charset=utf-8' },
    body: untilEnd(response, signal),
  };
}

async function* untilEnd(
  response: IncomingMessage,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array;
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    response.destroy();
  }
}
