/** The configuration of a PostgreSQL source. Pure. KEDA's scaler of that name asks for a number by a query: there is nothing in it to read from. */
import type { FieldError, Json } from '../../../kinds/object.ts';
import { checkFields, exactlyOne, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { POSTGRESQL_FIELDS } from '../../connectors/postgresql.ts';

export const OUTBOX_FIELDS = {
  table: { is: 'text', required: true, what: 'the table, `schema.table` or `table`' },
  idColumn: { is: 'text', default: 'id', what: 'its unique column, by which rows are read in order' },
  after: {
    is: 'choice',
    of: ['delete', 'mark'],
    default: 'delete',
    what: 'what is done with a row that is delivered: it is deleted, or marked with the time',
  },
  markColumn: {
    is: 'text',
    default: 'delivered_at',
    what: 'the column (timestamptz, null at first) that marks a row; an index on the rows where it is null keeps reading fast',
  },
  channel: { is: 'text', what: 'the channel of NOTIFY that wakes the source; without one it only polls' },
  pollMs: {
    is: 'count',
    min: 100,
    max: 3_600_000,
    default: 5000,
    what: 'how often it looks by itself: NOTIFY is lost where a connection is',
  },
  typeColumn: {
    is: 'text',
    what: 'the column that is the event’s type; default: `dev.petrel.postgresql.row`',
  },
  subjectColumn: { is: 'text', what: 'the column that is the event’s subject' },
  dataColumn: {
    is: 'text',
    what: 'the column that is the event’s data (json, text or bytea); default: the row as JSON',
  },
} as const satisfies Fields;

export const REPLICATION_FIELDS = {
  slot: {
    is: 'text',
    required: true,
    form: /^[a-z0-9_]{1,63}$/,
    formHint: 'must have only lower-case letters, digits and _',
    what: 'the replication slot; made where it is not there. It keeps the write-ahead log until it is read: drop it with the source',
  },
  publication: { is: 'text', required: true, what: 'the publication to read' },
  tables: { is: 'texts', what: 'makes the publication, of these tables, where it is not there' },
} as const satisfies Fields;

export const FIELDS = {
  ...POSTGRESQL_FIELDS,
  outbox: {
    is: 'group',
    what: 'reads a table that applications write events into; either this or `replication`',
    fields: OUTBOX_FIELDS,
  },
  replication: {
    is: 'group',
    what: 'reads the changes of tables from the write-ahead log',
    fields: REPLICATION_FIELDS,
  },
  ordering: {
    is: 'choice',
    of: ['none', 'subject', 'all'],
    default: 'subject',
    what: 'what is delivered one after the other: nothing, events of one subject (a row’s key), or all',
  },
  concurrency: { is: 'count', min: 1, max: 1000, default: 32, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 10_000,
    default: 500,
    what: 'rows that are taken and not yet resolved',
  },
} as const satisfies Fields;

export type PostgresqlConfig = Read<typeof FIELDS>;

export const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...exactlyOne(config, 'outbox', 'replication'),
];

export const read = (config: Record<string, Json>): PostgresqlConfig => readFields(config, FIELDS);
