/**
 * Where the events of a Broker are kept, by its class: the ConfigMap that `spec.config` names, and the Secret that it names, as the
 * configuration of a store (`log/remote/`). Keys of class Kafka are those of knative-extensions/eventing-kafka-broker.
 */
import type { Broker } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';
import type { StreamSpec } from '../model.ts';
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

/** Class → store, and what its ConfigMap and Secret say. */
const CLASSES: Record<string, { type: string; read(data: Data, secret: Data): Record<string, Json> }> = {
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
  },
};

export const REMOTE_CLASSES: readonly string[] = Object.keys(CLASSES);

/** The store, or why it is not known. */
export type Backend =
  | { ok: true; backend: NonNullable<StreamSpec['backend']> }
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
  const secretName = data['auth.secret.ref.name'];
  if (secretName === undefined)
    return { ok: true, backend: { type: known.type, config: known.read(data, {}) } };
  const secret = await reader.get(SECRETS, namespace, secretName);
  if (secret === undefined)
    return { ok: false, reason: 'SecretNotFound', message: notFound(SECRETS, secretName) };
  const values = Object.fromEntries(
    Object.entries((secret.data ?? {}) as Data).map(([key, value]) => [
      key,
      Buffer.from(value ?? '', 'base64').toString(),
    ]),
  );
  return { ok: true, backend: { type: known.type, config: known.read(data, values) } };
}
