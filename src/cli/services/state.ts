/** A function's state for commands: by the interface that its instances use, with a token of the platform. */
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { type ErrorCode, PetrelError } from '../../base/errors.ts';
import { request } from '../../base/http.ts';
import { askPlatform } from '../../functions/packages/client.ts';
import type { CommandContext } from '../command.ts';

/** One key as lists show it. */
export interface StateItem {
  key: string;
  etag: string;
  bytes: number;
  type: string;
  expiresAt?: string;
}

export interface StateClient {
  /** The answer, not read yet. Throws `PetrelError` for one that is no success. */
  send(
    method: string,
    key: string,
    options?: { body?: Buffer; type?: string; ttl?: number },
  ): Promise<IncomingMessage>;
  /** Keys that begin with `prefix`, at most `limit`. */
  list(prefix: string, limit: number): Promise<StateItem[]>;
}

const CODES: Record<number, [code: ErrorCode, fix: string]> = {
  404: ['NotFound', 'petrel state list <function> shows the keys'],
  413: ['InvalidArgument', 'raise spec.state.maxValueBytes, or keep it as a blob: --blob'],
  507: ['DiskFull', 'delete keys, raise spec.state.maxKeys, or free some space on the disk'],
};

/** Opens the state of a function. Throws `PetrelError` when it has none. */
export async function openState(
  { args, home }: CommandContext,
  name: string,
  blobs: boolean,
): Promise<StateClient> {
  const target = `${args.text('namespace') ?? 'default'}/${name}`;
  const access = await askPlatform<{ PETREL_STATE_URL: string; PETREL_STATE_TOKEN: string }>(
    home.socket,
    'GET',
    `/state/access?${new URLSearchParams({ function: target })}`,
  );
  const kind = blobs ? 'blobs' : 'kv';
  const ask = async (
    method: string,
    path: string,
    body?: Buffer,
    type?: string,
  ): Promise<IncomingMessage> => {
    const answered = Promise.withResolvers<IncomingMessage>();
    const outgoing = request(
      `${access?.PETREL_STATE_URL}/${kind}${path}`,
      { method, agent: false },
      answered.resolve,
    );
    outgoing.on('error', answered.reject);
    outgoing.setHeader('authorization', `Bearer ${access?.PETREL_STATE_TOKEN}`);
    if (type !== undefined) outgoing.setHeader('content-type', type);
    if (body !== undefined) outgoing.setHeader('content-length', body.length);
    outgoing.end(body);
    const response = await answered.promise;
    const status = response.statusCode ?? 0;
    if (status < 300) return response;
    const said = JSON.parse(await text(response)) as { message: string };
    const [code, fix] = CODES[status] ?? ['InvalidArgument', 'petrel state --help'];
    throw new PetrelError(code, said.message, { why: `the platform answered ${status}`, fix });
  };
  return {
    send(method, key, { body, type, ttl } = {}) {
      const query = ttl === undefined ? '' : `?ttl=${ttl}`;
      return ask(
        method,
        `/${encodeURIComponent(key)}${query}`,
        body,
        type ?? (body && 'text/plain; charset=utf-8'),
      );
    },
    async list(prefix, limit) {
      const items: StateItem[] = [];
      let after: string | undefined;
      do {
        const query = new URLSearchParams({ prefix, limit: String(Math.min(limit - items.length, 1000)) });
        if (after !== undefined) query.set('after', after);
        const page = JSON.parse(await text(await ask('GET', `?${query}`))) as {
          items: StateItem[];
          after?: string;
        };
        items.push(...page.items);
        ({ after } = page);
      } while (after !== undefined && items.length < limit);
      return items;
    },
  };
}
