/** PingSource: a source of type `timer` with Knative's events. Source: knative.dev/eventing `pkg/reconciler/pingsource`, `pkg/adapter/mtping`. */
import type { PingSource } from '../../kinds/eventing/objects.ts';
import { PING_SOURCES } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markNoIdentity } from './marks.ts';
import { runSource } from './sources.ts';

const PING_EVENT = 'dev.knative.sources.ping';

export function pingSources(context: ControlContext): Kind<PingSource> {
  const keyOf = (namespace: string, name: string) => `pingsource/${namespace}/${name}`;
  return {
    resource: PING_SOURCES,
    dependents: ['SinkProvided', 'Deployed', 'OIDCIdentityCreated'],
    async reconcile(pass) {
      const { object, namespace, name, conditions } = pass;
      const { schedule, timezone, contentType, data, dataBase64 } = object.spec;
      const source = `/apis/v1/namespaces/${namespace}/pingsources/${name}`;
      markNoIdentity(conditions);
      await runSource(context, pass, {
        key: keyOf(namespace, name),
        type: 'timer',
        config: {
          schedule,
          type: PING_EVENT,
          source,
          // Nothing is assumed of the data, as upstream has it.
          contentType: contentType ?? '',
          ...(timezone && { timeZone: timezone }),
          ...(dataBase64 ? { dataBase64 } : data ? { data } : {}),
        },
        condition: 'Deployed',
        ceAttributes: [{ type: PING_EVENT, source }],
      });
      return undefined;
    },
    gone: (namespace, name) => context.engine.setSource(keyOf(namespace, name), null),
  };
}
