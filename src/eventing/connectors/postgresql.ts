/** How sources and sinks reach PostgreSQL. */
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { ClientConfig } from '../../clients/postgresql/index.ts';
import type { Fields, Read } from './fields.ts';
import { onCut } from './leave.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const POSTGRESQL_FIELDS = {
  address: {
    is: 'text',
    required: true,
    form: /^[^@\s/]+:\d+$/,
    formHint: 'must be host:port',
    what: 'the server, `host:port`',
  },
  database: { is: 'text', required: true, what: 'the database' },
  username: { is: 'text', required: true, what: 'the user’s name' },
  password: { is: 'text', what: 'the user’s password' },
  tls: { is: 'group', what: 'TLS; absent: none', fields: TLS_FIELDS },
} as const satisfies Fields;

type Library = typeof import('../../clients/postgresql/index.ts');

/** The connection ends when `cut` aborts, whatever the server does. */
export function postgresqlOptions(
  config: Read<typeof POSTGRESQL_FIELDS>,
  name: string,
  cut?: AbortSignal,
): ClientConfig {
  const at = config.address.lastIndexOf(':');
  const tls = tlsOptions(config.tls);
  return {
    host: config.address.slice(0, at),
    port: Number(config.address.slice(at + 1)),
    database: config.database,
    user: config.username,
    password: config.password ?? '',
    application_name: name.slice(0, 63),
    connectionTimeoutMillis: 5000,
    keepAlive: true,
    stream: () => {
      const socket = new Socket();
      onCut(cut, () => socket.destroy());
      return socket;
    },
    ...(tls === undefined ? {} : { ssl: tls }),
  };
}

type Row = Record<string, unknown>;

export interface PostgresqlConnection {
  /** Queries go one after the other. */
  query(text: string, values?: unknown[]): Promise<Row[]>;
  /** Told of each NOTIFY on a channel that is listened to. */
  onNotification(told: () => void): void;
  /** Rejects when the connection is lost; it does not come back by itself. */
  readonly lost: Promise<never>;
  close(): Promise<void>;
}

export async function connectPostgresql(
  library: Library,
  config: Read<typeof POSTGRESQL_FIELDS>,
  name: string,
  cut?: AbortSignal,
): Promise<PostgresqlConnection> {
  cut?.throwIfAborted();
  const client = new library.Client(postgresqlOptions(config, name, cut));
  const lost = new Promise<never>((_, reject) => {
    client.on('error', reject);
    client.on('end', () => reject(new Error('the connection was closed')));
  });
  lost.catch(() => {});
  await client.connect();
  let last: Promise<unknown> = Promise.resolve();
  return {
    query(text, values) {
      const mine = last.then(async () => (await client.query<Row>(text, values)).rows);
      last = mine.catch(() => {});
      return mine;
    },
    onNotification(told) {
      client.on('notification', told);
    },
    lost,
    async close() {
      // One that is broken may never say so.
      await Promise.race([client.end(), pause(1000, undefined, { ref: false })]).catch(() => {});
    },
  };
}

export const postgresqlName = (config: Read<typeof POSTGRESQL_FIELDS>): string =>
  `PostgreSQL at ${config.address}/${config.database}`;

/** An identifier, quoted. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** The name of a table, with its schema where it is written, quoted. */
export const tableName = (name: string): string => name.split('.').map(identifier).join('.');

/** The reason of an error that the server's codes tell (SQLSTATE). */
export function postgresqlReason(error: unknown): string | undefined {
  const code = String((error as { code?: unknown }).code);
  if (code === '42P01') return 'TableNotFound';
  if (code === '42703') return 'ColumnNotFound';
  if (code === '42704') return 'NotFound';
  if (code === '42501' || code.startsWith('28')) return 'Unauthorized';
  return code === '55006' ? 'SlotInUse' : undefined;
}
