/** What begins with the first object of some kinds, and costs nothing before. */
import type { Logger } from '../base/log.ts';
import type { Store, Stored } from '../engine/store/contract.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../kube/client.ts';
import { createInformer } from '../kube/informer.ts';

export interface FirstObjectOptions {
  /** Resources as the store names them, of which one object is enough. */
  resources: readonly string[];
  /** Where changes can only be watched, each of these is a connection. A cluster that does not have them has nothing to follow. */
  watched: readonly ResourceRef[];
  /** An object of another kind that asks for it by a label. */
  labelled?: { resource: ResourceRef; label: string; value: string };
  /** The store behind the API, when it is in this process. */
  store: Store | undefined;
  client(): KubeClient;
  log: Logger;
}

export interface FirstObject {
  /** Whether there is an object already; known only where the store is in this process. */
  readonly exists: boolean;
  stop(): void;
}

/** Calls `first` when there is an object, perhaps more than once; until it is stopped. */
export function onFirstObject(options: FirstObjectOptions, first: () => void): FirstObject {
  const { store, resources, labelled } = options;
  if (store === undefined) return { exists: false, stop: followApi(options, first) };
  const ends = resources.map((resource) => store.subscribe(resource, first));
  let asked = false;
  if (labelled !== undefined) {
    const { resource, label, value } = labelled;
    const key = `${resource.group}/${resource.plural}`;
    const asks = ({ object }: Stored) => object.metadata.labels?.[label] === value;
    asked = store.list(key, { filter: asks }).items.length > 0;
    ends.push(
      store.subscribe(key, ({ type, current }) => {
        if (type !== 'DELETED' && asks(current)) first();
      }),
    );
  }
  return {
    exists: asked || resources.some((resource) => store.count(resource) > 0),
    stop() {
      for (const end of ends) end();
    },
  };
}

function followApi({ watched, labelled, client, log }: FirstObjectOptions, first: () => void): () => void {
  const api = client();
  const followed: [resource: ResourceRef, labelSelector?: string][] = watched.map((resource) => [resource]);
  if (labelled !== undefined) followed.push([labelled.resource, `${labelled.label}=${labelled.value}`]);
  const informers = followed.map(([resource, labelSelector]) =>
    createInformer({ client: api, resource, log, ...(labelSelector && { labelSelector }) }),
  );
  let ended = false;
  followed.forEach(([resource], index) => {
    const informer = informers[index]!;
    informer.addHandler({ add: first });
    const start = () => {
      if (!ended) informer.start();
    };
    api.list(resource, { limit: 1 }).then(start, (error: unknown) => {
      if (!(error instanceof KubeError) || error.code !== 404) start();
    });
  });
  return () => {
    ended = true;
    for (const informer of informers) informer.stop();
  };
}
