/** Namespaces, Events and Services: what data cannot say of them. */
import { invalid, required } from '../field.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { defaults, indexed, items } from './untyped.ts';

/** Every namespace carries its own name as a label, so that selectors can name it. */
const NAME_LABEL = 'kubernetes.io/metadata.name';

export const NAMESPACE_STRATEGY: ResourceStrategy = {
  prepareForCreate(namespace) {
    namespace.spec ??= {};
    const finalizers: string[] = namespace.spec.finalizers ?? [];
    namespace.spec.finalizers = finalizers.includes('kubernetes')
      ? finalizers
      : [...finalizers, 'kubernetes'];
    namespace.status = { phase: 'Active' };
  },
  setDefaults(namespace) {
    namespace.metadata.labels = { ...namespace.metadata.labels, [NAME_LABEL]: namespace.metadata.name };
  },
};

/** A namespaced object's Event lies in its namespace, a cluster-scoped object's in `default` or any other. */
function validateInvolved(event: UntypedObject, field: 'involvedObject' | 'regarding'): FieldError[] {
  const namespace: string = event[field]?.namespace ?? '';
  if (namespace === '' || namespace === event.metadata.namespace) return [];
  return [invalid(`${field}.namespace`, namespace, 'does not match event.namespace')];
}

export const CORE_EVENT_STRATEGY: ResourceStrategy = {
  validate: (event) => validateInvolved(event, 'involvedObject'),
};

export const EVENT_STRATEGY: ResourceStrategy = {
  validate(event) {
    const errors = validateInvolved(event, 'regarding');
    for (const field of ['eventTime', 'reportingController', 'reportingInstance', 'action', 'reason']) {
      // Events written through core/v1 have none of these; they are told apart by their old timestamps.
      const legacy = event.deprecatedFirstTimestamp !== undefined || event.deprecatedCount !== undefined;
      if (!event[field] && !legacy) errors.push(required(field));
    }
    return errors;
  },
};

export const SERVICE_STRATEGY: ResourceStrategy = {
  setDefaults(service) {
    service.spec ??= {};
    defaults(service.spec, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' });
    for (const port of items(service.spec.ports)) {
      defaults(port, { protocol: 'TCP' });
      if (port.targetPort === undefined || port.targetPort === '' || port.targetPort === 0)
        port.targetPort = port.port;
    }
  },
  validate(service) {
    const { spec = {} } = service;
    const ports = items(spec.ports);
    const errors: FieldError[] = [];
    if (ports.length === 0 && spec.type !== 'ExternalName' && spec.clusterIP !== 'None') {
      errors.push(required('spec.ports'));
    }
    if (spec.type === 'ExternalName' && !spec.externalName) errors.push(required('spec.externalName'));
    for (const [at, port] of indexed(spec.ports, 'spec.ports')) {
      if (!port.name && ports.length > 1) errors.push(required(`${at}.name`));
      if (!(port.port >= 1 && port.port <= 65535)) {
        errors.push(invalid(`${at}.port`, port.port ?? 0, 'must be between 1 and 65535, inclusive'));
      }
    }
    return errors;
  },
};
