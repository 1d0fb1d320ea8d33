/**
 * Where the events of a Broker are kept, by its class: the ConfigMap that `spec.config` names, and the Secret that it names, as the
 * configuration of a store (`log/remote/`). Keys of class Kafka are those of knative-extensions/eventing-kafka-broker.
 */
import type { Broker } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';
import type { StreamSpec } from '../model.ts';
import { type Advice, type Question, syncQuestion } from './advice.ts';
import type { Reader } from './objects.ts';
import { notFound } from './resources.ts';

type Data = Readonly<Record<string, string | undefined>>;

/** Undefined values are left out. */
const compact = (values: Record<string, Json | undefined>): Record<string, Json> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
const list = (text: string | undefined): Json =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
const number = (text: string | undefined): Json | undefined =>
  text === undefined ? undefined : Number(text);

interface Class {
  type: string;
  /** What the ConfigMap and the Secret say, for the store. */
  read(data: Data, secret: Data): Record<string, Json>;
  /** Why the Secret cannot be meant. */
  wrong?(secret: Data): string | undefined;
  advice?(data: Data): Advice | undefined;
  question?(data: Data): Question | undefined;
}

/** Class → store. */
const CLASSES: Record<string, Class> = {
  JetStream: {
    type: 'jetstream',
    read: (data, { user, password, token, credentials }) =>
      compact({
        servers: list(data.servers),
        replicas: number(data.replicas),
        username: user,
        password,
        token,
        credentials,
      }),
    question: ({ monitor }) => (monitor === undefined ? undefined : syncQuestion(monitor)),
  },
  Kafka: {
    type: 'kafka',
    read: (data, secret) =>
      compact({
        bootstrapServers: list(data['bootstrap.servers']),
        replicationFactor: number(data['default.topic.replication.factor']),
        ...securityOf(secret),
      }),
    wrong: ({ protocol }) =>
      protocol === undefined || PROTOCOLS.includes(protocol)
        ? undefined
        : `protocol must be one of ${PROTOCOLS.join(', ')}`,
    advice: ({ 'default.topic.partitions': partitions }) =>
      partitions === undefined || partitions === '1'
        ? undefined
        : {
            reason: 'OnePartition',
            message: `default.topic.partitions is ${partitions}; one is used: the position of a Trigger is one number, and the order of events is kept`,
          },
  },
};

const PROTOCOLS: readonly string[] = ['PLAINTEXT', 'SASL_PLAINTEXT', 'SSL', 'SASL_SSL'];

/** Keys of the Secret. Source: knative-extensions/eventing-kafka-broker, `pkg/security`. */
function securityOf(secret: Data): Record<string, Json | undefined> {
  const { protocol = 'PLAINTEXT', user, password } = secret;
  return {
    sasl: protocol.startsWith('SASL_')
      ? compact({ mechanism: secret['sasl.mechanism'], username: user, password })
      : undefined,
    tls: protocol.endsWith('SSL')
      ? compact({ caCerts: secret['ca.crt'], cert: secret['user.crt'], key: secret['user.key'] })
      : undefined,
  };
}

export const REMOTE_CLASSES: readonly string[] = Object.keys(CLASSES);

/** The store, or why it is not known. */
export type Backend =
  | {
      ok: true;
      backend: NonNullable<StreamSpec['backend']>;
      advice: Advice | undefined;
      question: Question | undefined;
    }
  | { ok: false; reason: string; message: string };

export async function backendOf(
  reader: Reader,
  { metadata, spec }: Broker,
  brokerClass: string,
): Promise<Backend> {
  const known = CLASSES[brokerClass];
  const { name, namespace = metadata.namespace ?? 'default', kind } = spec.config ?? {};
  if (known === undefined || name === undefined || kind !== 'ConfigMap')
    return {
      ok: false,
      reason: 'ConfigMissing',
      message: `a Broker of class ${brokerClass} names in spec.config the ConfigMap that says where its events are kept`,
    };
  const map = await reader.get(CONFIGMAPS, namespace, name);
  if (map === undefined)
    return { ok: false, reason: 'ConfigMapNotFound', message: notFound(CONFIGMAPS, name) };
  const data = (map.data ?? {}) as Data;
  const found = (secret: Data): Backend => ({
    ok: true,
    backend: { type: known.type, config: known.read(data, secret) },
    advice: known.advice?.(data),
    question: known.question?.(data),
  });
  const secretName = data['auth.secret.ref.name'];
  if (secretName === undefined) return found({});
  const secret = await reader.get(SECRETS, namespace, secretName);
  if (secret === undefined)
    return { ok: false, reason: 'SecretNotFound', message: notFound(SECRETS, secretName) };
  const values = Object.fromEntries(
    Object.entries((secret.data ?? {}) as Data).map(([key, value]) => [
      key,
      Buffer.from(value ?? '', 'base64').toString(),
    ]),
  );
  const wrong = known.wrong?.(values);
  return wrong === undefined
    ? found(values)
    : { ok: false, reason: 'SecretInvalid', message: `the Secret ${secretName}: ${wrong}` };
}
