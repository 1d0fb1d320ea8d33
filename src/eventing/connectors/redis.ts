/** How sources and sinks reach Redis. */
import type { ConnectionOptions } from 'node:tls';
import type { Fields, Read } from './fields.ts';
import { onCut } from './leave.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const REDIS_FIELDS = {
  address: {
    is: 'text',
    required: true,
    form: /^[^@\s/]+:\d+$/,
    formHint: 'must be host:port',
    what: 'the server, `host:port`',
  },
  username: { is: 'text', what: 'the user’s name' },
  password: { is: 'text', what: 'the user’s password' },
  database: { is: 'count', min: 0, max: 10_000, default: 0, what: 'the number of the database' },
  tls: { is: 'group', what: 'TLS; absent: none', fields: TLS_FIELDS },
} as const satisfies Fields;

type Client = typeof import('../../clients/redis/index.ts');

/** What a command answers: bytes, numbers, lists of them. */
export type Reply = Buffer | string | number | null | Reply[];

/** One connection that does not come back by itself. */
export interface RedisConnection {
  /** Sends one command and answers its reply, texts as bytes. */
  run(...args: (string | Buffer)[]): Promise<Reply>;
  /** Resolves with why, when the connection is gone. */
  readonly gone: Promise<Error>;
  close(): void;
}

export async function connectRedis(
  client: Client,
  config: Read<typeof REDIS_FIELDS>,
  cut?: AbortSignal,
): Promise<RedisConnection> {
  cut?.throwIfAborted();
  const at = config.address.lastIndexOf(':');
  const tls: ConnectionOptions | undefined = tlsOptions(config.tls);
  const redis = client.createClient({
    RESP: 2,
    socket: {
      host: config.address.slice(0, at),
      port: Number(config.address.slice(at + 1)),
      reconnectStrategy: false,
      connectTimeout: 5000,
      ...(tls === undefined ? {} : { ...tls, tls: true as const }),
    },
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    database: config.database,
  });
  const gone = new Promise<Error>((resolve) => {
    redis.on('error', resolve);
    redis.on('end', () => resolve(new Error('the connection was closed')));
  });
  onCut(cut, () => redis.destroy());
  await redis.connect();
  const typeMapping = { [client.RESP_TYPES.BLOB_STRING]: Buffer };
  return {
    run: (...args) => redis.sendCommand(args, { typeMapping }) as Promise<Reply>,
    gone,
    close() {
      if (redis.isOpen) redis.destroy();
    },
  };
}

export const redisName = (config: Read<typeof REDIS_FIELDS>): string => `Redis at ${config.address}`;
