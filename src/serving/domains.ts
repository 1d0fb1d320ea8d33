/** Under which names Routes and their tags are reachable. Rules of upstream's `route/domains` and `route/visibility`. */
import { CLUSTER_DOMAIN, type ConfigData, domainFor, parseConfigDomain } from '../kinds/config/index.ts';
import { dns1123Subdomain } from '../kinds/name.ts';
import type { Route } from '../kinds/serving.ts';
import type { LiveConfig } from './config.ts';
import { DOMAIN_MAP, NETWORK } from './settings.ts';

/** A name that the settings make of a Route and that is no host name. */
export class DomainError extends Error {}

/** The names of one Route. `tag` is empty or absent for the Route itself. */
export interface RouteNames {
  /** Name of the Route's (or tag's) placeholder Service and of its path. */
  hostname(tag?: string): string;
  /** Host names, the one in the URL first. */
  hosts(tag?: string): string[];
  url(tag?: string): string;
  /** Host of the URL. */
  host(tag?: string): string;
  clusterLocal(tag?: string): boolean;
}

export interface Domains {
  /** Throws `DomainError` when the templates yield something that is no host name. */
  of(route: Route): RouteNames;
}

export interface DomainsOptions {
  config: LiveConfig;
  /** The domain of Routes for which `config-domain` says nothing. */
  fallback: string;
  /** Port at which clients reach the gateway. */
  port: number;
  /** Whether a placeholder Service carries the label that makes its name local. */
  isLocal(namespace: string, hostname: string): boolean;
}

export function createDomains({ config, fallback, port, isLocal }: DomainsOptions): Domains {
  const domainMap = { name: DOMAIN_MAP, parse: (data: ConfigData) => parseConfigDomain(data, fallback) };
  return {
    of({ metadata }) {
      const { name, annotations = {}, labels = {} } = metadata;
      const namespace = metadata.namespace ?? '';
      const network = config.read(NETWORK);
      const domain = domainFor(config.read(domainMap), labels);
      const hostname = (tag = '') => (tag ? network.tagTemplate({ Name: name, Tag: tag }) : name);
      const clusterLocal = (tag = '') => domain === CLUSTER_DOMAIN || isLocal(namespace, hostname(tag));
      const localHosts = (tag: string) =>
        [CLUSTER_DOMAIN, 'svc', ''].map((suffix) =>
          [hostname(tag), namespace, suffix].filter(Boolean).join('.'),
        );
      const host = (tag = '') => {
        if (clusterLocal(tag)) return localHosts(tag)[0]!;
        const text = network.domainTemplate({
          Name: hostname(tag),
          Namespace: namespace,
          Domain: domain,
          Annotations: annotations,
          Labels: labels,
        });
        const messages = dns1123Subdomain(text);
        if (messages.length > 0) {
          throw new DomainError(
            `domain name error: invalid domain name ${JSON.stringify(text)}: url: Invalid value: ${JSON.stringify(text)}: ${messages.join(' ')}`,
          );
        }
        return text;
      };
      return {
        hostname,
        clusterLocal,
        host,
        hosts: (tag = '') => (clusterLocal(tag) ? localHosts(tag) : [host(tag), ...localHosts(tag)]),
        url(tag = '') {
          if (clusterLocal(tag)) return `http://${host(tag)}`;
          return externalUrl(network.defaultExternalScheme, host(tag), port);
        },
      };
    },
  };
}

/** A URL from outside. TLS ends in front of the gateway, at a port of its own. */
export function externalUrl(scheme: string, host: string, port: number): string {
  return scheme !== 'http' || port === 80 ? `${scheme}://${host}` : `http://${host}:${port}`;
}
