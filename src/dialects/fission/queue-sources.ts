/**
 * From a MessageQueueTrigger to an EventSource. Pure. The names of its metadata are those of KEDA's scalers, which Fission passes on; the names of
 * the configuration are those of the sources (`docs/sources`). Source: Fission `pkg/mqtrigger/scalermanager`, keda.sh `docs/scalers`.
 */
import type { Json } from '../../kinds/object.ts';
import { addressOf } from './invoke.ts';
import type { Problem, QueueTrigger } from './model.ts';

/** The text of keys of the trigger's Secret; what is secret in it is only referred to. */
export type SecretData = Readonly<Record<string, string>>;

type Config = Record<string, Json>;
type Text = (key: string) => string | undefined;

/** What is asked of the trigger, and what it becomes. */
interface Asked {
  topic: string;
  /** Of the metadata or the Secret. */
  text: Text;
  /** A reference to that key of the Secret, where it has it; else what the metadata says. */
  hidden(key: string): Json | undefined;
}

class Lacking extends Error {}

const required = (text: Text, key: string): string => {
  const found = text(key);
  if (!found) throw new Lacking(`metadata.${key} is missing`);
  return found;
};
const list = (text: string): string[] => text.split(',').map((one) => one.trim());
const given = (fields: Record<string, Json | undefined>): Config =>
  Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, Json] => field[1] !== undefined),
  );

const tls = ({ text, hidden }: Asked, enabled: boolean): Config | undefined =>
  enabled && text('tls') !== 'disable'
    ? given({ enabled: true, caCerts: hidden('ca'), cert: hidden('cert'), key: hidden('key') })
    : undefined;

const SASL: Readonly<Record<string, string>> = {
  plaintext: 'PLAIN',
  scram_sha256: 'SCRAM-SHA-256',
  scram_sha512: 'SCRAM-SHA-512',
};

const kafka = (asked: Asked): Config => {
  const { text, hidden } = asked;
  const mechanism = text('sasl') ?? 'none';
  return given({
    bootstrapServers: list(required(text, 'bootstrapServers')),
    sasl:
      mechanism === 'none'
        ? undefined
        : given({
            mechanism: SASL[mechanism] ?? mechanism,
            username: hidden('username'),
            password: hidden('password'),
          }),
    tls: tls(asked, text('tls') === 'enable'),
  });
};

