/**
 * SinkBindings of Jobs: a Job cannot be changed once it stands, so it gets its variables as it is made. Other kinds are bound by the controller.
 * Source: knative.dev/pkg `webhook/psbinding`.
 */
import { createRequire } from 'node:module';
import type { SinkBinding } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Store } from '../store/contract.ts';

const BINDINGS = 'sources.knative.dev/sinkbindings';
const JOBS = 'batch/jobs';
const NAMESPACES = '/namespaces';

/** Binds an object that is about to be made, in place. Costs a comparison where it is no Job, and a look where there is no binding. */
export function bindJob(store: Store, resource: string, namespace: string, object: UntypedObject): void {
  if (resource !== JOBS || store.count(BINDINGS) === 0) return;
  const bindings = store.latestIn(BINDINGS, namespace).map((one) => one.object as unknown as SinkBinding);
  if (bindings.length === 0) return;
  const { bindNew } = createRequire(import.meta.url)(
    '../../kinds/eventing/bindings.ts',
  ) as typeof import('../../kinds/eventing/bindings.ts');
  bindNew(object, bindings, store.latest(NAMESPACES, '', namespace)?.object);
}
