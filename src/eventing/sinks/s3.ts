/** A bucket that speaks S3 as a sink: an object for each event. The same event is the same object, so a repetition changes nothing. */
import { createHash } from 'node:crypto';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { toJson } from '../../cloudevents/json.ts';
import { downstream, never } from '../connectors/downstream.ts';
import { checkFields, type Fields, readFields } from '../connectors/fields.ts';
import { MODE } from '../connectors/mode.ts';
import { openBucket, S3_FIELDS, s3Name, s3Reason } from '../connectors/s3.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...S3_FIELDS,
  prefix: {
    is: 'text',
    default: '',
    what: 'of all keys; the rest is `<type>/<day>/<id>-<digest of source and id>`',
  },
  contentMode: {
    ...MODE,
    default: 'structured',
    what: 'an object is the event as a JSON document (`structured`), or its data alone (`binary`)',
  },
} as const satisfies Fields;

export const s3Sink: SinkModule = {
  type: 's3',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    return downstream(context, { what: s3Name(config), reasonOf: s3Reason }, async (cut) => {
      const bucket = openBucket(config, () => context.clock.now(), cut);
      for await (const _ of bucket.list(config.prefix)) break; // says no now rather than at the first event
      return {
        send(event) {
          const key = config.prefix + keyOf(event);
          return config.contentMode === 'structured'
            ? bucket.put(key, toJson(event), 'application/cloudevents+json', {})
            : bucket.put(key, event.data ?? Buffer.alloc(0), event.datacontenttype, {});
        },
        lost: never,
        close: () => {},
      };
    });
  },
};

/** Names that every service and file system takes; the digest tells apart what looks the same then. An event without a time has no day. */
export function keyOf(event: CloudEvent): string {
  const plain = (text: string) => text.replace(/[^\w.-]/g, '_').slice(0, 100);
  const day = event.time === undefined ? '' : `${new Date(event.time).toISOString().slice(0, 10)}/`;
  const digest = createHash('sha256').update(`${event.source}\n${event.id}`).digest('hex').slice(0, 16);
  return `${plain(event.type)}/${day}${plain(event.id)}-${digest}`;
}
