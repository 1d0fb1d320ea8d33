/** Brokers that come by themselves: for namespaces and Triggers that ask. Source: knative.dev/eventing `pkg/reconciler/sugar`. */
import type { Broker, Trigger } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { matchesLabels, requirementsOf } from '../../kinds/selectors.ts';
import { KubeError } from '../../kube/client.ts';
import { BROKERS, NAMESPACES } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import { logFailure } from './kind.ts';

const INJECTION = 'eventing.knative.dev/injection';
const DEFAULT = 'default';

/** Whether a LabelSelector of config-sugar takes these labels; one that is none takes nothing. */
function matchesSelector(selector: object, labels: Record<string, string> | undefined): boolean {
  try {
    return matchesLabels(requirementsOf(selector), labels ?? {});
  } catch {
    return false;
  }
}

async function createBroker({ client }: ControlContext, namespace: string, name: string): Promise<boolean> {
  const broker: Broker = {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: { name, namespace, labels: { [INJECTION]: 'enabled' } },
    spec: {},
  };
  try {
    await client.create(BROKERS, broker);
    return true;
  } catch (error) {
    // Somebody was faster, or the namespace goes.
    if (error instanceof KubeError && (error.code === 409 || error.code === 403 || error.code === 404))
      return false;
    throw error;
  }
}

/** A Trigger whose Broker is missing gets one, where it says so itself or config-sugar says it of such Triggers. */
export function createDefaultBroker(context: ControlContext, trigger: Trigger): void {
  const { metadata, spec } = trigger;
  const selector = context.config().sugar.triggers;
  const asked = metadata.annotations?.[INJECTION] === 'enabled';
  if (!spec.broker || !(asked || (selector && matchesSelector(selector, metadata.labels)))) return;
  const name = spec.broker;
  void createBroker(context, metadata.namespace ?? '', name)
    .then((created) => {
      const message = `Default eventing.knative.dev Broker ${JSON.stringify(name)} created.`;
      if (created) context.events.record(trigger, 'Normal', 'BrokerCreated', message);
    })
    .catch(logFailure(context, 'a Broker could not be created'));
}

/** Namespaces with the label get a default Broker, and those that config-sugar selects. Returns the way to stop. */
export function followNamespaces(context: ControlContext): () => void {
  const namespaces = context.objects.informer(NAMESPACES);
  const look = ({ metadata }: UntypedObject) => {
    const selector = context.config().sugar.namespaces;
    const label = metadata.labels?.[INJECTION];
    const wanted = label === 'enabled' || (selector && matchesSelector(selector, metadata.labels));
    if (!wanted || label === 'disabled' || metadata.deletionTimestamp !== undefined) return;
    void context.objects.informer(BROKERS).synced.then(() => {
      if (context.objects.informer(BROKERS).get(metadata.name, DEFAULT) !== undefined) return undefined;
      return createBroker(context, metadata.name, DEFAULT).catch(
        logFailure(context, 'a Broker could not be created'),
      );
    });
  };
  return namespaces.addHandler({
    add: look,
    update: (now, old) => {
      if (now.metadata.labels?.[INJECTION] !== old.metadata.labels?.[INJECTION]) look(now);
    },
  });
}
