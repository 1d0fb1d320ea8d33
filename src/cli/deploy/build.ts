/** What a deploy shows of the build that it causes, and how it ends it. */
import { CANCEL_ANNOTATION, REBUILD_ANNOTATION } from '../../functions/builds/annotations.ts';
import type { FunctionSpec, PetrelFunction } from '../../kinds/function.ts';
import type { Pod } from '../../kinds/pod.ts';
import { FUNCTIONS, PODS, pathOf } from '../../kube/refs.ts';
import { isShown, type Output } from '../output.ts';
import type { Session } from '../session.ts';
import { untilReady } from './wait.ts';

/** Annotations for a deploy of what could not be built before: it is tried again, although nothing has changed. */
export function forgetFailedBuild(
  { status }: PetrelFunction,
  { package: code }: FunctionSpec,
  now: number,
): Record<string, string> {
  const failed = status?.build?.phase === 'Failed' && status.build.source === code?.digest;
  return failed ? { [REBUILD_ANNOTATION]: new Date(now).toISOString() } : {};
}

/** A build of the Function is under way, or waits for its turn. */
export const isBuilding = ({ status }: PetrelFunction): boolean =>
  status?.build?.phase === 'Pending' || status?.build?.phase === 'Running';

/**
 * Waits until the Function is ready, as `untilReady` does, and prints what its build says meanwhile. An interrupt (Ctrl-C) while it is
 * being built ends the build, and with it the wait. `past` are the inputs of a build that is known to be over.
 */
export async function untilDeployed(
  session: Session,
  out: Output,
  fn: PetrelFunction,
  past?: string,
): Promise<PetrelFunction> {
  const build = shownBuild(session, out);
  const onInterrupt = () => {
    if (!build.cancel()) process.exit(130);
    out.note('ending the build ...');
  };
  process.once('SIGINT', onInterrupt);
  try {
    return await untilReady(session.client, fn, {
      ...(past === undefined ? {} : { past }),
      held: build.held,
    });
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    await build.told();
  }
}

/** A build that is looked at while somebody waits for the Function. */
export interface ShownBuild {
  /** Takes a new state of the Function; says whether it is being built. */
  held(fn: PetrelFunction): boolean;
  /** Ends the build; false when none is under way. */
  cancel(): boolean;
  /** Resolves when what it said has been printed. */
  told(): Promise<void>;
}

/** Prints what builds of a Function say, from the first of its states on that tells of one. */
export function shownBuild(session: Session, out: Output): ShownBuild {
  let shown: { job: string; log: Promise<void> } | undefined;
  let newest: PetrelFunction | undefined;
  return {
    held(object) {
      newest = object;
      const { build } = object.status ?? {};
      if (build?.job && build.job !== shown?.job && isBuilding(object)) {
        // Compilers work for a long time without a word.
        out.note(`building ${object.metadata.name} ...`);
        shown = {
          job: build.job,
          log: printBuildLog(session, out, object, { follow: true }).catch(() => {}),
        };
      }
      return isBuilding(object);
    },
    cancel() {
      if (newest === undefined || !isBuilding(newest)) return false;
      cancelBuild(session, newest).catch((error: Error) => out.note(error.message));
      return true;
    },
    async told() {
      // The log ends with its Pod, which has ended; what is still on its way belongs before the outcome.
      if (shown && newest && !isBuilding(newest)) await Promise.race([shown.log, afterMs(LOG_LIMIT_MS)]);
    },
  };
}

/** How long the rest of a log is waited for once a build is over. */
const LOG_LIMIT_MS = 2000;
const afterMs = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref());

/** Ends the build that is under way. */
export async function cancelBuild({ client }: Session, { metadata, status }: PetrelFunction): Promise<void> {
  const { namespace, name } = metadata;
  const annotations = { [CANCEL_ANNOTATION]: status?.build?.inputs ?? '' };
  await client.patch(FUNCTIONS, namespace, name, 'merge', { metadata: { annotations } });
}

/** Prints the log of a Function's latest build, `follow`ing it to its end when it is under way. */
export async function printBuildLog(
  session: Session,
  out: Output,
  { metadata: { namespace }, status }: PetrelFunction,
  options: { follow: boolean; print?: (line: string) => void },
): Promise<void> {
  const { transport } = session;
  const print = options.print ?? ((line: string) => out.note(line));
  const pod = await startedPod(session, namespace, status?.build?.job ?? '', options.follow);
  if (pod === undefined) return;
  const container = pod.spec.containers[0]?.name ?? '';
  const query = `container=${encodeURIComponent(container)}${options.follow ? '&follow=true' : ''}`;
  const response = await transport.request({
    method: 'GET',
    path: `${pathOf(PODS, namespace, pod.metadata.name, 'log')}?${query}`,
  });
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (response.status < 400) lines.filter(isShown).forEach(print);
  }
  if (rest !== '' && response.status < 400) print(rest);
}

/** The newest Pod of a Job once it has a log to read; without `wait`, as things are. */
async function startedPod(
  { client }: Session,
  namespace: string | undefined,
  job: string,
  wait: boolean,
): Promise<Pod | undefined> {
  const scope = { namespace, labelSelector: `batch.kubernetes.io/job-name=${job}` };
  const hasLog = ({ status }: Pod) => {
    const state = status?.containerStatuses?.[0]?.state;
    return state?.running !== undefined || state?.terminated !== undefined;
  };
  const { items, resourceVersion } = await client.list<Pod>(PODS, scope);
  const newest = items.sort((a, b) =>
    (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''),
  );
  const found = newest.find(hasLog);
  if (found !== undefined || !wait) return found;
  const stop = new AbortController();
  try {
    for await (const event of client.watch<Pod>(PODS, { ...scope, resourceVersion, signal: stop.signal })) {
      if ((event.type === 'ADDED' || event.type === 'MODIFIED') && hasLog(event.object)) return event.object;
      if (event.type === 'DELETED') return undefined;
    }
  } finally {
    stop.abort();
  }
  return undefined;
}
