/**
 * What sources that run in the engine have in common, and KafkaSource.
 * Source: knative-extensions/eventing-kafka-broker `pkg/reconciler/source`.
 */
import type { ConditionManager } from '../../kinds/conditions.ts';
import type {
  DeliverySpec,
  Destination,
  KafkaSource,
  SecretKeyRef,
  SourceObject,
} from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { KAFKA_SOURCES } from '../../kube/refs.ts';
import type { Target } from '../model.ts';
import type { ControlContext, PartState } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markNoIdentity } from './marks.ts';
import { withSecrets } from './secrets.ts';
import { deliveryTerms } from './terms.ts';
import { nowhere } from './triggers.ts';

/** Sources deliver until somebody has taken it, where nothing else is asked. */
const PATIENT: DeliverySpec = { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' };

/** What differs between kinds of sources. */
export interface SourceTerms {
  /** `<kind in lower case>/<ns>/<name>`. */
  key: string;
  type: string;
  /** May hold `{secretKeyRef}`. */
  config: Record<string, Json>;
  /** Where answers go; absent: nowhere. */
  reply?: Destination;
  delivery?: DeliverySpec;
  paused?: boolean;
  /** The condition that a missing Secret breaks, and what the engine reports goes to. */
  condition: string;
  ceAttributes?: { type: string; source: string }[];
}

/** Resolves the sink, with `SinkProvided` and the fields of the status that tell of it. */
export async function provideSink<T extends SourceObject>(pass: Pass<T>): Promise<Target | undefined> {
  const { object, status, conditions } = pass;
  const found = await pass.resolve(object.spec.sink);
  for (const field of ['sinkUri', 'sinkCACerts', 'sinkAudience'] as const) delete status[field];
  if (!found.ok) {
    conditions.markFalse('SinkProvided', 'NotFound', found.message);
    return undefined;
  }
  const { url, CACerts, audience } = found.address;
  status.sinkUri = url;
  if (CACerts) status.sinkCACerts = CACerts;
  if (audience) status.sinkAudience = audience;
  conditions.markTrue('SinkProvided');
  return found.target;
}

/**
 * Brings a source into the engine, and its state into the status. Resolves whether it works. One that lacks something rests: what it has
 * accepted is kept with it.
 */
export async function runSource<T extends SourceObject>(
  { engine, stateOf }: ControlContext,
  pass: Pass<T>,
  { key, type, config, reply, delivery, paused = false, condition, ceAttributes }: SourceTerms,
): Promise<boolean> {
  const { object, namespace, status, conditions } = pass;
  if (ceAttributes) status.ceAttributes = ceAttributes;
  const before = status.sinkUri;
  const sink = await provideSink(pass);
  const secrets = await withSecrets(pass.reader, namespace, config);
  const dead = delivery?.deadLetterSink && (await pass.resolve(delivery.deadLetterSink));
  const answers = reply && (await pass.resolve(reply));
  const lacks = sink === undefined || !secrets.ok || dead?.ok === false || answers?.ok === false;
  engine.setSource(key, {
    key,
    uid: object.metadata.uid ?? '',
    type,
    config: secrets.config,
    sink: {
      ...(sink ?? nowhere(before)),
      ...(answers?.ok && { answers: { to: answers.target, source: answerSource(pass) } }),
    },
    extensions: lowerCase(object.spec.ceOverrides?.extensions),
    terms: deliveryTerms(delivery ?? PATIENT, dead?.ok ? dead.target : undefined),
    paused: paused || lacks,
  });
  if (!secrets.ok) conditions.markFalse(condition, 'SecretNotFound', secrets.message);
  else if (dead?.ok === false) conditions.markFalse(condition, 'DeadLetterSinkResolveFailed', dead.message);
  else if (answers?.ok === false) conditions.markFalse(condition, 'ReplyResolveFailed', answers.message);
  else if (lacks)
    conditions.markUnknown(condition, 'SinkMissing', 'The source begins when its sink is there.');
  else if (paused) conditions.markTrue(condition, 'Paused', 'The source is paused.');
  else return markState(conditions, condition, stateOf(key));
  return false;
}

/** Where events come from that are made of answers. */
const answerSource = ({ object, namespace, name }: Pass<SourceObject>): string =>
  `/apis/v1/namespaces/${namespace}/${object.kind.toLowerCase()}s/${name}#answers`;

function markState(conditions: ConditionManager, condition: string, state: PartState | undefined): boolean {
  if (state === undefined) conditions.markUnknown(condition, 'Starting', 'The source is being started.');
  else if (state.ready && state.message !== '') conditions.markTrue(condition, state.reason, state.message);
  else if (state.ready) conditions.markTrue(condition);
  else conditions.markFalse(condition, state.reason, state.message);
  return state?.ready ?? false;
}

/** Names of attributes are lower case in events. */
const lowerCase = (extensions: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(extensions).map(([name, value]) => [name.toLowerCase(), value]));

/** `net` of a KafkaSource as the module of that type takes it. */
function kafkaNet({ net }: KafkaSource['spec']): Record<string, Json> {
  const from = (value: SecretKeyRef | undefined): Json | undefined =>
    value?.secretKeyRef && { secretKeyRef: { ...value.secretKeyRef } };
  const given = (fields: Record<string, Json | undefined>): Record<string, Json> =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    );
  const { sasl, tls } = net ?? {};
  return {
    ...(sasl?.enable && {
      sasl: given({
        mechanism: from(sasl.type) ?? 'PLAIN',
        username: from(sasl.user),
        password: from(sasl.password),
      }),
    }),
    ...(tls?.enable && {
      tls: given({ enabled: true, caCerts: from(tls.caCert), cert: from(tls.cert), key: from(tls.key) }),
    }),
  };
}

const KAFKA_EVENT = 'dev.knative.kafka.event';

export function kafkaSources(context: ControlContext): Kind<KafkaSource> {
  const keyOf = (namespace: string, name: string) => `kafkasource/${namespace}/${name}`;
  return {
    resource: KAFKA_SOURCES,
    dependents: [
      'SinkProvided',
      'Deployed',
      'ConnectionEstablished',
      'InitialOffsetsCommitted',
      'OIDCIdentityCreated',
    ],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { bootstrapServers, topics, consumerGroup, initialOffset, ordering, consumers, delivery } =
        object.spec;
      markNoIdentity(conditions);
      const works = await runSource(context, pass, {
        key: keyOf(namespace, name),
        type: 'kafka',
        config: {
          bootstrapServers,
          topics,
          consumerGroup,
          initialOffset,
          ordering: ordering === 'ordered' ? 'partition' : 'none',
          ...kafkaNet(object.spec),
        },
        ...(delivery && { delivery }),
        // Upstream's way to stop one.
        paused: consumers === 0,
        condition: 'ConnectionEstablished',
        ceAttributes: topics.map((topic) => ({
          type: KAFKA_EVENT,
          source: `/apis/v1/namespaces/${namespace}/kafkasources/${name}#${topic}`,
        })),
      });
      conditions.markTrue('Deployed');
      if (works || consumers === 0) conditions.markTrue('InitialOffsetsCommitted');
      else
        conditions.markUnknown(
          'InitialOffsetsCommitted',
          'ConnectionNotEstablished',
          'The source is not connected.',
        );
      status.consumers = works ? (consumers ?? 1) : 0;
      return undefined;
    },
    gone: (namespace, name) => context.engine.setSource(keyOf(namespace, name), null),
  };
}
