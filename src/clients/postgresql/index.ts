import pg from 'pg';

export type { ClientConfig } from 'pg';
export {
  LogicalReplicationService,
  type Pgoutput,
  PgoutputPlugin,
} from 'pg-logical-replication';
/** A class of a CommonJS package: its name is not seen from outside. */
export const Client = pg.Client;
export type Client = pg.Client;
