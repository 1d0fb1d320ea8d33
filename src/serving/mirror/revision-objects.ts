/**
 * What tools look for beside a Revision: its PodAutoscaler, ServerlessService and Images, as functions of the Revision and its
 * status. Nothing here reads them back. Source: upstream's `revision/resources`, `autoscaling/resources`.
 */
import { conditionOf } from '../../kinds/conditions.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { Image, PodAutoscaler, ServerlessService } from '../../kinds/serving-internal.ts';
import { controllerReference } from '../../kube/owners.ts';
import { HPA_CLASS } from '../autoscaler/config.ts';
import { childName, LABELS, without } from '../names.ts';

const CLASS = 'autoscaling.knative.dev/class';
const METRIC = 'autoscaling.knative.dev/metric';
/** Images that no registry has: nothing of theirs can be cached. */
const OWN_IMAGES = 'petrel.dev/';
/** Here the gateway is always in the way of requests, and there is one. */
const ACTIVATORS = 1;

function labelsOf({ metadata }: Revision): Record<string, string> {
  return {
    app: metadata.name,
    ...without(metadata.labels, LABELS.route, LABELS.routingState),
    [LABELS.revision]: metadata.name,
    [LABELS.revisionUID]: metadata.uid ?? '',
  };
}

function annotationsOf({ metadata }: Revision): Record<string, string> {
  return without(
    metadata.annotations,
    LABELS.lastPinned,
    LABELS.noGc,
    LABELS.routingStateModified,
    LABELS.routes,
  );
}

const REACHABILITY: Record<string, 'Reachable' | 'Unreachable'> = {
  active: 'Reachable',
  reserve: 'Unreachable',
};

function protocolOf({ spec }: Revision): 'http1' | 'h2c' {
  const names = spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
  return names.includes('h2c') ? 'h2c' : 'http1';
}

function objectMeta(revision: Revision, annotations: Record<string, string>) {
  const { name, namespace } = revision.metadata;
  return {
    name,
    namespace,
    labels: labelsOf(revision),
    annotations,
    ownerReferences: [controllerReference(revision)],
  };
}

const target = ({ metadata }: Revision) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: `${metadata.name}-deployment`,
});

/** A condition of that type that says what another one does, and since when. */
function like(type: string, condition: Condition | undefined): Condition {
  const { status = 'Unknown', reason, message, lastTransitionTime } = condition ?? {};
  return {
    type,
    status,
    ...(reason && { reason }),
    ...(message && { message }),
    ...(lastTransitionTime && { lastTransitionTime }),
  };
}

const since = (type: string, condition: Condition | undefined): Condition =>
  like(type, { type, status: 'True', lastTransitionTime: condition?.lastTransitionTime });

/** `defaultClass`: of revisions that do not say by what they are scaled. */
export function podAutoscaler(revision: Revision, defaultClass: string): PodAutoscaler {
  const annotations = { [CLASS]: defaultClass, ...annotationsOf(revision) };
  const { name, labels = {} } = revision.metadata;
  const { desiredReplicas = 0, actualReplicas = 0 } = revision.status ?? {};
  const active = conditionOf(revision, 'Active');
  const available = conditionOf(revision, 'ResourcesAvailable');
  const initialized = like('ScaleTargetInitialized', available);
  return {
    apiVersion: 'autoscaling.internal.knative.dev/v1alpha1',
    kind: 'PodAutoscaler',
    metadata: objectMeta(revision, {
      [METRIC]: annotations[CLASS] === HPA_CLASS ? 'cpu' : 'concurrency',
      ...annotations,
    }),
    spec: {
      containerConcurrency: revision.spec.containerConcurrency ?? 0,
      scaleTargetRef: target(revision),
      reachability: REACHABILITY[labels[LABELS.routingState] ?? ''] ?? '',
      protocolType: protocolOf(revision),
    },
    status: {
      observedGeneration: 1,
      serviceName: name,
      metricsServiceName: `${name}-private`,
      desiredScale: desiredReplicas,
      actualScale: actualReplicas,
      conditions: [
        like('Active', active),
        like('Ready', initialized.status === 'True' ? active : available),
        since('SKSReady', available),
        initialized,
      ],
    },
  };
}

/** Serve while there are instances; without any, requests wait in the gateway. */
export function serverlessService(revision: Revision): ServerlessService {
  const { name } = revision.metadata;
  const available = conditionOf(revision, 'ResourcesAvailable');
  return {
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'ServerlessService',
    metadata: objectMeta(revision, without(annotationsOf(revision), METRIC)),
    spec: {
      mode: (revision.status?.actualReplicas ?? 0) > 0 ? 'Serve' : 'Proxy',
      objectRef: target(revision),
      protocolType: protocolOf(revision),
      numActivators: ACTIVATORS,
    },
    status: {
      observedGeneration: 1,
      serviceName: name,
      privateServiceName: `${name}-private`,
      conditions: [
        { ...since('ActivatorEndpointsPopulated', available), severity: 'Info' },
        since('EndpointsPopulated', available),
        since('Ready', available),
      ],
    },
  };
}

type ImageSource = Revision['spec'] & { imagePullSecrets?: { name?: string }[] };

/** One for each image that comes from a registry. */
export function images(revision: Revision): Image[] {
  const { serviceAccountName, imagePullSecrets }: ImageSource = revision.spec;
  const digests = new Map(
    revision.status?.containerStatuses?.map(({ name, imageDigest }) => [name, imageDigest]),
  );
  return revision.spec.containers.flatMap(({ name = '', image = '' }) => {
    if (image === '' || image.startsWith(OWN_IMAGES)) return [];
    const annotations = Object.entries(annotationsOf(revision)).filter(
      ([key]) => !key.startsWith('autoscaling.knative.dev'),
    );
    return [
      {
        apiVersion: 'caching.internal.knative.dev/v1alpha1',
        kind: 'Image',
        metadata: {
          ...objectMeta(revision, Object.fromEntries(annotations)),
          name: childName(childName(revision.metadata.name, '-cache'), `-${name}`),
        },
        spec: {
          image: digests.get(name) || image,
          ...(serviceAccountName && { serviceAccountName }),
          ...(imagePullSecrets?.length && { imagePullSecrets }),
        },
      },
    ];
  });
}
