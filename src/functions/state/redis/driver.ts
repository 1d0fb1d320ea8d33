/** Keyed state on a Redis server. How durable an acknowledged write is, is the server's `appendfsync`. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { PetrelError } from '../../../base/errors.ts';
import type { Entry, KeyedState, Refused } from '../types.ts';
import { redisConnection } from './connection.ts';
import { type Reply, RespError } from './resp.ts';
import { DELETE, INCREMENT, LIST, PUT } from './scripts.ts';

const REFUSALS: Record<number, Refused['refused']> = {
  [-1]: 'condition',
  [-2]: 'full',
  [-3]: 'not_a_number',
};
const DIGESTS = new Map(
  [PUT, DELETE, INCREMENT, LIST].map((script) => [script, createHash('sha1').update(script).digest('hex')]),
);

const text = (reply: Reply | undefined): string =>
  Buffer.isBuffer(reply) ? reply.toString('utf8') : String(reply);

/** Connects, and asks once whether the server answers. Rejects with `PetrelError`. */
export async function openRedis(url: string, clock: Clock): Promise<KeyedState> {
  const connection = redisConnection(url);
  const told = (error: unknown) =>
    error instanceof RespError
      ? new PetrelError(
          error.message.startsWith('OOM') ? 'DiskFull' : 'Internal',
          `Redis answered: ${error.message}`,
        )
      : error;
  const run = async (
    script: string,
    space: string,
    ...args: (string | number | Uint8Array)[]
  ): Promise<Reply> => {
    // One slot for a space, where the server is a cluster.
    const rest = [1, `petrel:{${space}}`, clock.now(), ...args] as const;
    try {
      return await connection.send('EVALSHA', DIGESTS.get(script) ?? '', ...rest).catch((error) => {
        if (!(error instanceof RespError) || !error.message.startsWith('NOSCRIPT')) throw error;
        return connection.send('EVAL', script, ...rest);
      });
    } catch (error) {
      throw told(error);
    }
  };
  const written = (reply: Reply): { version: string; created: boolean } | Refused => {
    const [version = 0, created] = reply as number[];
    const refused = REFUSALS[version];
    return refused === undefined ? { version: String(version), created: created === 1 } : { refused };
  };
  const toEntry = (key: string, [value, type, version, expires]: Reply[]): Entry => ({
    key,
    value: value as Buffer,
    type: text(type),
    version: text(version),
    ...(text(expires) === '' ? {} : { expires: Number(text(expires)) }),
  });

  await connection.send('PING').catch((error) => {
    connection.close();
    throw told(error);
  });

  return {
    async get(space, key) {
      const fields = (await connection
        .send('HMGET', `petrel:{${space}}:v:${key}`, 'v', 't', 'n', 'e')
        .catch((error) => {
          throw told(error);
        })) as Reply[];
      if (fields[2] === null) return undefined;
      const entry = toEntry(key, fields);
      return entry.expires !== undefined && entry.expires <= clock.now() ? undefined : entry;
    },
    async put(space, key, { value, type, expires, condition: { match = '', absent }, maxKeys }) {
      return written(await run(PUT, space, key, match, absent ? 1 : 0, maxKeys, value, type, expires ?? ''));
    },
    async delete(space, key, { match = '', absent }) {
      const reply = await run(DELETE, space, key, match, absent ? 1 : 0);
      return reply === -1 ? { refused: 'condition' } : reply === 1 ? true : undefined;
    },
    async increment(space, key, by, { expires, maxKeys }) {
      const reply = await run(INCREMENT, space, key, String(by), maxKeys, expires ?? '');
      const result = written(reply);
      return 'refused' in result ? result : { ...result, value: BigInt(text((reply as Reply[])[2])) };
    },
    async list(space, { prefix, after, limit }) {
      const min = after !== undefined && after >= prefix ? `(${after}` : `[${prefix}`;
      const max = prefix === '' ? '+' : Buffer.concat([Buffer.from(`(${prefix}`), Buffer.from([0xff])]);
      const flat = (await run(
        LIST,
        space,
        '',
        prefix === '' && after === undefined ? '-' : min,
        max,
        limit,
      )) as Reply[];
      return Array.from({ length: flat.length / 5 }, (_, i) =>
        toEntry(text(flat[i * 5]), flat.slice(i * 5 + 1, i * 5 + 5)),
      );
    },
    async close() {
      connection.close();
    },
  };
}
