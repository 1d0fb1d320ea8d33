/**
 * New and changed objects of a bucket that speaks S3, found by listing it. What has been delivered is known by key and etag for the newest objects,
 * and by time for all before; the position never moves past an object that is not resolved. Notifications of buckets come by other ways: those of
 * MinIO and Ceph by a webhook source, those of AWS by SQS, which there is no source for.
 */
import { type Clock, sleep, type Timer } from '../../../base/clock.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { checkFields, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { about } from '../../connectors/messages.ts';
import { type Bucket, openBucket, S3_FIELDS, type S3Object, s3Name, s3Reason } from '../../connectors/s3.ts';
import { type Connection, upstream } from '../../connectors/upstream.ts';
import { waits } from '../../connectors/waits.ts';
import type { SourceContext, SourceModule } from '../contract.ts';
import { Position } from './position.ts';

export const FIELDS = {
  ...S3_FIELDS,
  prefix: { is: 'text', default: '', what: 'only objects whose keys begin with this' },
  suffix: { is: 'text', default: '', what: 'only objects whose keys end with this' },
  pollMs: {
    is: 'count',
    min: 1000,
    max: 86_400_000,
    default: 30_000,
    what: 'how often the bucket is listed; one request for each 1,000 objects under the prefix',
  },
  content: { is: 'flag', default: false, what: 'the event’s data is the object, not a description of it' },
  maxBytes: {
    is: 'count',
    min: 1,
    max: 16_777_216,
    default: 1_048_576,
    what: 'with `content`: larger objects are only described',
  },
  after: {
    is: 'choice',
    of: ['keep', 'delete'],
    default: 'keep',
    what: 'what is done with an object that is delivered',
  },
  initialOffset: {
    is: 'choice',
    of: ['latest', 'earliest'],
    default: 'latest',
    what: 'whether objects that are there before the source are delivered: `earliest` does',
  },
  overlapMinutes: {
    is: 'count',
    min: 1,
    max: 10_080,
    default: 15,
    what: 'objects are remembered by name for this long: some services date an upload in parts from its beginning, so set it to the longest upload',
  },
  concurrency: { is: 'count', min: 1, max: 256, default: 16, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 10_000,
    default: 500,
    what: 'objects that are taken and not yet resolved',
  },
} as const satisfies Fields;

type Config = Read<typeof FIELDS>;

/** The position is written this long after it has changed. */
const SAVE_MS = 500;

export const s3Source: SourceModule = {
  type: 's3',
  durable: 'upstream',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const { concurrency } = config;
    return upstream(context, { what: s3Name(config), concurrency, reasonOf: s3Reason }, (connection) =>
      session(context, config, connection),
    );
  },
};

async function session(
  context: SourceContext<unknown>,
  config: Config,
  connection: Connection,
): Promise<void> {
  const { clock } = context;
  const { intake, signal } = connection;
  const bucket = openBucket(config, () => clock.now(), connection.cut);
  const first = config.initialOffset === 'latest' ? clock.now() : 0;
  const position = new Position(context.checkpoint() as Json, first, config.overlapMinutes * 60_000);
  const saving = saver(clock, () => context.saveCheckpoint(position.save()));
  // Written at once: what comes from now on is not lost even if this ends before it has found anything.
  saving.soon();
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  const wait = waits(signal, broken.promise);
  while (!signal.aborted) {
    for await (const object of bucket.list(config.prefix, signal)) {
      if (!object.key.endsWith(config.suffix) || !position.wants(object)) continue;
      await wait(intake.room(config.prefetch));
      if (signal.aborted) break;
      position.begin(object);
      intake.take(undefined, async () => {
        try {
          const event = await toEvent(bucket, object, context, config);
          if (event !== undefined) await context.emit(event);
          if (config.after === 'delete') await bucket.remove(object.key);
        } catch (error) {
          if (!signal.aborted) broken.reject(error);
          throw error;
        }
        position.resolve(object, config.after === 'delete');
        saving.soon();
      });
    }
    if (signal.aborted) break;
    position.listed(clock.now());
    connection.up(`lists ${config.bucket}/${config.prefix} every ${config.pollMs / 1000} s`);
    await wait(sleep(clock, config.pollMs, signal));
  }
  await connection.settled();
  await saving.now();
}

function saver(clock: Clock, save: () => Promise<void>) {
  let timer: Timer | undefined;
  return {
    soon() {
      timer ??= clock.after(SAVE_MS, () => {
        timer = undefined;
        // What is not written is delivered again at worst, and the next change writes it.
        void save().catch(() => {});
      });
    },
    now(): Promise<void> {
      timer?.cancel();
      timer = undefined;
      return save();
    },
  };
}

/** Undefined: the object is gone, and what there was to tell of it with it. */
async function toEvent(
  bucket: Bucket,
  object: S3Object,
  { namespace, name }: SourceContext<unknown>,
  config: Config,
): Promise<CloudEvent | undefined> {
  const { key, etag, bytes, modifiedAt } = object;
  const whole = config.content && bytes <= config.maxBytes;
  const found = whole ? await bucket.get(key) : undefined;
  if (whole && found === undefined) return undefined;
  const description = {
    bucket: config.bucket,
    key,
    etag,
    size: bytes,
    lastModified: new Date(modifiedAt).toISOString(),
  };
  return about({
    id: `${key}@${etag}`,
    type: 'dev.petrel.s3.object',
    origin: { namespace, name, plural: 's3sources', of: config.bucket },
    subject: key,
    at: modifiedAt,
    contentType: found === undefined ? 'application/json' : found.contentType,
    extensions: { s3etag: etag, s3content: config.content && !whole ? 'toolarge' : undefined },
    data: found?.data ?? Buffer.from(JSON.stringify(description)),
  });
}
