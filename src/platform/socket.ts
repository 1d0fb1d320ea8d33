/** What the platform's own socket answers besides packages: is it there, and stop. */
import type { IncomingMessage } from 'node:http';
import type { Logger } from '../base/log.ts';
import {
  type PackageServer,
  type SocketRoute,
  sendJson,
  servePackages,
} from '../functions/packages/server.ts';
import type { PackageStore } from '../functions/packages/store.ts';
import type { HomePaths, PlatformRecord } from './home.ts';

export interface SocketOptions {
  home: HomePaths;
  packages: PackageStore;
  record: PlatformRecord;
  log: Logger;
  /** Further rows. */
  routes: SocketRoute[];
  shutdown(graceMs?: number): void;
}

/** Listens. The caller holds the home's lock, so a socket that is there already was left by a process that is dead. */
export function openSocket({
  home,
  packages,
  record,
  log,
  shutdown,
  ...more
}: SocketOptions): Promise<PackageServer> {
  const routes: SocketRoute[] = [
    ...more.routes,
    { method: 'GET', path: '/status', handle: (_, response) => sendJson(response, 200, record) },
    {
      method: 'POST',
      path: '/shutdown',
      handle(request, response) {
        response.once('close', () => shutdown(graceOf(request)));
        sendJson(response, 202, { stopping: record.pid });
      },
    },
  ];
  return servePackages({ socketPath: home.socket, store: packages, routes, log });
}

/** `?graceMs=<milliseconds>`; anything else is no wish. */
function graceOf(request: IncomingMessage): number | undefined {
  const text = new URL(request.url ?? '/', 'http://platform').searchParams.get('graceMs') ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