const nats = ({ text, hidden }: Asked): Config => {
  const server = text('natsServer') ?? text('fromSubject');
  const monitor = text('natsServerMonitoringEndpoint')
    ?.replace(/^\w+:\/\//, '')
    .replace(/:\d+$/, ':4222');
  const found = server ?? monitor;
  if (!found) throw new Lacking('metadata.natsServerMonitoringEndpoint is missing');
  return given({
    servers: list(found),
    username: hidden('username'),
    password: hidden('password'),
    token: hidden('token'),
  });
};

const redis = (asked: Asked): Config => {
  const { text, hidden } = asked;
  const [host, port] = [text('host'), text('port')];
  const database = text('databaseIndex');
  return given({
    address: host && port ? `${host}:${port}` : required(text, 'address'),
    username: hidden('username'),
    password: hidden('password'),
    database: database === undefined ? undefined : Number(database),
    tls: tls(asked, text('enableTLS') === 'true'),
  });
};

const rabbitmq = (asked: Asked): Config => {
  const { text, hidden } = asked;
  const host = required(text, 'host');
  if (!URL.canParse(host)) throw new Lacking('metadata.host is no URL');
  const url = new URL(host);
  const secure = url.protocol === 'amqps:' || url.protocol === 'https:';
  const part = (value: string) => (value === '' ? undefined : decodeURIComponent(value));
  return given({
    address: `${url.hostname}:${url.port || (secure ? 5671 : 5672)}`,
    username: hidden('username') ?? part(url.username),
    password: hidden('password') ?? part(url.password),
    vhost: text('vhostName') ?? part(url.pathname.slice(1)),
    tls: tls(asked, secure),
  });
};

interface Queue {
  type: string;
  /** How the broker is reached. */
  reach(asked: Asked): Config;
  /** What is read. */
  read(asked: Asked): Config;
  /** Where a topic is written. */
  write(topic: string): Config;
}

const QUEUES: Readonly<Record<string, Queue>> = {
  kafka: {
    type: 'kafka',
    reach: kafka,
    read: ({ topic, text }) =>
      given({
        topics: [topic],
        consumerGroup: text('consumerGroup'),
        initialOffset: text('offsetResetPolicy') ?? 'latest',
      }),
    write: (topic) => ({ topic }),
  },
  'nats-jetstream': {
    type: 'nats',
    reach: nats,
    read: ({ topic, text }) =>
      given({ stream: required(text, 'stream'), consumer: text('consumer'), filterSubject: topic }),
    write: (subject) => ({ subject }),
  },
  redis: {
    type: 'redis',
    reach: redis,
    read: ({ topic, text }) => ({ list: text('listName') ?? topic }),
    write: (key) => ({ list: key }),
  },
  'redis-streams': {
    type: 'redis',
    reach: redis,
    read: ({ topic, text }) => given({ stream: text('stream') ?? topic, group: text('consumerGroup') }),
    write: (stream) => ({ stream }),
  },
  rabbitmq: {
    type: 'rabbitmq',
    reach: rabbitmq,
    read: ({ topic, text }) => ({ queue: text('queueName') ?? topic }),
    write: (queue) => ({ queue }),
  },
};

export interface QueueSurroundings {
  secret: SecretData;
  base: string;
  target?: { apiVersion: string; kind: string };
  errorsName: string;
}

/** What stands for a trigger: specs of an EventSource, and of an EventSink for messages that the function never took. */
export interface QueueObjects {
  source: Record<string, Json>;
  errors?: Record<string, Json>;
}

/** `base`: the gateway as a URL; `target`: what stands for the function, where it is known; `errorsName`: of the EventSink. */
export function queueObjects(
  { metadata, spec }: QueueTrigger,
  { secret, base, target, errorsName }: QueueSurroundings,
): QueueObjects | Problem {
  const { messageQueueType = '', topic, errorTopic, maxRetries = 0, functionref } = spec;
  const queue = Object.hasOwn(QUEUES, messageQueueType) ? QUEUES[messageQueueType] : undefined;
  if (queue === undefined)
    return {
      reason: 'SourceNotAvailable',
      message: `Messages of "${messageQueueType}" are not fetched; there are ${Object.keys(QUEUES).join(', ')}.`,
    };
  if (functionref.type === 'function-weights')
    return { reason: 'InvalidReference', message: 'Messages go to one function: weights are not heeded.' };
  const { namespace = 'default' } = metadata;
  const texts: Record<string, string> = { ...spec.metadata, ...secret };
  const text: Text = (key) => (Object.hasOwn(texts, key) ? texts[key] : undefined);
  const asked: Asked = {
    topic,
    text,
    hidden: (key) =>
      Object.hasOwn(secret, key) && spec.secret ? { secretKeyRef: { name: spec.secret, key } } : text(key),
  };
  const { name = '', alias, version } = functionref;
  const sink: Json =
    target && !alias && !version
      ? { ref: { ...target, name, namespace } }
      : { uri: `${base}/fission-function/${namespace}/${addressOf(functionref, 0)}` };
  try {
    const reach = queue.reach(asked);
    const errors = errorTopic && {
      deadLetterSink: {
        ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name: errorsName, namespace },
      },
    };
    return {
      source: {
        type: queue.type,
        config: { ...reach, ...queue.read(asked) },
        sink,
        // Fission tries again at once; a little time is what most failures need.
        delivery: {
          retry: Math.max(0, Number(maxRetries)),
          backoffPolicy: 'exponential',
          backoffDelay: 'PT0.2S',
          ...errors,
        },
      },
      ...(errorTopic && { errors: { type: queue.type, config: { ...reach, ...queue.write(errorTopic) } } }),
    };
  } catch (error) {
    if (!(error instanceof Lacking)) throw error;
    return { reason: 'InvalidMetadata', message: `${error.message}.` };
  }
}
