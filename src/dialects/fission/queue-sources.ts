/**
 * From a MessageQueueTrigger to an EventSource, and EventSinks for the topics that it writes to. Pure. Its metadata is that of KEDA's scalers, which
 * Fission passes on; the sources themselves know what it means. Source: Fission `pkg/mqtrigger/scalermanager`, keda.sh `docs/scalers`.
 */
import { PetrelError } from '../../base/errors.ts';
import type { Json } from '../../kinds/object.ts';
import type { Problem, QueueTrigger } from './model.ts';

/** The text of keys of the trigger's Secret; what is secret in it is only referred to. */
export type SecretData = Readonly<Record<string, string>>;

type Config = Record<string, Json>;

/** What a source makes of KEDA's metadata and parameters of authentication. Throws `PetrelError` `InvalidArgument`. */
export type FromKeda = (metadata: Record<string, string>, authentication: Record<string, string>) => Config;

interface Queue {
  /** Of the EventSource. */
  type: string;
  /** What the metadata says where the trigger says only its topic. */
  metadata(topic: string): Record<string, string>;
  /** What is said besides. */
  read?(topic: string): Config;
  /** Fields of the source that say what is read, and not how the broker is reached. */
  reading: readonly string[];
  /** Where a topic is written. */
  write(topic: string): Config;
  /** Of an answer, where that is not the same. */
  answer?: Config;
}

const QUEUES: Readonly<Record<string, Queue>> = {
  kafka: {
    type: 'kafka',
    metadata: (topic) => ({ topic }),
    reading: ['topics', 'consumerGroup', 'initialOffset'],
    write: (topic) => ({ topic }),
  },
  'nats-jetstream': {
    type: 'nats',
    metadata: () => ({}),
    read: (topic) => ({ filterSubject: topic }),
    reading: ['stream', 'consumer', 'filterSubject'],
    write: (subject) => ({ subject }),
  },
  redis: {
    type: 'redis',
    metadata: (listName) => ({ listName }),
    reading: ['list'],
    write: (list) => ({ list }),
    // Who waits at the list wants what the function has said.
    answer: { dataOnly: true },
  },
  'redis-streams': {
    type: 'redis',
    metadata: (stream) => ({ stream }),
    reading: ['stream', 'group'],
    write: (stream) => ({ stream }),
  },
  rabbitmq: {
    type: 'rabbitmq',
    metadata: (queueName) => ({ queueName }),
    reading: ['queue'],
    write: (queue) => ({ queue }),
  },
};

/** Keys of a Secret that stand in the configuration as they are, and are only referred to; others are read, for instance the URL of a server. */
const REFERRED = ['username', 'password', 'token', 'ca', 'cert', 'key'];
/** Stands for such a value while the configuration is worked out. */
const placeholder = (key: string): string => `\0${key}`;

/** The configuration with references in the place of what is secret. */
function referring(value: Json, secret: string): Json {
  if (typeof value === 'string')
    return value.startsWith('\0') ? { secretKeyRef: { name: secret, key: value.slice(1) } } : value;
  if (Array.isArray(value)) return value.map((one) => referring(one, secret));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, referring(one as Json, secret)] as const),
  );
}

export interface QueueSurroundings {
  secret: SecretData;
  /** What the source of a type makes of KEDA's words. */
  fromKeda(type: string): FromKeda | undefined;
  /** The path by which the trigger calls its function, at the gateway. */
  path: string;
  /** The gateway as a URL. */
  base: string;
  /** What stands for the function, where it is one and known: it scales by what waits. */
  target?: { apiVersion: string; kind: string; name: string };
  /** Of the EventSinks. */
  names: { errors: string; answers: string };
}

/** What stands for a trigger: specs of an EventSource, and of EventSinks for answers and for messages that the function never took. */
export interface QueueObjects {
  source: Config;
  errors?: Config;
  answers?: Config;
}

/** Type of the source for a kind of queue. */
export const sourceType = (messageQueueType: string): string | undefined =>
  Object.hasOwn(QUEUES, messageQueueType) ? QUEUES[messageQueueType]?.type : undefined;

export function queueObjects(
  { metadata, spec }: QueueTrigger,
  around: QueueSurroundings,
): QueueObjects | Problem {
  const { messageQueueType = '', topic, respTopic, errorTopic, maxRetries = 0 } = spec;
  const queue = Object.hasOwn(QUEUES, messageQueueType) ? QUEUES[messageQueueType] : undefined;
  const fromKeda = queue && around.fromKeda(queue.type);
  if (queue === undefined || fromKeda === undefined)
    return {
      reason: 'SourceNotAvailable',
      message: `Messages of "${messageQueueType}" are not fetched; there are ${Object.keys(QUEUES).join(', ')}.`,
    };
  const { secret, base, path, target, names } = around;
  const hidden = Object.entries(secret).map(
    ([key, text]) => [key, REFERRED.includes(key) ? placeholder(key) : text] as const,
  );
  let config: Config;
  try {
    const said = fromKeda({ ...queue.metadata(topic), ...spec.metadata }, Object.fromEntries(hidden));
    config = referring({ ...said, ...queue.read?.(topic) }, spec.secret ?? '') as Config;
  } catch (error) {
    if (!(error instanceof PetrelError)) throw error;
    return { reason: 'InvalidMetadata', message: [`${error.message}.`, error.fix].filter(Boolean).join(' ') };
  }
  const { namespace = 'default' } = metadata;
  const reach = Object.fromEntries(Object.entries(config).filter(([key]) => !queue.reading.includes(key)));
  const sink = (name: string) => ({
    ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name, namespace },
  });
  return {
    source: {
      type: queue.type,
      config,
      sink: target ? { ref: { ...target, namespace }, uri: path } : { uri: `${base}${path}` },
      ...(respTopic && { reply: sink(names.answers) }),
      // Fission tries again at once; a little time is what most failures need.
      delivery: {
        retry: Math.max(0, Number(maxRetries)),
        backoffPolicy: 'exponential',
        backoffDelay: 'PT0.2S',
        ...(errorTopic && { deadLetterSink: sink(names.errors) }),
      },
    },
    ...(errorTopic && { errors: { type: queue.type, config: { ...reach, ...queue.write(errorTopic) } } }),
    ...(respTopic && {
      answers: { type: queue.type, config: { ...reach, ...queue.write(respTopic), ...queue.answer } },
    }),
  };
}
