/** Knative's internal objects for tools that look: written after the fact, never read to decide anything. */
import type { Revision } from '../../kinds/serving.ts';
import type { Ingress } from '../../kinds/serving-internal.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { keyOf } from '../../kube/indexed-store.ts';
import type { Informer } from '../../kube/informer.ts';
import { IMAGES, INGRESSES, POD_AUTOSCALERS, SERVERLESS_SERVICES } from '../../kube/refs.ts';
import type { Background } from '../background.ts';
import type { LiveConfig } from '../config.ts';
import { LABELS } from '../names.ts';
import { parseRollout, type Rollout } from '../rollout.ts';
import type { AssignedRoute } from '../routes.ts';
import { AUTOSCALER, FEATURES, NETWORK } from '../settings.ts';
import { ingressOf } from './ingress.ts';
import { images, podAutoscaler, serverlessService } from './revision-objects.ts';
import { createMirrorWriter } from './writer.ts';

export interface Mirror {
  /** The gateway serves the Route like this now. */
  assigned(route: AssignedRoute): void;
  routeGone(namespace: string | undefined, name: string): void;
}

export interface MirrorOptions {
  client: KubeClient;
  config: LiveConfig;
  background: Background;
  revisions: Informer<Revision>;
  /** Address of the gateway. */
  host: string;
}

export function createMirror({ client, config, background, revisions, host }: MirrorOptions): Mirror {
  const writer = createMirrorWriter(client);

  const tell = (revision: Revision) => {
    const key = keyOf(revision);
    background.add(`mirror ${key}`, async () => {
      const { namespace, name } = revision.metadata;
      const now = revisions.get(namespace, name);
      // Nothing is worth telling of a revision before its own status does.
      if (!now?.status?.conditions || now.metadata.deletionTimestamp) return;
      await writer.write(POD_AUTOSCALERS, podAutoscaler(now, config.read(AUTOSCALER).podAutoscalerClass));
      await writer.write(SERVERLESS_SERVICES, serverlessService(now));
      for (const image of images(now)) await writer.write(IMAGES, image);
    });
  };
  revisions.addHandler({
    add: tell,
    update: tell,
    delete(revision) {
      const { namespace, name } = revision.metadata;
      writer.forget(POD_AUTOSCALERS, namespace, name);
      writer.forget(SERVERLESS_SERVICES, namespace, name);
      for (const { metadata } of images(revision)) writer.forget(IMAGES, namespace, metadata.name);
    },
  });

  return {
    assigned(route) {
      background.add(`ingress ${keyOf(route.route)}`, () =>
        writer.write(
          INGRESSES,
          ingressOf(route, {
            host,
            ingressClass: config.read(NETWORK).ingressClass,
            tagHeaders: config.read(FEATURES).tagHeaderBasedRouting === 'Enabled',
          }),
        ),
      );
    },
    routeGone: (namespace, name) => writer.forget(INGRESSES, namespace, name),
  };
}

/** The rollout that the Ingress of a Route remembers. */
export async function rememberedRollout(
  client: KubeClient,
  namespace: string | undefined,
  name: string,
): Promise<Rollout | undefined> {
  const ingress = await orUndefined(client.get<Ingress>(INGRESSES, namespace, name));
  return ingress && parseRollout(ingress.metadata.annotations?.[LABELS.rollout]);
}
