/** Fission functions that are containers, and environments that bring their own server, as Knative Services. Pure. */
import type { Container, Volume } from '../../kinds/pod.ts';
import type { Service } from '../../kinds/serving.ts';
import { type Environment, executorOf } from './model.ts';
import {
  concurrencyOf,
  envNamed,
  envOf,
  filesOf,
  marked,
  metadataOf,
  podLabels,
  restingOf,
  type Subject,
  scalingOf,
  timeoutOf,
} from './parts.ts';

/** Fields of a pod spec that a Knative revision may have. */
const POD_FIELDS = [
  'volumes',
  'initContainers',
  'securityContext',
  'imagePullSecrets',
  'dnsConfig',
  'dnsPolicy',
  'hostAliases',
];
const CONTAINER_FIELDS = [
  'name',
  'image',
  'command',
  'args',
  'env',
  'envFrom',
  'ports',
  'resources',
  'volumeMounts',
  'workingDir',
  'readinessProbe',
  'livenessProbe',
  'startupProbe',
  'securityContext',
  'imagePullPolicy',
];

const pick = (from: object, fields: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(from).filter(([key]) => fields.includes(key)));

/** A Service whose template has these containers and volumes. */
function serviceOf(
  subject: Subject,
  containers: Container[],
  volumes: Volume[],
  podFields: Record<string, unknown>,
  containerConcurrency: number,
): Service {
  const { scale, annotations } = scalingOf(subject.spec);
  return marked<Service>({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: metadataOf(subject, {}),
    spec: {
      template: {
        metadata: {
          labels: podLabels(subject),
          annotations: {
            ...annotations,
            ...restingOf(subject),
            ...(scale.min ? { 'autoscaling.knative.dev/min-scale': String(scale.min) } : {}),
            ...(scale.max ? { 'autoscaling.knative.dev/max-scale': String(scale.max) } : {}),
          },
        },
        spec: {
          ...podFields,
          containers,
          ...(volumes.length > 0 ? { volumes } : {}),
          containerConcurrency,
          timeoutSeconds: timeoutOf(subject.spec),
        },
      },
    },
  });
}

/** Where Fission's environments listen. */
const ENVIRONMENT_PORT = 8888;

/** For an environment that brings its own server: that server and, beside it, who has it load the function. */
export function imageService(subject: Subject, environment: Environment, fetcher: Container): Service {
  const { spec, object } = subject;
  const { runtime, resources, imagepullsecret } = environment.spec;
  const { volumes, volumeMounts } = filesOf(spec, object.metadata.namespace ?? 'default');
  const container = {
    ...pick(runtime.container ?? {}, CONTAINER_FIELDS),
    name: environment.metadata.name,
    image: runtime.image,
    // Where Pods share a network the port is another one, which the server is told as PORT, and as some of Fission's know it.
    env: [
      ...envOf(environment, spec),
      {
        name: 'RUNTIME_PORT',
        valueFrom: { fieldRef: { fieldPath: "metadata.annotations['petrel.dev/port']" } },
      },
    ],
    ...(spec.envFrom?.length ? { envFrom: spec.envFrom } : {}),
    ports: [{ containerPort: ENVIRONMENT_PORT }],
    ...(resources && Object.keys(resources).length > 0 ? { resources } : {}),
    volumeMounts: [{ name: 'userfunc', mountPath: '/userfunc' }, ...volumeMounts],
  };
  const pooled = executorOf(spec) === 'poolmgr';
  return serviceOf(
    subject,
    [container, fetcher] as Container[],
    [{ name: 'userfunc', emptyDir: {} }, ...volumes],
    imagepullsecret ? { imagePullSecrets: [{ name: imagepullsecret }] } : {},
    pooled ? concurrencyOf(spec) : 0,
  );
}

/** For the executor `container`: the first container answers, with the function's variables and files in it. */
export function containerService(subject: Subject): Service {
  const { spec, object } = subject;
  const { podspec } = spec;
  const { volumes, volumeMounts } = filesOf(spec, object.metadata.namespace ?? 'default');
  const containers = (podspec?.containers ?? []).map((container, index) => {
    const own = pick(container, CONTAINER_FIELDS);
    if (index > 0) return own;
    const env = [...envNamed([...(container.env ?? []), ...(spec.env ?? [])]).values()];
    const envFrom = [...(container.envFrom ?? []), ...(spec.envFrom ?? [])];
    const mounts = [...(container.volumeMounts ?? []), ...volumeMounts];
    const ports = (container.ports ?? []).slice(0, 1).map(({ containerPort }) => ({ containerPort }));
    return {
      ...own,
      ...(env.length > 0 ? { env } : {}),
      ...(envFrom.length > 0 ? { envFrom } : {}),
      ...(mounts.length > 0 ? { volumeMounts: mounts } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    };
  });
  const all = [...(podspec?.volumes ?? []), ...volumes];
  return serviceOf(subject, containers as unknown as Container[], all, pick(podspec ?? {}, POD_FIELDS), 0);
}
