/** HTTP servers of the platform on unix sockets that only its user can open: the gateway leads requests to them. */
import { chmod, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from '../base/http.ts';
import type { Logger } from '../base/log.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export interface UnixServer {
  /** Stops accepting and ends open exchanges. */
  close(): Promise<void>;
}

/**
 * Listens. A socket file left by a dead platform is replaced. What answers failures is loaded with the first request, as
 * is whatever `handler` needs.
 */
export async function listenUnix(path: string, handler: Handler, log: Logger): Promise<UnixServer> {
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
    handler(request, response).catch(async (error) => {
      const { answerFailure } = await import('./invocations/answers.ts');
      answerFailure(request, response, error, log);
    });
  });
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
