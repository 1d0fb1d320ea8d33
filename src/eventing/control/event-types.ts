/** EventType: what a Broker or channel brings, written down; by hand, or by what came. Source: knative.dev/eventing `pkg/reconciler/eventtype`. */
import { createHash } from 'node:crypto';
import type { EventPolicy, EventType, KReference } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { KubeError } from '../../kube/client.ts';
import { controllerReference } from '../../kube/owners.ts';
import { BROKERS, EVENT_POLICIES, EVENT_TYPES, IN_MEMORY_CHANNELS } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { logFailure } from './kind.ts';
import { NoSuchKind } from './objects.ts';
import { resourceOf } from './resources.ts';

const EXISTS = 'ReferenceExists';
const isEmpty = (reference: KReference | undefined): boolean =>
  reference === undefined || Object.values(reference).every((value) => !value);

export function eventTypes(): Kind<EventType> {
  return {
    resource: EVENT_TYPES,
    dependents: [EXISTS],
    async reconcile({ object, namespace, reader, conditions }) {
      const { broker, reference = broker ? brokerReference(broker) : undefined } = object.spec;
      if (reference === undefined || isEmpty(reference)) {
        conditions.markTrue(EXISTS, 'ReferenceNotSet', '');
        return undefined;
      }
      const { apiVersion = '', group, kind, name } = reference;
      try {
        const resource = resourceOf(apiVersion || `${group ?? ''}/v1`, kind);
        const found = await reader.get(resource, reference.namespace || namespace, name);
        if (found !== undefined) conditions.markTrue(EXISTS);
        else
          conditions.markFalse(EXISTS, 'ResourceDoesNotExist', 'Resource in spec.reference does not exist');
      } catch (error) {
        if (!(error instanceof NoSuchKind)) throw error;
        conditions.markUnknown(EXISTS, 'ReferenceGetFailed', `Failed to get reference: ${error.message}`);
      }
      return undefined;
    },
    gone() {},
  };
}

const brokerReference = (name: string): KReference => ({
  apiVersion: 'eventing.knative.dev/v1',
  kind: 'Broker',
  name,
});

/** What a stream may bring before no more is written down: sources may be as many as devices. */
const MAX_TYPES = 200;

/** Writes down what types streams bring, one object for each type and source. */
export function createTypeRecorder(context: ControlContext) {
  const written = new Map<string, number>();

  const write = async (
    owner: UntypedObject,
    type: string,
    source: string,
    schema?: string,
  ): Promise<void> => {
    const { namespace = '', name } = owner.metadata;
    const id = createHash('sha256').update(JSON.stringify([type, source, schema, owner.metadata.uid]));
    const object: EventType = {
      apiVersion: 'eventing.knative.dev/v1beta2',
      kind: 'EventType',
      metadata: {
        name: `et-${name.slice(0, 200)}-${id.digest('hex').slice(0, 16)}`,
        namespace,
        ownerReferences: [{ ...controllerReference(owner), controller: false, blockOwnerDeletion: false }],
      },
      spec: {
        type,
        source,
        ...(schema && { schema }),
        reference: { apiVersion: owner.apiVersion, kind: owner.kind, name, namespace },
        description: 'Event Type auto-created by controller',
      },
    };
    try {
      await context.client.create(EVENT_TYPES, object);
    } catch (error) {
      if (!(error instanceof KubeError) || (error.code !== 409 && error.code !== 404)) throw error;
    }
  };

  /** A pair that the stream has not brought before, as the engine tells. */
  return (stream: string, type: string, source: string, schema?: string): void => {
    if (context.config().features.eventTypeAutoCreate !== 'Enabled') return;
    const [kind, namespace = '', name = ''] = stream.split('/');
    const resource = kind === 'broker' ? BROKERS : kind === 'channel' ? IN_MEMORY_CHANNELS : undefined;
    const owner = resource && context.objects.informer(resource).get(namespace, name);
    if (owner === undefined) return;
    const count = written.get(stream) ?? 0;
    written.set(stream, count + 1);
    if (count === MAX_TYPES)
      context.log.warn('a stream brings more types and sources than are written down', {
        stream,
        limit: MAX_TYPES,
      });
    if (count >= MAX_TYPES) return;
    void write(owner, type, source, schema).catch(logFailure(context, 'an EventType could not be written'));
  };
}

/** EventPolicy: nobody is authenticated here, so no policy is enforced, and its status says so. */
export function eventPolicies({ config }: ControlContext): Kind<EventPolicy> {
  return {
    resource: EVENT_POLICIES,
    dependents: ['AuthenticationEnabled', 'SubjectsResolved'],
    async reconcile({ object, conditions, status }) {
      const enabled = config().features.authenticationOidc === 'Enabled';
      const message = enabled
        ? 'senders of events cannot be authenticated here, so this policy is not enforced'
        : 'the feature "authentication-oidc" is disabled, so this policy is not enforced';
      const reason = enabled ? 'OIDCAuthenticationNotSupported' : 'OIDCAuthenticationDisabled';
      conditions.markFalse('AuthenticationEnabled', reason, message);
      status.from = (object.spec.from ?? []).flatMap(({ sub }) => (sub ? [sub] : []));
      return undefined;
    },
    gone() {},
  };
}
