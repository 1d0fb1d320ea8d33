/** HTTP servers of the platform on unix sockets that only its user can open: the gateway leads requests to them. */
import { chmod, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from './http.ts';

/** Answers one request, failures included. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface UnixServer {
  /** Stops accepting and ends open exchanges. */
  close(): Promise<void>;
}

/** Listens. A socket file left by a dead platform is replaced. */
export async function listenUnix(path: string, handler: Handler): Promise<UnixServer> {
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, handler);
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
