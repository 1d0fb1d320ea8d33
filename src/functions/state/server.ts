/** The HTTP interface that instances reach their state by: on loopback, with a token that names the keyspace. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { createServer } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import type { FunctionState } from '../../kinds/function.ts';
import { answerFailure, Refusal } from '../invocations/answers.ts';
import { answerBlobs } from './blobs.ts';
import { answerKeys } from './keys.ts';
import { keyOf } from './requests.ts';
import { type Holder, holderOf } from './token.ts';
import type { BlobState, KeyedState } from './types.ts';

export interface StateServerOptions {
  keyed: KeyedState;
  blobs: BlobState;
  secret: string;
  clock: Clock;
  log: Logger;
  /** What a function says of its state now; undefined when it has none any more. */
  terms(holder: Holder): FunctionState | undefined;
}

export interface StateServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Bytes of values that are being received or written. */
const MEMORY = 64 * 1024 * 1024;

/** Works on one request; rejects with `Refusal` or `PetrelError`. */
export function stateHandler(options: StateServerOptions) {
  const { keyed, blobs, secret, clock } = options;
  let held = 0;
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const bearer = /^Bearer ([\w.-]{1,512})$/i.exec(request.headers.authorization ?? '')?.[1];
    if (bearer === undefined)
      throw new Refusal('unauthorized', 'send Authorization: Bearer $PETREL_STATE_TOKEN', {
        'www-authenticate': 'Bearer',
      });
    const holder = holderOf(secret, bearer);
    const terms = holder && options.terms(holder);
    if (holder === undefined || terms === undefined)
      throw new Refusal('forbidden', 'the token is not one of a function that has state');
    const url = request.url ?? '/';
    const cut = url.indexOf('?');
    const path = cut < 0 ? url : url.slice(0, cut);
    const [, kind, , encoded = ''] = /^\/v1\/(kv|blobs)(\/(.*))?$/s.exec(path) ?? [];
    if (kind === undefined) throw new Refusal('not_found', 'there are /v1/kv/<key> and /v1/blobs/<key>');
    let mine = 0;
    const hold = (bytes: number) => {
      if (held + bytes > MEMORY)
        throw new Refusal('not_ready', 'too many values are being written at once', { 'retry-after': '1' });
      held += bytes;
      mine += bytes;
    };
    const asked = {
      hold,
      request,
      method: request.method ?? 'GET',
      key: keyOf(encoded),
      query: new URLSearchParams(cut < 0 ? '' : url.slice(cut + 1)),
      space: `${holder.namespace}/${holder.keyspace}`,
      terms,
      now: clock.now(),
    };
    try {
      await (kind === 'kv' ? answerKeys(keyed, asked, response) : answerBlobs(blobs, asked, response));
    } finally {
      held -= mine;
    }
  };
}

/** Listens on loopback: on `port` when it is free, so that instances which outlive the platform find it again, else on any. */
export async function serveState(options: StateServerOptions, port: number): Promise<StateServer> {
  const handle = stateHandler(options);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (request, response) => {
    handle(request, response).catch((error) => answerFailure(request, response, error, options.log));
  });
  const listen = (on: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(on, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen(port).catch((error: NodeJS.ErrnoException) => {
    if (port === 0 || error.code !== 'EADDRINUSE') throw error;
    return listen(0);
  });
  server.unref();
  return {
    port: (server.address() as { port: number }).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
