/** Keyed state in PostgreSQL: one connection, statements one after the other, opened again when it breaks. */
import { Socket } from 'node:net';
import { type Clock, sleep } from '../../../base/clock.ts';
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { loadClient } from '../../../clients/load.ts';
import type { Client } from '../../../clients/postgresql/index.ts';
import type { Entry, KeyedState, Refused, Written } from '../types.ts';
import { SCHEMA } from './schema.ts';

/** A statement that takes longer is given up, ms. */
const LIMIT_MS = 10_000;
/** What a connection may take to end, ms; one that stands still never says that it has. */
const LEAVE_MS = 2000;
/** SQLSTATE classes: no room, or the server ran out of something. */
const FULL = /^53/;
/** Classes that end the connection: it failed, or an operator ended it. */
const LOST = /^(08|57P)/;

interface Row {
  key: string;
  value: Buffer;
  type: string;
  version: string;
  expires: string | null;
}

interface Outcome {
  outcome: 'done' | 'nothing' | Refused['refused'];
  version: string;
  created: boolean;
  value: Buffer | null;
}

const toEntry = ({ key, value, type, version, expires }: Row): Entry => ({
  key,
  value,
  type,
  version,
  ...(expires === null ? {} : { expires: Number(expires) }),
});

/** The first text after all that begin with `prefix`, by code units of UTF-8; empty: there is none. */
function after(prefix: string): Buffer | undefined {
  const bytes = Buffer.from(prefix);
  for (let end = bytes.length; end > 0; end--)
    if ((bytes[end - 1] ?? 255) < 255)
      return Buffer.concat([bytes.subarray(0, end - 1), Buffer.from([(bytes[end - 1] ?? 0) + 1])]);
  return undefined;
}

/** Opens it and makes what it needs there. Throws `PetrelError` `NotReady` or `InvalidArgument`. */
export async function openPostgresql(url: string, clock: Clock): Promise<KeyedState> {
  const { Client: Connection } = await loadClient('postgresql');
  const told = (error: unknown): PetrelError => {
    const { code = '' } = error as { code?: string };
    if (FULL.test(code))
      return new PetrelError('DiskFull', `PostgreSQL has no room: ${messageOf(error)}`, {
        fix: 'Give the database more room.',
        cause: error,
      });
    return new PetrelError('NotReady', 'the PostgreSQL server that keeps state does not do its work', {
      why: messageOf(error) || code,
      fix: 'Start it, or correct PETREL_STATE_BACKEND.',
      cause: error,
    });
  };

  let opened: Client | undefined;
  /** Of the newest connection, also one that is being made. */
  let newest = new Socket();
  let closed = false;
  const drop = (client: Client) => {
    if (opened === client) opened = undefined;
  };
  const connection = async (): Promise<Client> => {
    if (closed) throw new PetrelError('NotReady', 'the platform is stopping', { fix: 'Try again.' });
    if (opened !== undefined) return opened;
    newest = new Socket();
    const socket = newest;
    const client = new Connection({
      connectionString: url,
      application_name: 'petrel',
      connectionTimeoutMillis: LIMIT_MS,
      query_timeout: LIMIT_MS,
      keepAlive: true,
      stream: () => socket,
    });
    client.on('error', () => drop(client));
    client.on('end', () => drop(client));
    await client.connect();
    opened = client;
    return client;
  };
  const query = async (text: string, values: unknown[]): Promise<unknown[]> => {
    const client = await connection();
    try {
      return (await client.query(values.length === 0 ? text : { text, values })).rows;
    } catch (error) {
      // What the server says has a code; without one the connection is of no use any more, and nobody knows what became of the statement.
      const { code = '' } = error as { code?: string };
      if (!/^[0-9A-Z]{5}$/.test(code) || LOST.test(code)) {
        drop(client);
        newest.destroy();
      }
      throw error;
    }
  };
  /** Statements of one connection go one after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  const ask = async <R>(text: string, values: unknown[] = []): Promise<R[]> => {
    const mine = turn.then(() => query(text, values));
    turn = mine.catch(() => {});
    try {
      return (await mine) as R[];
    } catch (error) {
      throw error instanceof PetrelError ? error : told(error);
    }
  };
  const written = ([row]: Outcome[]): Written | Refused => {
    const { outcome = 'condition', version = '', created = false } = row ?? {};
    return outcome === 'done' || outcome === 'nothing' ? { version, created } : { refused: outcome };
  };

  const close = async (): Promise<void> => {
    closed = true;
    const over = new AbortController();
    const left = turn.then(() => opened?.end()).catch(() => {});
    await Promise.race([left, sleep(clock, LEAVE_MS, over.signal)]);
    over.abort();
    newest.destroy();
  };

  try {
    await ask(SCHEMA);
  } catch (error) {
    await close();
    throw error;
  }

  return {
    async get(space, key) {
      const [row] = await ask<Row>(
        'SELECT key, value, type, version, expires FROM petrel.state WHERE space = $1 AND key = $2 AND (expires IS NULL OR expires > $3)',
        [space, key, clock.now()],
      );
      return row && toEntry(row);
    },
    async put(space, key, { value, type, expires, condition: { match, absent }, maxKeys }) {
      return written(
        await ask('SELECT * FROM petrel.state_put($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
          space,
          key,
          clock.now(),
          match ?? null,
          absent ?? false,
          maxKeys,
          Buffer.from(value.buffer, value.byteOffset, value.byteLength),
          type,
          expires ?? null,
        ]),
      );
    },
    async delete(space, key, { match, absent }) {
      const [row] = await ask<Outcome>('SELECT * FROM petrel.state_delete($1, $2, $3, $4, $5)', [
        space,
        key,
        clock.now(),
        match ?? null,
        absent ?? false,
      ]);
      if (row === undefined || row.outcome === 'nothing') return undefined;
      return row.outcome === 'done' ? true : { refused: row.outcome };
    },
    async increment(space, key, by, { expires, maxKeys }) {
      const rows = await ask<Outcome>('SELECT * FROM petrel.state_increment($1, $2, $3, $4, $5, $6)', [
        space,
        key,
        clock.now(),
        String(by),
        maxKeys,
        expires ?? null,
      ]);
      const result = written(rows);
      return 'refused' in result ? result : { ...result, value: BigInt(rows[0]?.value?.toString() ?? '0') };
    },
    async list(space, { prefix, after: last, limit }) {
      const end = after(prefix);
      const rows = await ask<Row>(
        `SELECT key, value, type, version, expires FROM petrel.state
         WHERE space = $1 AND key > $2 AND key >= $3 AND ($4::bytea IS NULL OR convert_to(key, 'UTF8') < $4) AND (expires IS NULL OR expires > $5)
         ORDER BY key LIMIT $6`,
        [space, last ?? '', prefix, end ?? null, clock.now(), limit],
      );
      return rows.map(toEntry);
    },
    close,
  };
}
