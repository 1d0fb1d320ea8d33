/** `config-network`: host names, roll-outs, schemes. Source: knative.dev/networking `pkg/config`. */
import { compileTemplate, type Template } from '../go-template.ts';
import {
  bool,
  type ConfigData,
  ConfigMapError,
  field,
  int64,
  readFields,
  requireAll,
  text,
  yaml,
} from './read.ts';

export interface NetworkConfig {
  ingressClass: string;
  certificateClass: string;
  /** Of `Name`, `Namespace`, `Domain`, `Labels` and `Annotations` makes the host name of a Route. */
  domainTemplate: Template;
  /** Of `Name` (the Route's) and `Tag` makes the `Name` of a tagged target. */
  tagTemplate: Template;
  /** Seconds over which a new revision takes the traffic; 0 is at once. */
  rolloutDurationSeconds: number;
  autocreateClusterDomainClaims: boolean;
  defaultExternalScheme: string;
  externalDomainTls: boolean;
  clusterLocalDomainTls: boolean;
  systemInternalTls: boolean;
  httpProtocol: 'enabled' | 'disabled' | 'redirected';
  enableMeshPodAddressability: boolean;
  meshCompatibilityMode: string;
  /** A `meta/v1.LabelSelector`. */
  namespaceWildcardCertSelector: unknown;
}

const DOMAIN_TEMPLATE = '{{.Name}}.{{.Namespace}}.{{.Domain}}';
const TAG_TEMPLATE = '{{.Tag}}-{{.Name}}';

/** One of some words, in any case. */
const word =
  <T extends string>(words: readonly T[], otherwise: (raw: string) => string) =>
  (raw: string): T => {
    const found = words.find((w) => w === raw.toLowerCase());
    if (found === undefined) throw new ConfigMapError(otherwise(raw));
    return found;
  };
const enabled = (raw: string): boolean => raw.toLowerCase() === 'enabled';
const encryption = (key: string) => {
  const read = word(
    ['', 'enabled', 'disabled'],
    (raw) => `${key} with value: ${JSON.stringify(raw)} in config-network ConfigMap is not supported`,
  );
  return (raw: string): boolean => read(raw) === 'enabled';
};

const FIELDS = {
  ingressClass: field(text, 'petrel.ingress.networking.knative.dev', 'ingress.class', 'ingress-class'),
  certificateClass: field(
    text,
    'petrel.certificate.networking.knative.dev',
    'certificate.class',
    'certificate-class',
  ),
  domainTemplate: field(text, DOMAIN_TEMPLATE, 'domainTemplate', 'domain-template'),
  tagTemplate: field(text, TAG_TEMPLATE, 'tagTemplate', 'tag-template'),
  rolloutDurationSeconds: field(int64, 0, 'rolloutDuration', 'rollout-duration'),
  // Upstream's default is false, which makes every DomainMapping wait for an administrator.
  autocreateClusterDomainClaims: field(
    bool,
    true,
    'autocreateClusterDomainClaims',
    'autocreate-cluster-domain-claims',
  ),
  defaultExternalScheme: field(text, 'http', 'defaultExternalScheme', 'default-external-scheme'),
  externalDomainTls: field(enabled, false, 'autoTLS', 'auto-tls', 'external-domain-tls'),
  clusterLocalDomainTls: field(encryption('cluster-local-domain-tls'), false, 'cluster-local-domain-tls'),
  internalEncryption: field(bool, false, 'internal-encryption'),
  systemInternalTls: field(encryption('system-internal-tls'), false, 'system-internal-tls'),
  httpProtocol: field(
    word<'' | NetworkConfig['httpProtocol']>(
      ['', 'enabled', 'disabled', 'redirected'],
      (raw) => `httpProtocol ${raw} in config-network ConfigMap is not supported`,
    ),
    'enabled',
    'httpProtocol',
    'http-protocol',
  ),
  enableMeshPodAddressability: field(bool, false, 'enable-mesh-pod-addressability'),
  meshCompatibilityMode: field(text, 'auto', 'mesh-compatibility-mode'),
  namespaceWildcardCertSelector: field(yaml, undefined, 'namespace-wildcard-cert-selector'),
};

/** Without its annotations a Route may lack the first part of its name. */
const HOST = /^[-a-z0-9._~]+$/i;

function checkedTemplate(
  raw: string,
  key: string,
  sample: Record<string, string>,
  isHost: boolean,
): Template {
  try {
    const template = compileTemplate(raw);
    const values = { ...sample, ...(isHost ? { Annotations: undefined, Labels: undefined } : {}) };
    const result = template(values);
    if (!isHost) return template;
    if (result === '') throw new Error('empty hostname');
    const slash = result.indexOf('/');
    if (slash >= 0) throw new Error(`domain template has url path: ${result.slice(slash)}`);
    if (!HOST.test(result)) throw new Error(`${JSON.stringify(result)} is no host name`);
    return template;
  } catch (error) {
    throw new ConfigMapError(`failed to parse "${key}": ${(error as Error).message}`);
  }
}

/** Throws `ConfigMapError`. */
export function parseConfigNetwork(data: ConfigData = {}): NetworkConfig {
  const { internalEncryption, ...c } = readFields(FIELDS, data);
  requireAll([
    c.rolloutDurationSeconds >= 0,
    () => `rollout-duration must be a positive integer, but was ${c.rolloutDurationSeconds}`,
  ]);
  return {
    ...c,
    httpProtocol: c.httpProtocol || 'enabled',
    systemInternalTls: c.systemInternalTls || internalEncryption,
    domainTemplate: checkedTemplate(
      c.domainTemplate,
      'domain-template',
      { Name: 'foo', Namespace: 'bar', Domain: 'baz.com' },
      true,
    ),
    tagTemplate: checkedTemplate(c.tagTemplate, 'tag-template', { Name: 'foo', Tag: 'v2' }, false),
  };
}
