/** Knative's ConfigMaps as `LiveConfig.read` takes them. What they say, and what is wrong with one, is in `kinds/config`. */
import {
  parseConfigAutoscaler,
  parseConfigDeployment,
  parseConfigFeatures,
  parseConfigGc,
  parseConfigNetwork,
} from '../kinds/config/index.ts';

export const AUTOSCALER = { name: 'config-autoscaler', parse: parseConfigAutoscaler };
export const DEPLOYMENT = { name: 'config-deployment', parse: parseConfigDeployment };
export const FEATURES = { name: 'config-features', parse: parseConfigFeatures };
export const GC = { name: 'config-gc', parse: parseConfigGc };
export const NETWORK = { name: 'config-network', parse: parseConfigNetwork };
/** Which domain Routes get. Read through `createDomains`, which knows the domain of all others. */
export const DOMAIN_MAP = 'config-domain';
