/** A table of PostgreSQL as a sink: a row for each event, once for each source and id. */

import { loadClient } from '../../clients/load.ts';
import { isJson } from '../../cloudevents/event.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, type Fields, readFields } from '../connectors/fields.ts';
import {
  connectPostgresql,
  POSTGRESQL_FIELDS,
  postgresqlName,
  postgresqlReason,
  tableName,
} from '../connectors/postgresql.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...POSTGRESQL_FIELDS,
  table: { is: 'text', required: true, what: 'the table, `schema.table` or `table`' },
  create: { is: 'flag', default: false, what: 'makes the table where it is not there' },
} as const satisfies Fields;

/** JSON data goes into `data`, any other into `bytes`. */
const COLUMNS = `
  source text NOT NULL, id text NOT NULL, type text NOT NULL, subject text, time timestamptz, contenttype text,
  dataschema text, extensions jsonb NOT NULL DEFAULT '{}', data jsonb, bytes bytea,
  received timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, id)`;

export const postgresqlSink: SinkModule = {
  type: 'postgresql',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const table = tableName(config.table);
    const insert = `INSERT INTO ${table}
      (source, id, type, subject, time, contenttype, dataschema, extensions, data, bytes)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (source, id) DO NOTHING`;
    return downstream(context, { what: postgresqlName(config), reasonOf: postgresqlReason }, async (cut) => {
      const client = await connectPostgresql(await loadClient('postgresql'), config, context.key, cut);
      try {
        if (config.create) await client.query(`CREATE TABLE IF NOT EXISTS ${table} (${COLUMNS})`);
        await client.query(`SELECT source, id FROM ${table} LIMIT 0`);
      } catch (error) {
        await client.close();
        throw error;
      }
      return {
        async send({ source, id, type, subject, time, datacontenttype, dataschema, extensions, data }) {
          const text = data !== undefined && isJson(datacontenttype) ? jsonOf(data) : undefined;
          await client.query(insert, [
            ...[source, id, type, subject, time, datacontenttype, dataschema, JSON.stringify(extensions)],
            ...[text, text === undefined ? data : undefined],
          ]);
        },
        lost: client.lost,
        close: () => client.close(),
      };
    });
  },
};

/** Undefined where it is none that a column can hold: PostgreSQL has no U+0000 in JSON. */
function jsonOf(data: Buffer): string | undefined {
  const text = data.toString('utf8');
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return text.includes('\\u0000') ? undefined : text;
}
