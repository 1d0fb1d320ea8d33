/** What every handler may use; nothing else reaches the world. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { EventingConfig } from '../../kinds/config/eventing.ts';
import type { ServingConfig } from '../../kinds/config/index.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { Store } from '../store/contract.ts';
import type { Quotas } from './quotas.ts';

export interface ApiContext {
  store: Store;
  registry: Registry;
  clock: Clock;
  /** Numbers in [0, 1). */
  random: () => number;
  /** A fresh object uid. */
  uid: () => string;
  log: Logger;
  quotas: Quotas;
  /** What Knative's ConfigMaps say now. */
  config: () => Readonly<ServingConfig>;
  /** What those of eventing say now; read with the first object that asks. */
  eventing: () => Readonly<EventingConfig>;
}

/** Who asks. */
export interface User {
  name: string;
  groups: string[];
  uid?: string;
}

/** May do everything. Source: kubernetes `user.SystemPrivilegedGroup`. */
export const MASTERS = 'system:masters';
