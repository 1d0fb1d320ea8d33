/** Brings what calls a function in line with `petrel deploy --on`, and makes brokers that are asked for. */
import { isDeepStrictEqual } from 'node:util';
import { PetrelError } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { KubeObject, UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, orUndefined, type ResourceRef } from '../../kube/client.ts';
import { EVENT_SOURCES, TRIGGERS } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import { readyCondition } from '../conditions.ts';
import { untilWritten } from '../conflict.ts';
import { ensureBroker, trouble } from './destination.ts';
import { FUNCTION_LABEL, objectsOf, parseOn, type Wish } from './on.ts';

/** What `--on` takes away: `--on none`. */
const NONE = 'none';
const KINDS: readonly ResourceRef[] = [TRIGGERS, EVENT_SOURCES];

/** The wishes of the options; undefined when there are none, so that what is there stays. Throws `InvalidArgument`. */
export function wishesOf(texts: readonly string[]): Wish[] | undefined {
  if (texts.length === 0) return undefined;
  return texts.filter((text) => text.trim() !== NONE).map(parseOn);
}

/** Creates the object, or gives the one that is there this spec and these labels. */
export async function put(
  client: KubeClient,
  resource: ResourceRef,
  object: KubeObject,
): Promise<UntypedObject> {
  const { namespace, name, labels, annotations, ownerReferences } = object.metadata;
  return untilWritten(async () => {
    const current = await orUndefined(client.get<UntypedObject>(resource, namespace, name));
    if (current === undefined) return client.create<UntypedObject>(resource, object);
    const { spec } = object as UntypedObject;
    const metadata = {
      ...current.metadata,
      labels: { ...current.metadata.labels, ...labels },
      annotations: { ...current.metadata.annotations, ...annotations },
      ...(ownerReferences ? { ownerReferences } : {}),
    };
    const next = { ...current, metadata, spec };
    return isDeepStrictEqual(next, current) ? current : client.update<UntypedObject>(resource, next);
  });
}

/** Writes what the wishes ask for and takes away what earlier ones left. Returns what there is now. */
export async function applyWishes(
  client: KubeClient,
  wishes: readonly Wish[],
  fn: PetrelFunction,
): Promise<UntypedObject[]> {
  const { name, namespace = 'default', uid = '' } = fn.metadata;
  const objects = objectsOf(wishes, { name, namespace, uid });
  for (const wish of wishes) if (wish.kind === 'trigger') await ensureBroker(client, namespace, wish.broker);
  const written: UntypedObject[] = [];
  for (const resource of KINDS) {
    const wanted = objects.filter(({ kind }) => kind === resource.kind);
    for (const object of wanted) written.push(await put(client, resource, object));
    const { items } = await client.list(resource, { namespace, labelSelector: `${FUNCTION_LABEL}=${name}` });
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    for (const { metadata } of items)
      if (!names.has(metadata.name)) await orUndefined(client.delete(resource, namespace, metadata.name));
  }
  return written;
}

/**
 * How long what calls a function may take to say how it is; how long it must say of one trouble before that is believed (a function
 * that has just become ready, an origin that is being connected to), and how often it is asked; milliseconds.
 */
const SETTLE_MS = 10_000;
const BELIEVED_MS = 1_500;
const LOOK_MS = 50;
/** A reason that is no trouble yet. */
const CONNECTING = 'Connecting';

/** The objects once each has said whether it works, or after a while. */
export async function untilCalled(
  client: KubeClient,
  objects: readonly UntypedObject[],
): Promise<UntypedObject[]> {
  const end = Date.now() + SETTLE_MS;
  return Promise.all(
    objects.map(async (object) => {
      const resource = KINDS.find(({ kind }) => kind === object.kind) ?? TRIGGERS;
      const { namespace, name } = object.metadata;
      let told = { trouble: '', since: Date.now() };
      for (;;) {
        const found = (await orUndefined(client.get<UntypedObject>(resource, namespace, name))) ?? object;
        const { status = 'Unknown', reason } = readyCondition(found) ?? {};
        const now = status === 'False' && reason !== CONNECTING ? trouble(found) : '';
        if (now !== told.trouble) told = { trouble: now, since: Date.now() };
        const believed = now !== '' && Date.now() - told.since > BELIEVED_MS;
        if (status === 'True' || Date.now() > end || believed) return found;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    }),
  );
}

/** What was asked of an object that has to be there. Throws `NotFound`, which says how to see those there are. */
export async function known<T>(asked: Promise<T>, what: 'trigger' | 'source', name: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof KubeError) || error.code !== 404) throw error;
    throw new PetrelError('NotFound', `there is no ${what} "${name}"`, {
      fix: `petrel ${what} list -A shows those there are`,
      cause: error,
    });
  }
}

/** An object that a command has made, once it works; it may say why not. With `--no-wait` as it was made. */
export async function settled(client: KubeClient, args: Args, object: UntypedObject): Promise<UntypedObject> {
  if (args.flag('no-wait')) return object;
  const [found = object] = await untilCalled(client, [object]);
  return found;
}

/** One of them, as the answer of the command shows it. */
export function callView(object: UntypedObject) {
  const ready = readyCondition(object)?.status === 'True';
  const { name } = object.metadata;
  const address = object.status?.address?.url as string | undefined;
  return {
    kind: object.kind,
    name,
    ready,
    ...(address === undefined ? {} : { address }),
    message: ready ? '' : trouble(object) || 'nothing was heard of it',
  };
}
