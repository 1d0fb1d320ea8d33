/** The Pod of a revision that brings its own server. Source: knative serving `revision/resources/deploy.go`. */
import type { Container, Pod, Probe } from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';
import { controllerReference } from '../kube/owners.ts';
import { childName, LABELS } from './names.ts';

/** On a Pod: the port its server listens on, where Pods share the host's network. */
export const PORT_ANNOTATION = 'petrel.dev/port';
/** On a Pod: it is an instance made here. The value is always `pod`. */
export const INSTANCE_LABEL = 'petrel.dev/instance';
const DEFAULT_PORT = 8080;
/**
 * A Pod that somebody deletes serves on for this long: until then every gateway knows, however busy the machine is. What upstream's
 * `/wait-for-drain` does with seconds of quiet.
 */
const LEAVING_SECONDS = 1;

/** The container that gets the requests: the one with a port, or the first. */
export function servingContainer(revision: Revision): Container | undefined {
  const { containers } = revision.spec;
  return containers.find(({ ports }) => ports?.length) ?? containers[0];
}

/** The port that the revision's template asks for. */
export function declaredPort(revision: Revision): number {
  return wantedPort(revision) ?? DEFAULT_PORT;
}

/** The port that it asks for by number; undefined where it leaves that to the platform. */
export const wantedPort = (revision: Revision): number | undefined =>
  servingContainer(revision)?.ports?.[0]?.containerPort || undefined;

/** Begins like the Pods of upstream's Deployment, by which tools (and its conformance suite) find the Pods of a revision. */
export function podName(revision: Revision, suffix: string): string {
  return childName(revision.metadata.name, `-deployment-${suffix}`);
}

/** Seconds between probes of whether the port is open, where the node looks more often by itself until it is. */
const OPEN_PORT_PERIOD_S = 10;

/**
 * A Pod for `revision`; `port` is where its server is to listen. `eager`: its node probes what starts more often than the period says,
 * so the period can be one that costs nothing.
 */
export function podFor(revision: Revision, name: string, port: number, eager = false): Pod {
  const { metadata, spec } = revision;
  const service = metadata.labels?.[LABELS.service] ?? '';
  const configuration = metadata.labels?.[LABELS.configuration] ?? '';
  const main = servingContainer(revision);
  // All instances run what the first one did, whatever the tag stands for by now.
  const digests = new Map(
    revision.status?.containerStatuses?.map((status) => [status.name, status.imageDigest]),
  );
  const declared = [declaredPort(revision), main?.ports?.[0]?.name];
  const identity = {
    PORT: String(port),
    K_REVISION: metadata.name,
    K_CONFIGURATION: configuration,
    K_SERVICE: service,
  };
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds = 300,
    responseStartTimeoutSeconds: _responseStart,
    idleTimeoutSeconds: _idle,
    ...podSpec
  } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: metadata.namespace,
      labels: {
        ...metadata.labels,
        app: metadata.name,
        [LABELS.revision]: metadata.name,
        [LABELS.revisionUID]: metadata.uid ?? '',
        [INSTANCE_LABEL]: 'pod',
      },
      annotations: { ...metadata.annotations, [PORT_ANNOTATION]: String(port) },
      ownerReferences: [controllerReference(revision)],
    },
    spec: {
      ...podSpec,
      terminationGracePeriodSeconds: timeoutSeconds,
      containers: spec.containers.map((container) => {
        const digest = digests.get(container.name);
        const named = {
          terminationMessagePolicy: 'FallbackToLogsOnError',
          ...container,
          ...(digest === undefined ? {} : { image: digest }),
          name: container.name || 'user-container',
        };
        if (container !== main) return named;
        const own = Object.entries(identity).map(([name, value]) => ({ name, value }));
        const others = (container.env ?? []).filter(({ name }) => !(name in identity));
        return {
          ...named,
          lifecycle: { preStop: { sleep: { seconds: LEAVING_SECONDS } }, ...container.lifecycle },
          env: [...others, ...own],
          ports: [{ ...container.ports?.[0], containerPort: port }, ...(container.ports?.slice(1) ?? [])],
          readinessProbe: probeAt(container.readinessProbe ?? {}, declared, port, eager),
          ...(container.livenessProbe && { livenessProbe: probeAt(container.livenessProbe, declared, port) }),
          ...(container.startupProbe && { startupProbe: probeAt(container.startupProbe, declared, port) }),
        };
      }),
    },
  };
}

/** The probe whose success means that requests can be taken; undefined where the template asks to wait for more than that. */
export function earlyProbe(pod: Pod): Probe | undefined {
  const port = pod.metadata.annotations?.[PORT_ANNOTATION];
  const main = pod.spec.containers.find((container) =>
    container.env?.some((one) => one.name === 'PORT' && one.value === port),
  );
  const probe = main?.readinessProbe;
  if (!probe || probe.exec || probe.initialDelaySeconds || main.startupProbe) return undefined;
  const beside = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].filter((one) => one !== main);
  if (beside.some(({ readinessProbe, startupProbe }) => readinessProbe ?? startupProbe)) return undefined;
  return probe;
}

/** The template leaves it to the platform how readiness is found out. */
const asksForPortOnly = ({ httpGet, exec, grpc }: Probe): boolean => !httpGet && !exec && !grpc;

/** The probe, aimed at the port in use where it is aimed at none or at the one declared, by number or name; without a handler it asks for the port to be open. */
function probeAt(
  probe: Probe,
  declared: (number | string | undefined)[],
  port: number,
  eager = false,
): Probe {
  const aim = (asked: number | string) => (!asked || declared.includes(asked) ? port : asked);
  const aimed: Probe = { successThreshold: 1, ...probe };
  // "Aggressive probing" is upstream's own; as a Pod's probe it is the shortest period there is.
  if (!aimed.periodSeconds) aimed.periodSeconds = eager && asksForPortOnly(probe) ? OPEN_PORT_PERIOD_S : 1;
  if (probe.httpGet) {
    // Upstream's own prober takes it in any case; a Pod must have it in capitals.
    const scheme = probe.httpGet.scheme?.toUpperCase();
    aimed.httpGet = { ...probe.httpGet, port: aim(probe.httpGet.port), ...(scheme && { scheme }) };
  } else if (probe.grpc) aimed.grpc = { ...probe.grpc, port: Number(aim(probe.grpc.port)) };
  else if (probe.tcpSocket || !probe.exec)
    aimed.tcpSocket = { ...probe.tcpSocket, port: aim(probe.tcpSocket?.port ?? 0) };
  return aimed;
}
