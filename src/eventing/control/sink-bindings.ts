/**
 * SinkBinding: tells programs where their events go, by variables of their environment. Source: knative.dev/eventing `pkg/reconciler/sinkbinding`,
 * knative.dev/pkg `webhook/psbinding`. Jobs are bound as they are made (`apiserver/bindings.ts`): one that stands cannot be changed.
 */
import { messageOf } from '../../base/errors.ts';
import { bindingPatch, isBindable, meantBy, sinkVariables } from '../../kinds/eventing/bindings.ts';
import type { SinkBinding } from '../../kinds/eventing/objects.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { KubeError, type ResourceRef } from '../../kube/client.ts';
import { NAMESPACES, SINK_BINDINGS } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markNoIdentity } from './marks.ts';
import { NoSuchKind } from './objects.ts';
import { anyResourceOf, notFound } from './resources.ts';
import { provideSink } from './sources.ts';

const FINALIZER = 'eventing.petrel.dev/sink-binding';
const AVAILABLE = 'SinkBindingAvailable';

export function sinkBindings(context: ControlContext): Kind<SinkBinding> {
  const { client } = context;

  /** The objects that are meant, or why there are none. */
  const subjectsOf = async (
    { object, reader }: Pass<SinkBinding>,
    resource: ResourceRef,
  ): Promise<UntypedObject[] | { reason: string; message: string }> => {
    const { namespace, name } = object.spec.subject;
    try {
      if (name === undefined) return await reader.list(resource, namespace, meantBy(object.spec.subject));
      const found = await reader.get(resource, namespace, name);
      return found ? [found] : { reason: 'SubjectMissing', message: notFound(resource, name) };
    } catch (error) {
      if (!(error instanceof NoSuchKind)) throw error;
      return { reason: 'SubjectUnavailable', message: error.message };
    }
  };

  const write = async (
    resource: ResourceRef,
    object: UntypedObject,
    variables: Parameters<typeof bindingPatch>[1],
  ): Promise<void> => {
    const { namespace, name, resourceVersion = '', deletionTimestamp } = object.metadata;
    const spec = deletionTimestamp === undefined ? bindingPatch(object, variables) : undefined;
    if (spec === undefined) return;
    const patch: Json = { metadata: { resourceVersion }, spec };
    await client.patch(resource, namespace, name, 'merge', patch);
  };

  return {
    resource: SINK_BINDINGS,
    dependents: [
      AVAILABLE,
      'SinkProvided',
      'OIDCIdentityCreated',
      'OIDCTokenSecretCreated',
      'TrustBundlePropagated',
    ],
    async reconcile(pass) {
      const { object, namespace, name, conditions, reader } = pass;
      const { metadata, spec } = object;
      if (!metadata.finalizers?.includes(FINALIZER)) {
        const finalizers = [...(metadata.finalizers ?? []), FINALIZER];
        const patch: Json = { metadata: { finalizers, resourceVersion: metadata.resourceVersion ?? '' } };
        await client.patch(SINK_BINDINGS, namespace, name, 'merge', patch);
        return 'later';
      }
      markNoIdentity(conditions);
      conditions.markTrue('OIDCTokenSecretCreated', 'authentication-oidc feature disabled', '');
      conditions.markTrue('TrustBundlePropagated');
      const sink = await provideSink(pass);
      const resource = anyResourceOf(spec.subject.apiVersion, spec.subject.kind);
      const subjects = await subjectsOf(pass, resource);
      if (sink === undefined) {
        conditions.markFalse(AVAILABLE, 'NoURI', 'URI could not be extracted from destination');
        return undefined;
      }
      if (!Array.isArray(subjects)) {
        conditions.markFalse(AVAILABLE, subjects.reason, subjects.message);
        return undefined;
      }
      const { sinkUri, sinkCACerts } = pass.status;
      const address = { ...(sinkUri && { url: sinkUri }), ...(sinkCACerts && { CACerts: sinkCACerts }) };
      const variables = sinkVariables(address, spec.ceOverrides);
      const around = await reader.get(NAMESPACES, '', spec.subject.namespace);
      let failure: string | undefined;
      for (const subject of subjects)
        try {
          await write(resource, subject, isBindable(subject, around) ? variables : []);
        } catch (error) {
          if (!(error instanceof KubeError) || error.code === 409) throw error;
          failure = `failed binding subject ${subject.metadata.name}: ${messageOf(error)}`;
        }
      if (failure === undefined) conditions.markTrue(AVAILABLE);
      else conditions.markFalse(AVAILABLE, 'BindingFailed', failure);
      return undefined;
    },
    async leaving({ metadata, spec }) {
      const finalizers = metadata.finalizers ?? [];
      if (!finalizers.includes(FINALIZER)) return;
      const { apiVersion, kind, namespace } = spec.subject;
      const resource = anyResourceOf(apiVersion, kind);
      try {
        const { items } = await client.list<UntypedObject>(resource, { namespace });
        const meant = meantBy(spec.subject);
        for (const item of items) if (meant(item)) await write(resource, { ...item, apiVersion, kind }, []);
      } catch (error) {
        // What is not there any more, or cannot be changed, needs nothing taken away.
        if (!(error instanceof KubeError) || ![400, 403, 404, 422].includes(error.code)) throw error;
      }
      const patch: Json = {
        metadata: {
          finalizers: finalizers.filter((one) => one !== FINALIZER),
          resourceVersion: metadata.resourceVersion ?? '',
        },
      };
      await client.patch(SINK_BINDINGS, metadata.namespace, metadata.name, 'merge', patch);
    },
    gone() {},
  };
}
