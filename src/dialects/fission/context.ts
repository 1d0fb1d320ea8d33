/** What every part of the dialect is given. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Gateway, RevisionStats } from '../../gateway/contract.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { type KubeClient, orUndefined, type ResourceRef } from '../../kube/client.ts';
import type { FissionPackages } from './archives.ts';
import type { Caches } from './caches.ts';
import type { FromKeda } from './queue-sources.ts';

export interface FissionOptions {
  client: KubeClient;
  gateway: Pick<Gateway, 'address' | 'setPathRoute'>;
  packages: FissionPackages;
  /** An archive of one file, as the package store takes it. */
  packFile(name: string, body: Buffer, executable: boolean): AsyncIterable<Uint8Array>;
  /** Whether a file that begins so is an archive that the package store reads; by up to 512 bytes, or more. */
  isArchive(head: Buffer): boolean;
  /** Uploads of the storage service are kept here. */
  dir: string;
  /** The socket on which the router's own paths and the storage service answer the gateway. */
  socket: string;
  /** The storage service's path at the gateway. It has a secret in it: who knows it may store and read archives. */
  storagePath: string;
  /** Path of the router's internal listener: who knows it calls functions without a token. */
  internalPath: string;
  /** Calls `listener` with what the gateway counts, once a second while there is traffic. Returns the way to stop. */
  follow(listener: (stats: readonly RevisionStats[]) => void): () => void;
  /** Path of the Node binary with which the fetcher beside an environment's image is run. */
  node: string;
  /** What the source of a type makes of KEDA's metadata; undefined: there is no such source, or it knows none. */
  fromKeda(type: string): Promise<FromKeda | undefined>;
  /** For `/_version`. */
  version: string;
  log: Logger;
  clock: Clock;
  fetch?: typeof fetch;
}

export interface Context extends FissionOptions {
  caches: Caches;
}

/** A part of the dialect that keeps something in line with the objects. */
export interface Part {
  /** Resolves when what exists is in effect, where that is to be waited for. */
  start(): Promise<void> | void;
  stop(): Promise<void> | void;
}

/** Writes a status if it says something new. */
export async function writeStatus<T extends KubeObject & { status?: object }>(
  client: KubeClient,
  resource: ResourceRef,
  object: T,
  status: NonNullable<T['status']>,
): Promise<void> {
  const plain = JSON.parse(JSON.stringify(status)) as typeof status;
  if (isDeepStrictEqual(plain, object.status ?? {})) return;
  await client.updateStatus(resource, { ...object, status: plain });
}

/** A cache that is behind is looked at again after this time, ms. */
export const BEHIND_MS = 20;

/** Whether an object that the cache does not show is there all the same. */
export const exists = async (
  client: KubeClient,
  resource: ResourceRef,
  namespace: string | undefined,
  name: string,
): Promise<boolean> => (await orUndefined(client.get(resource, namespace, name))) !== undefined;
