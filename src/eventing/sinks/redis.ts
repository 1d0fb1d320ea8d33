/** A stream or a list of Redis as a sink. An event is as safe as the server's settings make it (`appendfsync always`). */

import { loadClient } from '../../clients/load.ts';
import { toJson } from '../../cloudevents/json.ts';
import { toKafka } from '../../cloudevents/kafka.ts';
import type { FieldError, Json } from '../../kinds/object.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, exactlyOne, type Fields, readFields } from '../connectors/fields.ts';
import { connectRedis, REDIS_FIELDS, redisName } from '../connectors/redis.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...REDIS_FIELDS,
  stream: {
    is: 'text',
    what: 'the key of a stream: attributes are fields `ce_…`, the data is the field `data`; either this or `list`',
  },
  list: { is: 'text', what: 'the key of a list: an event is pushed to its left end as JSON' },
  dataOnly: {
    is: 'flag',
    what: 'of a list: an item is the data of an event, without its attributes',
    default: false,
  },
  maxLength: {
    is: 'count',
    min: 1,
    max: 1_000_000_000,
    what: 'of a stream: older entries go beyond about as many',
  },
} as const satisfies Fields;

const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...exactlyOne(config, 'stream', 'list'),
];

export const redisSink: SinkModule = {
  type: 'redis',
  check,
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const { stream, list = '', dataOnly, maxLength } = config;
    return downstream(context, { what: redisName(config) }, async (cut) => {
      const redis = await connectRedis(await loadClient('redis'), config, cut);
      return {
        async send(event) {
          if (stream === undefined) {
            await redis.run('LPUSH', list, dataOnly ? (event.data ?? '') : toJson(event));
            return;
          }
          const { headers, value } = toKafka(event);
          const trim = maxLength === undefined ? [] : ['MAXLEN', '~', String(maxLength)];
          const data = value === null ? [] : ['data', value];
          await redis.run('XADD', stream, ...trim, '*', ...headers.flat(), ...data);
        },
        lost: redis.gone.then((error) => {
          throw error;
        }),
        close: () => redis.close(),
      };
    });
  },
};
