/** The configuration of a Redis source, and KEDA's for the same. Pure. */
import type { FieldError, Json } from '../../../kinds/object.ts';
import { checkFields, exactlyOne, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { compact, count, either, flag, required } from '../../connectors/keda.ts';
import { REDIS_FIELDS } from '../../connectors/redis.ts';

export const FIELDS = {
  ...REDIS_FIELDS,
  stream: { is: 'text', what: 'the key of a stream to read; either this or `list`' },
  list: { is: 'text', what: 'the key of a list to take items from; either this or `stream`' },
  group: {
    is: 'text',
    what: 'of a stream: the consumer group; default: one of the source’s own, `petrel.<namespace>.<name>`',
  },
  consumer: {
    is: 'text',
    what: 'this reader’s own name, the same after a restart; default: the source’s name',
  },
  initialOffset: {
    is: 'choice',
    of: ['latest', 'earliest'],
    default: 'latest',
    what: 'of a stream: where a new group begins',
  },
  dataField: {
    is: 'text',
    what: 'of a stream: the field that is the event’s data; default: all fields, as a JSON object',
  },
  claimIdleMs: {
    is: 'count',
    min: 1000,
    max: 86_400_000,
    default: 60_000,
    what: 'of a stream: entries that another consumer has left for this long are taken over',
  },
  end: {
    is: 'choice',
    of: ['right', 'left'],
    default: 'right',
    what: 'of a list: the end that items are taken from',
  },
  ordered: { is: 'flag', default: false, what: 'one after the other' },
  concurrency: { is: 'count', min: 1, max: 1000, default: 64, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 100_000,
    default: 500,
    what: 'entries that are taken and not yet resolved',
  },
} as const satisfies Fields;

export type RedisConfig = Read<typeof FIELDS>;

export const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...exactlyOne(config, 'stream', 'list'),
];

export const read = (config: Record<string, Json>): RedisConfig => readFields(config, FIELDS);

/** KEDA's scalers `redis` (lists) and `redis-streams`. */
export function fromKeda(
  metadata: Record<string, string>,
  auth: Record<string, string>,
): Record<string, Json> {
  const both = { ...metadata, ...auth };
  const { host, port } = both;
  const tls = flag(both.enableTLS ?? both.tls);
  return compact({
    address: host && port ? `${host}:${port}` : required(both, 'address'),
    username: both.username,
    password: both.password,
    database: count(both, 'databaseIndex'),
    tls: tls ? compact({ enabled: true, caCerts: auth.ca, cert: auth.cert, key: auth.key }) : undefined,
    ...(both.listName === undefined
      ? { stream: required(both, 'stream'), group: either(both, 'consumerGroup') }
      : { list: both.listName }),
  });
}
