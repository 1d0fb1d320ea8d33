/**
 * What is said of certificates: there are none here, TLS ends in front of the gateway. Reasons and texts are upstream's, with its way
 * of serving on over HTTP where a certificate is not there.
 */
import type { ConditionManager } from '../kinds/conditions.ts';
import type { NetworkConfig } from '../kinds/config/index.ts';
import type { ObjectMeta } from '../kinds/object.ts';

const CONDITION = 'CertificateProvisioned';
const DISABLED_BY = [
  'networking.knative.dev/disable-external-domain-tls',
  'networking.knative.dev/disable-auto-tls',
  'networking.knative.dev/disableAutoTLS',
];

/** Marks the condition `CertificateProvisioned` of a Route or DomainMapping with these annotations. */
export function markCertificate(
  manager: ConditionManager,
  network: Pick<NetworkConfig, 'externalDomainTls' | 'httpProtocol'>,
  { annotations = {} }: ObjectMeta,
  options: {
    /** Name that the certificate would have. */
    certificate: string;
    clusterLocal?: boolean;
  },
): void {
  const disabled = DISABLED_BY.some((key) => annotations[key]?.toLowerCase() === 'true');
  if (!network.externalDomainTls || disabled) {
    manager.markTrue(CONDITION, 'TLSNotEnabled', 'external-domain-tls is not enabled');
  } else if (options.clusterLocal) {
    manager.markTrue(CONDITION, 'TLSNotEnabled', 'TLS is not enabled for cluster-local');
  } else if (network.httpProtocol === 'enabled') {
    const message = `Certificate ${options.certificate} is not ready downgrade HTTP.`;
    manager.markTrue(CONDITION, 'HTTPDowngrade', message);
  } else {
    manager.markUnknown(CONDITION, 'CertificateNotReady', `Certificate ${options.certificate} is not ready.`);
  }
}
