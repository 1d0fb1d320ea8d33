/** An API server over a real store in a directory of its own, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../base/log.ts';
import { builtinRegistry } from '../../kinds/registry.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import type { Store } from '../store/contract.ts';
import { openStore, type StoreOptions } from '../store/store.ts';
import { bootstrap } from './bootstrap.ts';
import { MASTERS, type User } from './context.ts';
import { type ApiServer, createApiServer } from './server.ts';

export const ADMIN: User = { name: 'admin', groups: [MASTERS] };

export interface Answer {
  code: number;
  headers: Record<string, string>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

export interface TestApi {
  store: Store;
  server: ApiServer;
  /** Sends one request; a body that is no string is sent as JSON. */
  call(
    method: KubeRequest['method'],
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    user?: User,
  ): Promise<Answer>;
  /** Events of a watch, as they come. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind
  watch(path: string, signal?: AbortSignal, headers?: Record<string, string>): AsyncGenerator<any>;
  /** Closes server and store and removes the directory. */
  close(): Promise<void>;
}

/** Starts with the system namespaces in place. */
export async function createTestApi(options: Partial<StoreOptions> = {}): Promise<TestApi> {
  const directory = mkdtempSync(join(tmpdir(), 'petrel-api-'));
  const store = openStore({ path: join(directory, 'state.db'), log: silentLogger, ...options });
  const registry = builtinRegistry();
  const server = createApiServer({ store, registry, log: silentLogger, clock: options.clock });
  await bootstrap(server, store, registry);
  return {
    store,
    server,
    async call(method, path, body, headers = {}, user = ADMIN) {
      const raw = typeof body === 'string' || body instanceof Uint8Array;
      const response = await server.handle(
        {
          method,
          path,
          headers: body === undefined || raw ? headers : { 'content-type': 'application/json', ...headers },
          body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
        },
        user,
      );
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.body) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      const isJson = text !== '' && (response.headers['content-type']?.includes('json') ?? false);
      return {
        code: response.status,
        headers: response.headers,
        text,
        body: isJson ? JSON.parse(text) : text,
      };
    },
    async *watch(path, signal, headers = {}) {
      const response = await server.handle({ method: 'GET', path, headers, signal }, ADMIN);
      let rest = '';
      for await (const chunk of response.body) {
        const lines = (rest + Buffer.from(chunk).toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) yield JSON.parse(line);
      }
    },
    async close() {
      server.close();
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
}
