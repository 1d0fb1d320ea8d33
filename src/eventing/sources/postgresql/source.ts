/** PostgreSQL as a source: an outbox table, or the changes of tables by logical replication. */
import { loadClient } from '../../../clients/load.ts';
import { postgresqlName, postgresqlReason } from '../../connectors/postgresql.ts';
import { upstream } from '../../connectors/upstream.ts';
import type { SourceModule } from '../contract.ts';
import { check, read } from './config.ts';
import { readOutbox } from './outbox.ts';
import { readChanges } from './replication.ts';

export const postgresqlSource: SourceModule = {
  type: 'postgresql',
  durable: 'upstream',
  check,
  async start(context) {
    const config = read(context.config);
    const { concurrency } = config;
    return upstream(
      context,
      { what: postgresqlName(config), concurrency, reasonOf: postgresqlReason },
      async (connection) => {
        const library = await loadClient('postgresql');
        const reader = config.outbox === undefined ? readChanges : readOutbox;
        await reader({ library, context, config, connection });
      },
    );
  },
};
