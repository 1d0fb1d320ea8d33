/** Knative Serving's ConfigMaps: which there are, what they say, and what is wrong with one. All pure. */
import { crc32 } from 'node:zlib';
import { type AutoscalerConfigMap, parseConfigAutoscaler } from './autoscaler.ts';
import { type DefaultsConfig, parseConfigDefaults } from './defaults.ts';
import { type DeploymentConfig, parseConfigDeployment } from './deployment.ts';
import { type DomainConfig, parseConfigDomain } from './domain.ts';
import { type FeaturesConfig, parseConfigFeatures } from './features.ts';
import { type GcConfig, parseConfigGc } from './gc.ts';
import { type NetworkConfig, parseConfigNetwork } from './network.ts';
import { type ConfigData, ConfigMapError } from './read.ts';

export { type AutoscalerConfigMap, parseConfigAutoscaler } from './autoscaler.ts';
export { type DefaultsConfig, parseConfigDefaults } from './defaults.ts';
export { type DeploymentConfig, parseConfigDeployment, runtimeClassFor } from './deployment.ts';
export {
  CLUSTER_DOMAIN,
  type DomainConfig,
  type DomainRule,
  domainFor,
  parseConfigDomain,
} from './domain.ts';
export { type FeaturesConfig, type Flag, parseConfigFeatures } from './features.ts';
export { type GcConfig, parseConfigGc } from './gc.ts';
export { type NetworkConfig, parseConfigNetwork } from './network.ts';
export { type ConfigData, ConfigMapError } from './read.ts';

/** Where the ConfigMaps are. */
export const SERVING_NAMESPACE = 'knative-serving';

/** What the ConfigMaps say, each under a short name. */
export interface ServingConfig {
  autoscaler: AutoscalerConfigMap;
  defaults: DefaultsConfig;
  deployment: DeploymentConfig;
  domain: DomainConfig;
  features: FeaturesConfig;
  gc: GcConfig;
  network: NetworkConfig;
}

const PARSERS: { [K in keyof ServingConfig]: (data?: ConfigData) => ServingConfig[K] } = {
  autoscaler: parseConfigAutoscaler,
  defaults: parseConfigDefaults,
  deployment: parseConfigDeployment,
  domain: parseConfigDomain,
  features: parseConfigFeatures,
  gc: parseConfigGc,
  network: parseConfigNetwork,
};

/** `config-autoscaler` and so on: all that there are. */
export const CONFIG_NAMES: readonly string[] = Object.keys(PARSERS).map((name) => `config-${name}`);

const shortName = (name: string): keyof ServingConfig | undefined =>
  CONFIG_NAMES.includes(name) ? (name.slice('config-'.length) as keyof ServingConfig) : undefined;

/** What holds where no ConfigMap says otherwise. */
export const DEFAULT_SERVING_CONFIG: Readonly<ServingConfig> = {
  autoscaler: parseConfigAutoscaler(),
  defaults: parseConfigDefaults(),
  deployment: parseConfigDeployment(),
  domain: parseConfigDomain(),
  features: parseConfigFeatures(),
  gc: parseConfigGc(),
  network: parseConfigNetwork(),
};

/** `config` with what one ConfigMap says now. One that is gone (`data` undefined) counts as empty; one that cannot be used changes nothing. */
export function withConfigMap(
  config: Readonly<ServingConfig>,
  name: string,
  data: ConfigData | undefined,
): ServingConfig {
  const key = shortName(name);
  if (key === undefined) return config;
  try {
    return { ...config, [key]: PARSERS[key](data) };
  } catch (error) {
    if (error instanceof ConfigMapError) return config;
    throw error;
  }
}

const EXAMPLE = '_example';
const CHECKSUM = 'knative.dev/example-checksum';

/**
 * Why a ConfigMap of that name may not say this, in the words of Knative's own; undefined when it may, and for names
 * that mean nothing. The example block is documentation: changing it is always a mistake.
 */
export function configMapProblem(
  name: string,
  data: ConfigData = {},
  annotations: Record<string, string> = {},
): string | undefined {
  const key = shortName(name);
  if (key === undefined) return undefined;
  const example = data[EXAMPLE];
  const checksum = annotations[CHECKSUM];
  if (example !== undefined && checksum !== undefined) {
    if (checksum !== crc32(example.trim()).toString(16).padStart(8, '0')) {
      return `the update modifies a key in "${EXAMPLE}" which is probably not what you want. Instead, copy the respective setting to the top-level of the ConfigMap, directly below "data"`;
    }
  }
  try {
    PARSERS[key](data);
    return undefined;
  } catch (error) {
    if (error instanceof ConfigMapError) return error.message;
    throw error;
  }
}
