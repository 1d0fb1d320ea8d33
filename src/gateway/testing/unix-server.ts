/** An HTTP/1.1 server on a unix socket, as the platform's own parts and some runtimes have one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointAddress } from '../contract.ts';

export interface UnixServer {
  address: EndpointAddress & { kind: 'http1-unix' };
  server: Server;
  sockets: Set<Socket>;
  /** Stops it; `listen` brings it back at the same place. */
  stop(): Promise<void>;
  listen(): Promise<void>;
  close(): Promise<void>;
}

export async function startUnixServer(handler: RequestListener): Promise<UnixServer> {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-ux-'));
  const path = join(dir, 'h.sock');
  const server = createServer(handler);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  const listen = () => new Promise<void>((resolve) => server.listen(path, resolve));
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  await listen();
  return {
    address: { kind: 'http1-unix', path },
    server,
    sockets,
    listen,
    stop,
    close: async () => {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
