/** Sinks that are not HTTP: EventSink, whatever its type, and KafkaSink. */
import type { AddressStatus, EventingObject, EventSink, KafkaSink } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { EVENT_SINKS, KAFKA_SINKS, SECRETS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markPolicies } from './marks.ts';
import { notFound } from './resources.ts';
import { withSecrets } from './secrets.ts';

/** KafkaSinks share the addresses of sinks with EventSinks, apart by this. */
export const KAFKA_PREFIX = 'kafka.';

export const sinkKey = (namespace: string, name: string): string => `sink/${namespace}/${name}`;

/** Brings a sink into the engine, its state into `condition`, and its address into the status. */
export async function runSink<T extends EventingObject>(
  { engine, base, stateOf }: ControlContext,
  pass: Pass<T>,
  {
    key,
    type,
    config,
    condition,
  }: { key: string; type: string; config: Record<string, Json>; condition: string },
): Promise<void> {
  const { object, namespace, conditions } = pass;
  const status = pass.status as AddressStatus;
  const secrets = await withSecrets(pass.reader, namespace, config);
  if (!secrets.ok) {
    engine.setSink(key, null);
    delete status.address;
    conditions.markFalse(condition, 'SecretNotFound', secrets.message);
    return;
  }
  engine.setSink(key, { key, uid: object.metadata.uid ?? '', type, config: secrets.config });
  status.address = { name: 'http', url: addressUrl(base, key) };
  const state = stateOf(key);
  // A sink connects with the first event that it is given: nothing to tell is nothing wrong.
  if (state === undefined || state.ready) conditions.markTrue(condition);
  else conditions.markFalse(condition, state.reason, state.message);
}

export function eventSinks(context: ControlContext): Kind<EventSink> {
  return {
    resource: EVENT_SINKS,
    dependents: ['Addressable', 'SinkReady'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { type, config } = object.spec;
      await runSink(context, pass, { key: sinkKey(namespace, name), type, config, condition: 'SinkReady' });
      if (status.address) conditions.markTrue('Addressable');
      else conditions.markUnknown('Addressable', 'NotReady', 'The sink has no address yet.');
      return undefined;
    },
    gone: (namespace, name) => context.engine.setSink(sinkKey(namespace, name), null),
  };
}

/** What the keys of a KafkaSink's Secret mean. Source: eventing-kafka-broker `pkg/security/config.go`. */
async function kafkaAuth({
  object,
  namespace,
  reader,
}: Pass<KafkaSink>): Promise<{ ok: true; config: Record<string, Json> } | { ok: false; message: string }> {
  const name = object.spec.auth?.secret?.ref?.name;
  if (name === undefined) return { ok: true, config: {} };
  const secret = await reader.get(SECRETS, namespace, name);
  if (secret === undefined) return { ok: false, message: notFound(SECRETS, name) };
  const text = (key: string): string | undefined => {
    const value: string | undefined = secret.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  };
  const given = (fields: Record<string, Json | undefined>): Record<string, Json> =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    );
  const protocol = text('protocol') ?? 'PLAINTEXT';
  const config: Record<string, Json> = {};
  if (protocol.startsWith('SASL'))
    config.sasl = given({
      mechanism: text('sasl.mechanism') ?? 'PLAIN',
      username: text('user'),
      password: text('password'),
    });
  if (protocol.endsWith('SSL'))
    config.tls = given({
      enabled: true,
      caCerts: text('ca.crt'),
      ...(text('user.skip') === 'true' ? {} : { cert: text('user.crt'), key: text('user.key') }),
    });
  return { ok: true, config };
}

export function kafkaSinks(context: ControlContext): Kind<KafkaSink> {
  const keyOf = (namespace: string, name: string) => sinkKey(namespace, KAFKA_PREFIX + name);
  return {
    resource: KAFKA_SINKS,
    dependents: ['Addressable', 'EventPoliciesReady', 'TopicReady'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { topic, numPartitions, replicationFactor, bootstrapServers, contentMode } = object.spec;
      markPolicies(conditions, context.config().features);
      const auth = await kafkaAuth(pass);
      if (!auth.ok) {
        context.engine.setSink(keyOf(namespace, name), null);
        delete status.address;
        conditions.markFalse('TopicReady', 'AuthenticationSecretNotFound', auth.message);
        conditions.markUnknown('Addressable', 'NotReady', 'The sink has no address yet.');
        return undefined;
      }
      await runSink(context, pass, {
        key: keyOf(namespace, name),
        type: 'kafka',
        config: {
          bootstrapServers,
          topic,
          contentMode,
          ...(numPartitions !== undefined && { numPartitions }),
          ...(replicationFactor !== undefined && { replicationFactor }),
          ...auth.config,
        },
        condition: 'TopicReady',
      });
      conditions.markTrue('Addressable');
      return undefined;
    },
    gone: (namespace, name) => context.engine.setSink(keyOf(namespace, name), null),
  };
}
