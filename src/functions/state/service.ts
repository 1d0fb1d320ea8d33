/** State as a service of the platform: begins with the first function that has `spec.state`. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { FunctionState } from '../../kinds/function.ts';
import { sendJson } from '../packages/server.ts';
import type { FunctionService, ServiceContext } from '../services/contract.ts';
import { openContents, openKeyed } from './backend.ts';
import { openBlobs } from './blob-rows.ts';
import { type StateServer, serveState } from './server.ts';
import { tokenFor } from './token.ts';
import type { BlobState, KeyedState } from './types.ts';

/** Folder of the home. */
const FOLDER = 'function-state';

export function createStateService(context: ServiceContext): FunctionService {
  const { functions, secret, clock, stateBackend } = context;
  const log = context.log.with({ component: 'state' });
  const dir = join(context.dir, FOLDER);
  let server: StateServer | undefined;
  let opened: { keyed: KeyedState; blobs: BlobState } | undefined;

  const termsOf = (namespace: string, name: string): FunctionState | undefined =>
    functions.get(namespace, name)?.spec.state;
  const env = (namespace: string, name: string, keyspace: string): Record<string, string> => ({
    PETREL_STATE_URL: `http://127.0.0.1:${server?.port}/v1`,
    PETREL_STATE_TOKEN: tokenFor(secret, { namespace, function: name, keyspace }),
  });

  return {
    routes: [
      {
        method: 'GET',
        path: '/state/access',
        handle(request, response) {
          const target = new URL(request.url ?? '/', 'http://platform').searchParams.get('function') ?? '';
          const [namespace = '', name = ''] = target.split('/');
          const terms = termsOf(namespace, name);
          if (terms === undefined)
            throw new PetrelError('NotFound', `The function "${target}" has no state.`, {
              why: 'There is no such function, or it has no spec.state.',
              fix: `petrel list -n ${namespace} shows what there is; petrel deploy <source> --name ${name} --state own gives it one.`,
            });
          sendJson(response, 200, env(namespace, name, terms.keyspace ?? name));
        },
      },
    ],
    env,
    seen() {},
    gone() {},
    async start() {
      const contents = await openContents(context.blobsBackend, { dir, env: process.env, clock });
      const { blobs, keyed: embedded } = await openBlobs({ dir, contents, clock, log });
      let keyed: KeyedState = embedded;
      if (stateBackend !== undefined) keyed = await openKeyed(stateBackend, clock);
      opened = { keyed, blobs };
      const file = join(dir, 'port');
      const before = Number(await readFile(file, 'latin1').catch(() => '0'));
      server = await serveState(
        {
          keyed,
          blobs,
          secret,
          clock,
          log,
          terms(holder) {
            const terms = termsOf(holder.namespace, holder.function);
            // A function that has moved to another keyspace has nothing to do with the old one any more.
            return terms && (terms.keyspace ?? holder.function) === holder.keyspace ? terms : undefined;
          },
        },
        Number.isInteger(before) && before > 0 && before < 65_536 ? before : 0,
      );
      if (server.port !== before) await writeFile(file, String(server.port), { mode: 0o600 });
    },
    async stop() {
      await server?.close();
      await opened?.keyed.close();
      await opened?.blobs.close();
    },
  };
}
