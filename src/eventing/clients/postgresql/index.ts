export * from 'pg';
export { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
