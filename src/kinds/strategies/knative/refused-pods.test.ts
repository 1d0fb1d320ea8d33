import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  configured,
  container,
  denied,
  mounted,
  off,
  type RefusedSpec,
  refuses,
  service,
} from './testing.ts';

const S = 'spec.template.spec';
const C = `${S}.containers[0]`;
const two = { containers: [{ image: 'a', ports: [{ containerPort: 1 }] }, { image: 'b' }] };
const HANDLERS = (path: string) =>
  ['exec', 'grpc', 'httpGet', 'tcpSocket'].map((h) => `${path}.${h}`).join(', ');

/** What is refused in a template's spec, and the ConfigMaps under which it is. */
const SPECS: RefusedSpec[] = [
  ['no containers', {}, `missing field(s): ${S}.containers`],
  ['no image', { containers: [{}] }, `missing field(s): ${C}.image`],
  [
    'image that is none',
    container({ image: 'a b' }),
    `Failed to parse image reference: ${C}.image\nimage: "a b", error: could not parse reference: a b`,
  ],
  [
    'lifecycle, stdin and tty',
    container({
      lifecycle: {},
      tty: true,
      stdin: true,
      stdinOnce: true,
      volumeDevices: [{}],
      resizePolicy: [{}],
    }),
    `must not set the field(s): ${['lifecycle', 'resizePolicy', 'stdin', 'stdinOnce', 'tty', 'volumeDevices'].map((f) => `${C}.${f}`).join(', ')}`,
  ],
  [
    'a native sidecar',
    container({ restartPolicy: 'Always' }),
    `must not set the field(s): ${C}.restartPolicy`,
  ],
  [
    'resource claims',
    container({ resources: { claims: [{ name: 'c' }] } }),
    `must not set the field(s): ${C}.resources.claims`,
  ],
  [
    'fields of pods that are never allowed',
    {
      ...container({}),
      restartPolicy: 'Never',
      nodeName: 'n',
      hostname: 'h',
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: true,
    },
    `must not set the field(s): ${['automountServiceAccountToken', 'hostname', 'nodeName', 'restartPolicy', 'terminationGracePeriodSeconds'].map((f) => `${S}.${f}`).join(', ')}`,
  ],
  [
    'service account',
    { ...container({}), serviceAccountName: 'a_b' },
    `invalid value: a_b: ${S}.serviceAccountName\na lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
  ],
  [
    'termination message policy',
    container({ terminationMessagePolicy: 'x' }),
    `invalid value: x: ${C}.terminationMessagePolicy`,
  ],
  [
    'reserved name',
    container({ name: 'queue-proxy' }),
    `"queue-proxy" is a reserved container name: ${C}.name`,
  ],
  [
    'same name twice',
    {
      containers: [
        { image: 'a', name: 'n', ports: [{ containerPort: 1 }] },
        { image: 'b', name: 'n' },
      ],
    },
    `duplicate container name "n": ${S}.containers[1].name`,
  ],
  [
    'name of an init container',
    { ...container({ name: 'n' }), initContainers: [{ image: 'b', name: 'n' }] },
    `duplicate container name "n": ${S}.initContainers[0].name`,
  ],
  // env
  ['nameless variable', container({ env: [{ value: 'x' }] }), `missing field(s): ${C}.env[0].name`],
  ...['PORT', 'K_SERVICE', 'K_CONFIGURATION', 'K_REVISION'].map(
    (name): RefusedSpec => [
      `reserved variable ${name}`,
      container({ env: [{ name, value: 'x' }] }),
      `"${name}" is a reserved environment variable: ${C}.env[0].name`,
    ],
  ),
  [
    'reserved variable of a sidecar',
    { containers: [two.containers[0], { image: 'b', env: [{ name: 'PORT' }, { name: 'K_REVISION' }] }] },
    `"K_REVISION" is a reserved environment variable: ${S}.containers[1].env[1].name`,
  ],
  [
    'variable from a field',
    container({
      env: [
        { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      ],
    }),
    `must not set the field(s): ${C}.env[0].valueFrom.fieldRef, ${C}.env[1].valueFrom.resourceFieldRef`,
    off('kubernetes.podspec-fieldref'),
  ],
  [
    'variables from nowhere',
    container({ envFrom: [{}] }),
    `expected exactly one, got neither: ${C}.envFrom.configMapRef, ${C}.envFrom.secretRef`,
  ],
  [
    'variables from two',
    container({ envFrom: [{ configMapRef: { name: 'c' }, secretRef: { name: 's' } }] }),
    `expected exactly one, got both: ${C}.envFrom.configMapRef, ${C}.envFrom.secretRef`,
  ],
  // ports
  [
    'port name',
    container({ ports: [{ name: 'web', containerPort: 1 }] }),
    `Port name web is not allowed: ${C}.ports\nName must be empty, or one of: 'h2c', 'http1'`,
  ],
  ...[8012, 8013, 8022, 9090, 9091, 8008].map(
    (port): RefusedSpec => [
      `reserved port ${port}`,
      container({ ports: [{ containerPort: port }] }),
      `invalid value: ${port} is a reserved port: ${C}.ports.containerPort\n${port} is a reserved port, please use a different value`,
    ],
  ),
  [
    'port range',
    container({ ports: [{ containerPort: 70000 }] }),
    `expected 0 <= 70000 <= 65535: ${C}.ports.containerPort`,
  ],
  [
    'protocol',
    container({ ports: [{ containerPort: 1, protocol: 'UDP' }] }),
    `invalid value: UDP: ${C}.ports.protocol`,
  ],
  [
    'port of the host',
    container({ ports: [{ containerPort: 1, hostPort: 1, hostIP: '::' }] }),
    `must not set the field(s): ${C}.ports.hostIP, ${C}.ports.hostPort`,
  ],
  [
    'two ports',
    container({ ports: [{ containerPort: 1 }, { containerPort: 2 }] }),
    `more than one container port is set: ${S}.containers[*].ports\nOnly a single port is allowed across all containers`,
  ],
  [
    'two containers, no port',
    { containers: [{ image: 'a' }, { image: 'b' }] },
    `missing field(s): ${S}.containers[*].ports`,
  ],
  // limits
  [
    'concurrency',
    { ...container({}), containerConcurrency: 1001 },
    `expected 0 <= 1001 <= 1000: ${S}.containerConcurrency`,
  ],
  [
    'concurrency above the limit',
    { ...container({}), containerConcurrency: 11 },
    `expected 0 <= 11 <= 10: ${S}.containerConcurrency`,
    { defaults: { 'container-concurrency-max-limit': '10' } },
  ],
  [
    'concurrency without limit where that is off',
    { ...container({}), containerConcurrency: 0 },
    `expected 1 <= 0 <= 1000: ${S}.containerConcurrency`,
    { defaults: { 'allow-container-concurrency-zero': 'false', 'container-concurrency': '1' } },
  ],
  ['timeout', { ...container({}), timeoutSeconds: 601 }, `expected 0 <= 601 <= 600: ${S}.timeoutSeconds`],
  [
    'negative timeout',
    { ...container({}), timeoutSeconds: -1 },
    `expected 0 <= -1 <= 600: ${S}.timeoutSeconds`,
  ],
  [
    'timeout above the limit',
    { ...container({}), timeoutSeconds: 601 },
    `expected 0 <= 601 <= 400: ${S}.timeoutSeconds`,
    { defaults: { 'max-revision-timeout-seconds': '400' } },
  ],
  [
    'idle timeout',
    { ...container({}), timeoutSeconds: 10, idleTimeoutSeconds: 11 },
    `expected 0 <= 11 <= 10: ${S}.idleTimeoutSeconds`,
  ],
  [
    'response start timeout',
    { ...container({}), timeoutSeconds: 10, responseStartTimeoutSeconds: 11 },
    `expected 0 <= 11 <= 10: ${S}.responseStartTimeoutSeconds`,
  ],
  // probes
  [
    'eager probing has no thresholds',
    container({ readinessProbe: { failureThreshold: 3, timeoutSeconds: 1 } }),
    `failureThreshold is disallowed when periodSeconds is zero: ${C}.readinessProbe.failureThreshold\ntimeoutSeconds is disallowed when periodSeconds is zero: ${C}.readinessProbe.timeoutSeconds`,
  ],
  [
    'probe numbers',
    container({
      readinessProbe: {
        periodSeconds: -1,
        initialDelaySeconds: -1,
        successThreshold: -1,
        timeoutSeconds: -1,
        failureThreshold: -1,
      },
    }),
    `expected 0 <= -1 <= 2147483647: ${C}.readinessProbe.initialDelaySeconds, ${C}.readinessProbe.periodSeconds\nexpected 1 <= -1 <= 2147483647: ${C}.readinessProbe.failureThreshold, ${C}.readinessProbe.successThreshold, ${C}.readinessProbe.timeoutSeconds`,
  ],
  [
    'two handlers',
    container({ livenessProbe: { httpGet: {}, grpc: { port: 1 } } }),
    `expected exactly one, got both: ${C}.livenessProbe.gRPC, ${C}.livenessProbe.httpGet`,
  ],
  [
    'no handler',
    container({ startupProbe: {} }),
    `expected exactly one, got neither: ${HANDLERS(`${C}.startupProbe`)}`,
  ],
  [
    'probe port by another name',
    container({ readinessProbe: { httpGet: { port: 'http' } }, ports: [{ name: 'h2c', containerPort: 1 }] }),
    `invalid value: http: ${C}.readinessProbe.httpGet.port\nProbe port must match container port`,
  ],
  [
    'probe port of a sidecar',
    { containers: [two.containers[0], { image: 'b', livenessProbe: { tcpSocket: {} } }] },
    `invalid value: 0: ${S}.containers[1].livenessProbe.tcpSocket.port\nProbe port must be specified`,
  ],
  [
    'probe of a sidecar where that is off',
    {
      containers: [
        two.containers[0],
        { image: 'b', livenessProbe: { tcpSocket: { port: 1 }, periodSeconds: 1 } },
      ],
    },
    `must not set the field(s): ${S}.containers[1].livenessProbe, ${S}.containers[1].livenessProbe.periodSeconds`,
    off('multi-container-probing'),
  ],
  [
    'probe of an init container',
    {
      ...container({}),
      initContainers: [{ image: 'j', livenessProbe: {}, readinessProbe: {}, startupProbe: {} }],
    },
    `field not allowed in an init container: ${S}.initContainers[0].livenessProbe, ${S}.initContainers[0].readinessProbe, ${S}.initContainers[0].startupProbe`,
  ],
  [
    'port of an init container',
    {
      ...container({}),
      initContainers: [{ image: 'j', ports: [{ containerPort: 1 }, { containerPort: 8012 }] }],
    },
    `invalid value: 8012 is a reserved port: ${S}.initContainers[0].ports.containerPort\n8012 is a reserved port, please use a different value`,
  ],
  [
    'several containers where that is off',
    two,
    'multi-container is off, but found 2 containers: ',
    off('multi-container'),
  ],
  [
    'init containers where that is off',
    { ...container({}), initContainers: [{ image: 'j' }] },
    `must not set the field(s): ${S}.initContainers\npod spec support for init-containers is off, but found 1 init containers: `,
    off('kubernetes.podspec-init-containers'),
  ],
  // security
  [
    'privileged',
    container({ securityContext: { privileged: true, procMount: 'Default', seLinuxOptions: {} } }),
    `must not set the field(s): ${C}.securityContext.privileged, ${C}.securityContext.procMount, ${C}.securityContext.seLinuxOptions`,
  ],
  [
    'user and group',
    container({ securityContext: { runAsUser: -1, runAsGroup: 2147483648 } }),
    `expected 0 <= -1 <= 2147483647: ${C}.securityContext.runAsUser\nexpected 0 <= 2147483648 <= 2147483647: ${C}.securityContext.runAsGroup`,
  ],
  [
    'capabilities where they are off',
    container({ securityContext: { capabilities: { add: ['NET_ADMIN'] } } }),
    `must not set the field(s): ${C}.securityContext.capabilities.add`,
    off('kubernetes.containerspec-addcapabilities'),
  ],
  [
    'more than low ports where pods are secure',
    container({ securityContext: { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE', 'CHOWN'] } } }),
    `must not set the field(s): ${C}.securityContext.capabilities.add`,
    {
      features: { 'kubernetes.containerspec-addcapabilities': 'disabled', 'secure-pod-defaults': 'enabled' },
    },
  ],
  [
    'security of the pod',
    {
      ...container({}),
      securityContext: { runAsUser: -1, fsGroup: -1, supplementalGroups: [1, -1], sysctls: [] },
    },
    `expected 0 <= -1 <= 2147483647: ${S}.securityContext.fsGroup, ${S}.securityContext.runAsUser, ${S}.securityContext.supplementalGroups[1]\nmust not set the field(s): ${S}.securityContext.sysctls`,
  ],
  [
    'security of the pod where it is off',
    { ...container({}), securityContext: { runAsUser: 1 } },
    `must not set the field(s): ${S}.securityContext, ${S}.securityContext.runAsUser`,
    off('kubernetes.podspec-securitycontext'),
  ],
  // features
  ...(
    [
      ['affinity', {}, 'affinity'],
      ['topologySpreadConstraints', [{}], 'topologyspreadconstraints'],
      ['hostAliases', [{}], 'hostaliases'],
      ['nodeSelector', { a: 'b' }, 'nodeselector'],
      ['tolerations', [{}], 'tolerations'],
      ['runtimeClassName', 'r', 'runtimeclassname'],
      ['dnsPolicy', 'Default', 'dnspolicy'],
      ['dnsConfig', {}, 'dnsconfig'],
      ['shareProcessNamespace', false, 'shareprocessnamespace'],
      ['hostIPC', true, 'hostipc'],
      ['hostPID', true, 'hostpid'],
      ['hostNetwork', true, 'hostnetwork'],
      ['priorityClassName', 'p', 'priorityclassname'],
      ['schedulerName', 's', 'schedulername'],
    ] as const
  ).map(
    ([field, value, flag]): RefusedSpec => [
      `${field} where it is off`,
      { ...container({}), [field]: value },
      `must not set the field(s): ${S}.${field}`,
      off(`kubernetes.podspec-${flag}`),
    ],
  ),
  [
    'several problems',
    {
      ...container({ image: '', name: 'queue-proxy', tty: true, lifecycle: {} }),
      timeoutSeconds: 700,
      nodeName: 'n',
    },
    `"queue-proxy" is a reserved container name: ${C}.name\nexpected 0 <= 700 <= 600: ${S}.timeoutSeconds\nmissing field(s): ${C}.image\nmust not set the field(s): ${C}.lifecycle, ${C}.tty, ${S}.nodeName`,
  ],
];
refuses(SPECS);

test('what Go finds nothing in is not set', () => {
  const spec = {
    ...container({ stdin: false, tty: false }),
    hostNetwork: false,
    hostname: '',
    nodeName: null,
    automountServiceAccountToken: false,
  };
  assert.equal(denied('services', service(spec), configured(off('kubernetes.podspec-hostnetwork'))), '');
});

test('Allowed lets fields through the mask, but switches nothing on', () => {
  const allowed = (flag: string) => configured({ features: { [flag]: 'Allowed' } });
  const withAffinity = service({ ...container({}), affinity: {} });
  assert.equal(denied('services', withAffinity, allowed('kubernetes.podspec-affinity')), '');
  assert.equal(
    denied('services', service(mounted({ emptyDir: {} })), allowed('kubernetes.podspec-volumes-emptydir')),
    'EmptyDir volume support is disabled, but found EmptyDir volume v: ',
  );
});
