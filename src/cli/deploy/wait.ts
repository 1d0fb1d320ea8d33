/** Waiting until an object is as it should be, or until it is known why it never will. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec, PetrelFunction } from '../../kinds/function.ts';
import type { Condition, KubeObject } from '../../kinds/object.ts';
import type { KubeClient, ResourceRef } from '../../kube/client.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import { readyCondition } from '../conditions.ts';

/** How long a new revision may take to answer, milliseconds. */
export const LIMIT_MS = 120_000;

export interface Wait<T extends KubeObject> {
  resource: ResourceRef;
  /** The version to start from. */
  object: T;
  limitMs: number;
  /** Whether the wait is over; throws when it is over for good without that. */
  done(object: T): boolean;
  /** Whether something is under way that has a time limit of its own: until it is over this one's does not run. */
  held?(object: T): boolean;
}

/**
 * Resolves to the object once `done`, without asking again and again. Throws what `done` throws, `Conflict` when the object is deleted
 * meanwhile, and `Timeout` with what the object says about itself.
 */
export async function until<T extends KubeObject>(client: KubeClient, wait: Wait<T>): Promise<T> {
  const { resource, limitMs } = wait;
  const { namespace, name, uid } = wait.object.metadata;
  let newest = wait.object;
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const done = (object: T): boolean => {
    const held = wait.held?.(object) ?? false;
    if (held) {
      clearTimeout(timer);
      timer = undefined;
    } else timer ??= setTimeout(() => stop.abort(), limitMs);
    return wait.done(object);
  };
  try {
    while (!stop.signal.aborted) {
      if (done(newest)) return newest;
      const watch = client.watch<T>(resource, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: newest.metadata.resourceVersion,
        signal: stop.signal,
      });
      for await (const event of watch) {
        if (event.type === 'ERROR') break;
        if (event.type === 'BOOKMARK') continue;
        if (event.type === 'DELETED') throw replaced(name, 'deleted');
        newest = event.object;
        if (done(newest)) return newest;
      }
      if (stop.signal.aborted) break;
      newest = await client.get<T>(resource, namespace, name);
      if (newest.metadata.uid !== uid) throw replaced(name, 'deleted and made anew');
    }
  } catch (error) {
    if (!stop.signal.aborted || error instanceof PetrelError) throw error;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  const { conditions = [] } = (newest as { status?: { conditions?: Condition[] } }).status ?? {};
  const condition = conditions.find(({ type }) => type === 'Ready');
  throw new PetrelError('Timeout', `${name} was not ready within ${limitMs / 1000} s`, {
    why:
      [condition?.reason, condition?.message].filter(Boolean).join(': ') ||
      'no controller has said anything about it',
    fix: `petrel describe ${name} -n ${namespace}`,
  });
}

/**
 * Resolves to the Function once it is Ready for the generation in `fn`, starting from the version in `fn`. Throws `LoadError` with the
 * runtime's own text, `NotReady` for any other failure, `Conflict` when it is deleted or deployed again meanwhile, and `Timeout`.
 */
export function untilReady(
  client: KubeClient,
  fn: PetrelFunction,
  options: { limitMs?: number; held?(newest: PetrelFunction): boolean; past?: string } = {},
): Promise<PetrelFunction> {
  const { generation } = fn.metadata;
  const { limitMs = LIMIT_MS, held } = options;
  // What was deployed has not been looked at yet: a build that failed before says nothing about it.
  const past = options.past ?? (fn.status?.build?.phase === 'Failed' ? fn.status.build.inputs : undefined);
  return until(client, {
    resource: FUNCTIONS,
    object: fn,
    limitMs,
    ...(held ? { held } : {}),
    done: (newest) =>
      (past === undefined || newest.status?.build?.inputs !== past) && outcome(newest, generation),
  });
}

/** Whether it is Ready; throws when it has failed. */
function outcome(fn: PetrelFunction, generation: number | undefined): boolean {
  const { name, namespace } = fn.metadata;
  if ((fn.metadata.generation ?? 0) > (generation ?? 0)) throw replaced(name, 'deployed again');
  const condition = readyCondition(fn);
  if (condition?.status !== 'False') return condition?.status === 'True';
  const { reason = '', message = '' } = condition;
  if (reason === 'NotOwned') {
    throw new PetrelError('NameTaken', message || `the name ${name} is taken`, {
      fix: 'choose another one with --name',
    });
  }
  const { build } = fn.status ?? {};
  if (
    build?.phase === 'Failed' &&
    fn.status?.conditions?.some(({ type, status }) => type === 'BuildSucceeded' && status === 'False')
  ) {
    throw new PetrelError('BuildFailed', message.trimEnd() || `${name} could not be built`, {
      why: `the build of ${name} failed (${reason})${fn.status?.latestReadyRevisionName ? `; ${fn.status.latestReadyRevisionName} goes on serving` : ''}`,
      fix:
        BUILD_FIXES[reason] ??
        `correct the source and deploy it again; petrel builds logs ${name} shows everything it said`,
    });
  }
  if (LOAD_ERRORS.has(reason)) {
    throw new PetrelError('LoadError', message.trimEnd(), {
      why: `${name} could not be loaded (${reason})${fn.status?.latestReadyRevisionName ? `; ${fn.status.latestReadyRevisionName} goes on serving` : ''}`,
      fix: loadFix(fn.spec, message),
    });
  }
  throw new PetrelError('NotReady', `${name} is not ready: ${message || reason}`, {
    why: reason,
    fix: `petrel describe ${name} -n ${namespace}`,
  });
}

/** What to do about code that does not load: its settings may be what is wrong, not the source. */
function loadFix({ handler, state }: FunctionSpec, message: string): string {
  if (handler && message.includes(`named ${handler}`))
    return `name one that is there with --handler; --handler '' leaves the choice to the runtime`;
  if (state === undefined && NO_STATE_MODULE.test(message))
    return 'the module petrel is there for functions that have state: add --state own';
  return 'correct the source and deploy it again';
}

/** What Node and Python say of an import of the module that comes with state. */
const NO_STATE_MODULE = /Cannot find package 'petrel'|No module named 'petrel'/;

/** What to do about a build that failed for another reason than its source. */
const BUILD_FIXES: Record<string, string> = {
  ToolMissing: 'install it on the machine of the platform, then deploy again',
  BuildTimeout: 'make it faster, or give it more time with --build-timeout',
  ImageFailed:
    'correct the reference or log in to the registry, then deploy again; --image none leaves it out',
  BuildCancelled: 'deploy again to build it after all',
};

/** Reasons of the condition Ready that mean the code itself: the pools' and those of the instance protocol. */
const LOAD_ERRORS = new Set(['load_error', 'LoadError', 'EntryNotFound', 'HandlerNotFound']);

function replaced(name: string, how: string): PetrelError {
  return new PetrelError('Conflict', `${name} was ${how} while this command waited`, {
    fix: 'run it again if yours should win',
  });
}
