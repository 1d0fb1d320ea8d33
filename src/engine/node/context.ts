/** What everything that runs Pods on this machine shares. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { ConfigSource, NodeFacts } from '../../kinds/container-env.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventRecorder } from '../../kube/events.ts';
import type { ContainerDriver } from './drivers/driver.ts';
import type { LocalImage } from './local-images.ts';
import type { LogStore } from './logs/store.ts';
import type { Images } from './oci/index.ts';
import type { PulledImage } from './oci/store.ts';
import type { TokenIssuer } from './tokens.ts';
import type { VolumeDirs } from './volumes.ts';

export interface WorkerContext {
  client: KubeClient;
  driver: ContainerDriver;
  clock: Clock;
  log: Logger;
  events: EventRecorder;
  logs: LogStore;
  facts: NodeFacts;
  /** Conditions about the machine that every Pod carries. */
  machine: Condition[];
  runDir: string;
  volumes: VolumeDirs;
  tokens: TokenIssuer;
  /** Code caches, one directory per package and language version. */
  cacheDir: string;
  node: string;
  runtimesDir: string;
  path: string;
  runtime(name: string): Runtime | undefined;
  localImage(image: string): LocalImage | undefined;
  pulledImage(image: string): PulledImage | undefined;
  /** See `Images`. */
  pull: Images['pull'];
  /** See `createPreparations`. */
  prepare(image: string | undefined): Promise<void> | undefined;
  /** Secrets and ConfigMaps a Pod refers to, from memory once they have been asked for. */
  config(pod: Pod): Promise<ConfigSource>;
}
