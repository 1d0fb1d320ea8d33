/** `petrel deploy` of YAML: applies the objects, waits for those that answer requests, prints where they do. */
import { PetrelError } from '../../base/errors.ts';
import type { Condition, UntypedObject } from '../../kinds/object.ts';
import type { ResourceRef } from '../../kube/client.ts';
import type { CommandContext } from '../command.ts';
import { readyCondition } from '../conditions.ts';
import { findOrStart } from '../platform.ts';
import { apiError, openSession, type Session } from '../session.ts';
import { applyObject, type Outcome, resourceFinder } from './apply.ts';
import { type Document, readDocuments } from './documents.ts';
import { runningPlatform } from './running.ts';
import { LIMIT_MS, until } from './wait.ts';

/** Options that say something about any deploy; the others are about code. */
const GENERAL = new Set(['namespace', 'no-wait', 'gateway', 'api', 'output', 'home']);
/** Applied before everything else, in this order: the others need them. */
const FIRST = [
  'Namespace',
  'CustomResourceDefinition',
  'Secret',
  'ConfigMap',
  'ServiceAccount',
  'Runtime',
  'Environment',
  'Package',
];
/** Kinds that say when they are Ready, by group. */
const WAITED = new Set([
  'serving.knative.dev/Service',
  'serving.knative.dev/Route',
  'serving.knative.dev/Configuration',
  'serving.knative.dev/DomainMapping',
  'petrel.dev/Function',
  'fission.io/Function',
]);

interface Applied {
  resource: ResourceRef;
  outcome: Outcome;
  object: UntypedObject;
}

export async function deployManifests(context: CommandContext): Promise<number> {
  const { args, out } = context;
  refuseCodeOptions(context);
  const path = args.required(0);
  const declared = inOrder(await readDocuments(path)).map((document) =>
    placed(document, args.text('namespace')),
  );
  const session = await openSession(runningPlatform(await findOrStart(context)));
  try {
    const documents = await resolved(declared, path, context);
    const applied = await applyAll(session, documents);
    const final = args.flag('no-wait')
      ? applied
      : await out.progress(
          `waiting for ${path === '-' ? 'what was applied' : path}`,
          Promise.all(applied.map((one) => ready(session, one))),
        );
    await print(context, final);
    return 0;
  } catch (error) {
    throw apiError(error);
  } finally {
    session.transport.close();
  }
}

/** Fission's spec directories name files, which are uploaded first. */
async function resolved(documents: Document[], path: string, { home }: CommandContext): Promise<Document[]> {
  if (!documents.some(({ object }) => object.apiVersion === 'fission.io/v1')) return documents;
  const { resolveFissionSpec } = await import('./fission.ts');
  return resolveFissionSpec(documents, path, home.socket);
}

function refuseCodeOptions({ args }: CommandContext): void {
  const wrong = args.given().find((option) => !GENERAL.has(option));
  if (wrong === undefined) return;
  throw new PetrelError('InvalidArgument', `--${wrong} does not go with YAML`, {
    why: 'the file says what is deployed',
    fix: 'write it into the file; petrel traffic and petrel scale change what is deployed already',
  });
}

function inOrder(documents: Document[]): Document[] {
  const rank = ({ object }: Document) => {
    const at = FIRST.indexOf(object.kind);
    return at === -1 ? FIRST.length : at;
  };
  return documents.toSorted((a, b) => rank(a) - rank(b));
}

/** Checks the namespace against the one asked for. */
function placed(document: Document, asked: string | undefined): Document {
  const { namespace, name } = document.object.metadata;
  if (asked === undefined || namespace === undefined || namespace === asked) {
    const metadata = { ...document.object.metadata, ...(asked && { namespace: asked }) };
    return { ...document, object: { ...document.object, metadata } };
  }
  throw new PetrelError('InvalidArgument', `${document.origin}: ${name} is for namespace ${namespace}`, {
    why: `-n ${asked} was given`,
    fix: 'leave out -n, or the namespace in the file',
  });
}

async function applyAll({ client, transport }: Session, documents: readonly Document[]): Promise<Applied[]> {
  const find = resourceFinder(transport);
  // A kind that does not exist shows before anything is written.
  const resources = await Promise.all(documents.map(({ object }) => find(object)));
  const applied: Applied[] = [];
  for (const [index, { object, origin }] of documents.entries()) {
    const resource = resources[index]!;
    const { namespace, ...metadata } = object.metadata;
    const scoped = {
      ...object,
      metadata: resource.namespaced ? { ...metadata, namespace: namespace ?? 'default' } : metadata,
    };
    try {
      applied.push({ resource, ...(await applyObject(client, resource, scoped)) });
    } catch (error) {
      const known = apiError(error);
      if (!(known instanceof PetrelError)) throw error;
      const { code, message, why, fix } = known;
      const done = applied.length > 0 ? `; applied before it: ${applied.map(labelOf).join(', ')}` : '';
      throw new PetrelError(code, `${origin}: ${object.kind} ${metadata.name}: ${message}`, {
        why: `${why}${done}`,
        fix,
        cause: error,
      });
    }
  }
  return applied;
}

/** Resolves once the object is Ready, at once where it never says so. */
async function ready(session: Session, applied: Applied): Promise<Applied> {
  const { resource, object } = applied;
  if (!WAITED.has(`${resource.group}/${resource.kind}`)) return applied;
  const { name, namespace } = object.metadata;
  const final = await until<UntypedObject>(session.client, {
    resource,
    object,
    limitMs: LIMIT_MS,
    done(newest) {
      const condition = readyCondition(newest);
      // Said of an older generation.
      if ((condition?.observedGeneration ?? Infinity) < (newest.metadata.generation ?? 0)) return false;
      if (condition?.status !== 'False') return condition?.status === 'True';
      // A moment of False on the way to True is no failure: what is said of the newest generation is.
      const { reason = '', message = '' }: Condition = condition;
      throw new PetrelError('NotReady', `${labelOf(applied)} is not ready: ${message || reason}`, {
        why: reason,
        fix: `kubectl describe ${resource.plural}.${resource.group} ${name} -n ${namespace}`,
      });
    },
  });
  return { ...applied, object: final };
}

function labelOf({ resource, object }: Applied): string {
  const kind = resource.kind.toLowerCase();
  return `${resource.group === '' ? kind : `${kind}.${resource.group}`}/${object.metadata.name}`;
}

async function print({ args, out }: CommandContext, applied: readonly Applied[]): Promise<void> {
  const rows = applied.map((one) => ({
    kind: one.object.kind,
    apiVersion: one.object.apiVersion,
    name: one.object.metadata.name,
    namespace: one.object.metadata.namespace ?? null,
    outcome: one.outcome,
    url: (one.object.status?.url as string | undefined) ?? null,
    ready: readyCondition(one.object)?.status === 'True',
  }));
  await out.data(rows, () => {
    for (const one of applied) out.note(`${labelOf(one)} ${one.outcome}`);
    for (const url of new Set(rows.map(({ url }) => url))) if (url) out.line(url);
    if (args.flag('no-wait')) out.note('not waited for; petrel list shows how it goes');
  });
}
