/** ApiServerSource: changes of objects as events. Source: knative.dev/eventing `pkg/reconciler/apiserversource`, `pkg/adapter/apiserver`. */
import type { ApiServerSource } from '../../kinds/eventing/objects.ts';
import { API_SERVER_SOURCES } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markNoIdentity } from './marks.ts';
import { anyResourceOf } from './resources.ts';
import { mayWatch, type Permissions } from './watching/permissions.ts';
import { labelSelectorText, namespacesOf, Watcher } from './watching/watcher.ts';

const SKIP_CHECK = 'features.knative.dev/apiserversource-skip-permissions-check';

export function apiServerSources(context: ControlContext): Kind<ApiServerSource> {
  const keyOf = (namespace: string, name: string) => `apiserversource/${namespace}/${name}`;
  const watcher = new Watcher(context);
  return {
    resource: API_SERVER_SOURCES,
    dependents: ['SinkProvided', 'Deployed', 'SufficientPermissions', 'OIDCIdentityCreated'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { spec, metadata } = object;
      const key = keyOf(namespace, name);
      markNoIdentity(conditions);
      const where = await namespacesOf(pass, spec.namespaceSelector);
      status.namespaces = where.names;
      const resources = spec.resources.map(({ apiVersion, kind, selector }) => {
        const labelSelector = labelSelectorText(selector);
        return { resource: anyResourceOf(apiVersion, kind), ...(labelSelector && { labelSelector }) };
      });
      const user = `system:serviceaccount:${namespace}:${spec.serviceAccountName}`;
      const asked = resources.map(({ resource }) => resource);
      const may: Permissions =
        metadata.annotations?.[SKIP_CHECK] === 'true'
          ? ({ allowed: true } satisfies Permissions)
          : await mayWatch(context.client, user, asked, where.names);
      if (may.allowed) conditions.markTrue('SufficientPermissions', may.reason, may.message);
      else conditions.markFalse('SufficientPermissions', '', may.message);
      await watcher.run(
        pass,
        { key, condition: 'Deployed', paused: !may.allowed },
        {
          mode: spec.mode,
          resources,
          ...(spec.namespaceSelector && { namespaceSelector: spec.namespaceSelector }),
          ...(spec.owner && { owner: spec.owner }),
          ...(spec.filters && { filters: spec.filters }),
        },
        where,
      );
      return undefined;
    },
    gone: (namespace, name) => watcher.gone(keyOf(namespace, name)),
    alsoOn: (enqueue) => watcher.alsoOn(enqueue),
    stop: () => watcher.stop(),
  };
}
