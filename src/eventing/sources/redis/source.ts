/**
 * Redis as a source. A stream's entries stay pending in the consumer group until they are acknowledged; a list's items are moved to a list of what is
 * under way, and leave that one when they are resolved. Both wait for new ones in the server: nothing is polled.
 */
import { loadClient } from '../../../clients/load.ts';
import { connectRedis, type RedisConnection, redisName } from '../../connectors/redis.ts';
import { upstream } from '../../connectors/upstream.ts';
import type { SourceModule } from '../contract.ts';
import { check, fromKeda, read } from './config.ts';
import { readList } from './list.ts';
import { readStream } from './stream.ts';

export const redisSource: SourceModule = {
  type: 'redis',
  durable: 'upstream',
  check,
  fromKeda,
  async start(context) {
    const config = read(context.config);
    const concurrency = config.ordered ? 1 : config.concurrency;
    return upstream(context, { what: redisName(config), concurrency }, async (connection) => {
      const client = await loadClient('redis');
      // What waits for new entries blocks its connection: acknowledgements go over another one.
      const opened: RedisConnection[] = [];
      try {
        for (let i = 0; i < 2; i++) opened.push(await connectRedis(client, config, connection.cut));
        const [waiting, acting] = opened as [RedisConnection, RedisConnection];
        const lost = Promise.race([waiting.gone, acting.gone]).then((error) => {
          throw error;
        });
        lost.catch(() => {});
        const reader = config.stream === undefined ? readList : readStream;
        await reader({ context, config, connection, waiting, acting, lost });
      } finally {
        for (const one of opened) one.close();
      }
    });
  },
};
