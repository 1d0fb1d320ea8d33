/** How sources and sinks reach NATS. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { NatsConnection } from '../../clients/nats/index.ts';
import type { Fields, Read } from './fields.ts';
import { onCut } from './leave.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const NATS_FIELDS = {
  servers: { is: 'texts', required: true, what: 'servers to begin with, `host:port` or `nats://host:port`' },
  username: { is: 'text', what: 'the user’s name' },
  password: { is: 'text', what: 'the user’s password' },
  token: { is: 'text', what: 'a token instead of name and password' },
  credentials: { is: 'text', what: 'the text of a credentials file (JWT and seed) instead of a password' },
  tls: { is: 'group', what: 'TLS; absent: as the server asks for it', fields: TLS_FIELDS },
} as const satisfies Fields;

type Client = typeof import('../../clients/nats/index.ts');

/** Where the sockets go that are made while the client connects: it gives up one whose server does not answer, and leaves it open. */
let making: AsyncLocalStorage<Set<Socket>> | undefined;
function watchSockets(): AsyncLocalStorage<Set<Socket>> {
  const storage = new AsyncLocalStorage<Set<Socket>>();
  subscribe('net.client.socket', (message) => {
    storage.getStore()?.add((message as { socket: Socket }).socket);
  });
  return storage;
}

/** A connection that does not come back by itself: who uses it begins anew, and says so. It ends when `cut` aborts, whatever its server does. */
export async function connectNats(
  client: Client,
  config: Read<typeof NATS_FIELDS>,
  name: string,
  cut?: AbortSignal,
): Promise<NatsConnection> {
  cut?.throwIfAborted();
  making ??= watchSockets();
  const sockets = new Set<Socket>();
  const destroy = () => {
    for (const socket of sockets) socket.destroy();
  };
  onCut(cut, destroy);
  try {
    return await making.run(sockets, () => open(client, config, name));
  } catch (error) {
    destroy();
    throw error;
  }
}

function open(client: Client, config: Read<typeof NATS_FIELDS>, name: string): Promise<NatsConnection> {
  const { ca, cert, key } = tlsOptions(config.tls) ?? {};
  return client.connect({
    servers: [...config.servers],
    name,
    reconnect: false,
    timeout: 5000,
    pingInterval: 20_000,
    ...(config.username === undefined ? {} : { user: config.username, pass: config.password }),
    ...(config.token === undefined ? {} : { token: config.token }),
    ...(config.credentials === undefined
      ? {}
      : { authenticator: client.credsAuthenticator(Buffer.from(config.credentials)) }),
    ...(config.tls?.enabled
      ? {
          tls: {
            ca: ca as string | undefined,
            cert: cert as string | undefined,
            key: key as string | undefined,
          },
        }
      : {}),
  });
}

/** What NATS is called in messages; an address may have a password in it. */
export const natsName = (config: Read<typeof NATS_FIELDS>): string =>
  `NATS at ${config.servers.map((server) => server.replace(/^(\w+:\/\/)?[^@/]*@/, '$1')).join(', ')}`;
