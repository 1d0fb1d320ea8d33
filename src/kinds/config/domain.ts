/** `config-domain`: under which domain a Route's URL lies. Source: knative.dev/serving `pkg/reconciler/route/config/domain.go`. */
import { dns1123Subdomain } from '../name.ts';
import { type ConfigData, ConfigMapError, textMap, yaml } from './read.ts';

/** One domain and the labels that a Route needs to lie under it; none: every Route. */
export interface DomainRule {
  domain: string;
  selector: Record<string, string>;
}

export interface DomainConfig {
  domains: DomainRule[];
}

/** Domain of Routes that are visible in the cluster only. */
export const CLUSTER_DOMAIN = 'svc.cluster.local';
const VISIBILITY = 'networking.knative.dev/visibility';

function rule(domain: string, raw: string): DomainRule {
  try {
    const problems = dns1123Subdomain(domain);
    if (problems.length > 0) throw new Error(problems.join('; '));
    const value = yaml(raw);
    if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value))) {
      throw new Error('must be empty or a `selector`');
    }
    return { domain, selector: textMap((value as { selector?: unknown } | undefined)?.selector, 'selector') };
  } catch (error) {
    throw new ConfigMapError(`failed to parse "${domain}": ${(error as Error).message}`);
  }
}

/** Throws `ConfigMapError`. `fallback` is the domain of Routes that nothing else selects, where no key is for all. */
export function parseConfigDomain(data: ConfigData = {}, fallback: string = CLUSTER_DOMAIN): DomainConfig {
  const domains = Object.entries(data).flatMap(([key, raw]) => (key === '_example' ? [] : [rule(key, raw)]));
  if (!domains.some(({ selector }) => Object.keys(selector).length === 0)) {
    domains.push({ domain: fallback, selector: {} });
  }
  return { domains };
}

/** The domain of a Route with these labels: the most specific selector, then the first in the alphabet. */
export function domainFor({ domains }: DomainConfig, labels: Record<string, string> = {}): string {
  if (labels[VISIBILITY] === 'cluster-local') return CLUSTER_DOMAIN;
  let best: DomainRule | undefined;
  const weight = ({ selector }: DomainRule): number => Object.keys(selector).length;
  for (const candidate of domains) {
    if (!Object.entries(candidate.selector).every(([key, value]) => labels[key] === value)) continue;
    const more = best === undefined ? 1 : weight(candidate) - weight(best);
    if (more > 0 || (more === 0 && candidate.domain < (best?.domain ?? ''))) best = candidate;
  }
  return best?.domain ?? CLUSTER_DOMAIN;
}
