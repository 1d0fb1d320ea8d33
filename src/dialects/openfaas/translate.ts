/**
 * OpenFaaS' REST types as Knative Services and back. Pure. Source of the fields: openfaas/faas-provider, `types` (MIT).
 */
import { timestamp } from '../../base/clock.ts';
import type { Container, EnvVar, Volume, VolumeMount } from '../../kinds/pod.ts';
import type { Service } from '../../kinds/serving.ts';

/** What `POST` and `PUT /system/functions` carry. */
export interface FunctionDeployment {
  service: string;
  image: string;
  namespace?: string;
  envProcess?: string;
  envVars?: Record<string, string>;
  constraints?: string[];
  secrets?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  limits?: Resources;
  requests?: Resources;
  readOnlyRootFilesystem?: boolean;
}

interface Resources {
  cpu?: string;
  memory?: string;
}

/** What `GET /system/functions` answers for each. */
export interface FunctionStatus extends Omit<FunctionDeployment, 'service'> {
  name: string;
  replicas: number;
  availableReplicas: number;
  createdAt: string;
}

/** On a Service: the deployment it was made of, as it came. */
const DEPLOYMENT = 'com.openfaas.deployment';
const SECRETS_FOLDER = '/var/openfaas/secrets';
const AUTOSCALING = 'autoscaling.knative.dev/';
/** Labels of OpenFaaS by which a function scales, and what they are here. */
const SCALING: Readonly<Record<string, string>> = {
  'com.openfaas.scale.min': 'min-scale',
  'com.openfaas.scale.max': 'max-scale',
  'com.openfaas.scale.target': 'target',
  'com.openfaas.scale.zero-duration': 'window',
};
const TYPES: Readonly<Record<string, string>> = { capacity: 'concurrency', rps: 'rps', cpu: 'cpu' };

/** Annotations of the template that the labels ask for. */
function scaling(labels: Record<string, string>): Record<string, string> {
  const annotations: Record<string, string> = {};
  for (const [label, name] of Object.entries(SCALING))
    if (labels[label] !== undefined) annotations[AUTOSCALING + name] = labels[label];
  const metric = TYPES[labels['com.openfaas.scale.type'] ?? ''];
  if (metric !== undefined) annotations[`${AUTOSCALING}metric`] = metric;
  // Without a word about zero, OpenFaaS keeps one.
  if (labels['com.openfaas.scale.zero'] !== 'true' && annotations[`${AUTOSCALING}min-scale`] === undefined)
    annotations[`${AUTOSCALING}min-scale`] = '1';
  return annotations;
}

const amounts = (resources: Resources | undefined) =>
  resources === undefined || Object.keys(resources).length === 0 ? undefined : { ...resources };

/** The Service for a deployment; `found` is the one there is, whose traffic stays. */
export function serviceOf(deployment: FunctionDeployment, namespace: string, found?: Service): Service {
  const {
    service: name,
    image,
    envProcess,
    envVars = {},
    secrets = [],
    labels = {},
    annotations = {},
  } = deployment;
  const env: EnvVar[] = Object.entries(envVars).map(([key, value]) => ({ name: key, value }));
  if (envProcess) env.push({ name: 'fprocess', value: envProcess });
  const volumes: Volume[] = secrets.map((secret) => ({
    name: `secret-${secret}`,
    secret: { secretName: secret },
  }));
  const volumeMounts: VolumeMount[] = secrets.map((secret) => ({
    name: `secret-${secret}`,
    mountPath: `${SECRETS_FOLDER}/${secret}`,
    subPath: secret,
    readOnly: true,
  }));
  const limits = amounts(deployment.limits);
  const requests = amounts(deployment.requests);
  const container: Container = {
    name: 'user-container',
    image,
    ...(env.length > 0 ? { env } : {}),
    ...(volumeMounts.length > 0 ? { volumeMounts } : {}),
    ...(limits || requests
      ? { resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) } }
      : {}),
    ...(deployment.readOnlyRootFilesystem ? { securityContext: { readOnlyRootFilesystem: true } } : {}),
  };
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: {
      ...found?.metadata,
      name,
      namespace,
      annotations: { ...found?.metadata.annotations, [DEPLOYMENT]: JSON.stringify(deployment) },
    },
    spec: {
      ...found?.spec,
      template: {
        metadata: {
          labels: { ...labels, faas_function: name },
          annotations: { ...annotations, ...scaling(labels) },
        },
        spec: { containers: [container], ...(volumes.length > 0 ? { volumes } : {}) },
      },
    },
  };
}

/** A Service as OpenFaaS shows functions; those that were not made by it too. `replicas` are those that can take requests. */
export function statusOf(service: Service, replicas: number): FunctionStatus {
  const { name, namespace = 'default', creationTimestamp, annotations = {} } = service.metadata;
  const { service: _, ...made } = deploymentOf(annotations[DEPLOYMENT]);
  const [container] = service.spec.template.spec.containers;
  const template = service.spec.template.metadata;
  return {
    labels: template?.labels ?? {},
    annotations: template?.annotations ?? {},
    ...made,
    name,
    namespace,
    image: container?.image ?? '',
    replicas,
    availableReplicas: replicas,
    createdAt: creationTimestamp ?? timestamp(0),
  };
}

function deploymentOf(text: string | undefined): Partial<FunctionDeployment> {
  if (text === undefined) return {};
  try {
    return JSON.parse(text) as FunctionDeployment;
  } catch {
    return {};
  }
}

/** The namespace that OpenFaaS puts functions in, which its clients name where nobody named one: ours is `default`. */
const OPENFAAS_NAMESPACE = 'openfaas-fn';

/** A namespace as a client names it. */
export function namespaceOf(named: string | null | undefined): string {
  return !named || named === OPENFAAS_NAMESPACE ? 'default' : named;
}

/** `name` or `name.namespace`, as it stands in `/function/<name>`. */
export function parseName(text: string): { name: string; namespace: string } | undefined {
  const [, name, namespace] =
    /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?))?$/.exec(text) ?? [];
  return name === undefined ? undefined : { name, namespace: namespaceOf(namespace) };
}
