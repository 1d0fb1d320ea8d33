import { PetrelError } from '../../base/errors.ts';
import { REBUILD_ANNOTATION } from '../../functions/builds/annotations.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { humanDuration } from '../../kinds/human.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { age } from '../conditions.ts';
import { cancelBuild, isBuilding, printBuildLog, untilDeployed } from '../deploy/build.ts';
import { type Session, withSession } from '../session.ts';

type Work = (context: CommandContext, session: Session, fn: PetrelFunction) => Promise<number>;

/** What is done with the build of one function. */
const WORK: Record<string, Work> = {
  async logs({ out }, session, fn) {
    if (!fn.status?.build?.job) throw noLog(fn);
    await printBuildLog(session, out, fn, { follow: isBuilding(fn), print: (line) => out.line(line) });
    return 0;
  },
  async cancel({ out }, session, fn) {
    if (!isBuilding(fn)) throw idle(fn);
    await cancelBuild(session, fn);
    await out.data({ name: fn.metadata.name, inputs: fn.status?.build?.inputs }, () =>
      out.note(`the build of ${fn.metadata.name} ends; what served before goes on`),
    );
    return 0;
  },
  async rebuild({ out }, session, fn) {
    if (!fn.status?.build) throw noBuild(fn);
    const { namespace, name } = fn.metadata;
    const annotations = { [REBUILD_ANNOTATION]: new Date().toISOString() };
    const asked = await session.client.patch<PetrelFunction>(FUNCTIONS, namespace, name, 'merge', {
      metadata: { annotations },
    });
    const done = await untilDeployed(session, out, asked, fn.status.build.inputs);
    await out.data({ name, namespace, build: done.status?.build }, () =>
      out.note(`${namespace}/${name} is built and ready (${done.status?.latestReadyRevisionName})`),
    );
    return 0;
  },
};

/** Lists builds, or does something with one. */
export async function run(context: CommandContext): Promise<number> {
  const { args, home } = context;
  const [what = 'list', name] = args.positionals;
  const work = WORK[what];
  if (what !== 'list' && work === undefined) {
    throw new PetrelError('InvalidArgument', `petrel builds cannot ${what}`, {
      fix: `say list, ${Object.keys(WORK).join(', ')}, and the name of the function: petrel builds logs ${what}`,
    });
  }
  if (work !== undefined && name === undefined) {
    throw new PetrelError('InvalidArgument', `petrel builds ${what} needs the name of a function`, {
      fix: `petrel builds ${what} <name>; petrel builds lists those that there are`,
    });
  }
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async (session) => {
    if (work === undefined) return list(context, session, args.flag('all') ? undefined : namespace, name);
    return work(context, session, await session.client.get<PetrelFunction>(FUNCTIONS, namespace, name ?? ''));
  });
}

async function list(
  { args, out }: CommandContext,
  { client }: Session,
  namespace: string | undefined,
  name: string | undefined,
): Promise<number> {
  const { items } = await client.list<PetrelFunction>(FUNCTIONS, { namespace });
  const now = Date.now();
  const built = items
    .filter(({ metadata, status }) => status?.build && (name === undefined || metadata.name === name))
    .map(({ metadata, status }) => ({
      namespace: metadata.namespace ?? 'default',
      name: metadata.name,
      ...status?.build,
      reason: status?.conditions?.find(({ type }) => type === 'BuildSucceeded')?.reason,
    }));
  await out.data(built, () => {
    if (built.length === 0)
      return out.note('nothing was built: sources without dependencies run as they are');
    const all = args.flag('all');
    const rows = built.map((build) => [
      ...(all ? [build.namespace] : []),
      build.name,
      build.phase === 'Failed' ? (build.reason ?? build.phase) : (build.phase ?? ''),
      age(build.startedAt, now),
      build.startedAt && build.finishedAt
        ? humanDuration(Date.parse(build.finishedAt) - Date.parse(build.startedAt))
        : '',
      build.digest?.slice('sha256:'.length, 'sha256:'.length + 12) ?? '',
      build.image ?? '',
    ]);
    out.table([...(all ? ['NAMESPACE'] : []), 'NAME', 'BUILD', 'AGE', 'TOOK', 'PACKAGE', 'IMAGE'], rows);
  });
  return 0;
}

const noBuild = ({ metadata: { name } }: PetrelFunction) =>
  new PetrelError('NotFound', `${name} is not built`, {
    why: 'its source is loaded as it is',
    fix: `petrel deploy <source> --name ${name} --build always builds it all the same`,
  });

const noLog = (fn: PetrelFunction) =>
  fn.status?.build === undefined
    ? noBuild(fn)
    : new PetrelError('NotFound', `nothing was run to build ${fn.metadata.name}`, {
        why:
          fn.status.build.message ??
          'the same source had been built already, or the build waits for its turn',
        fix: `petrel builds rebuild ${fn.metadata.name}`,
      });

const idle = ({ metadata: { name } }: PetrelFunction) =>
  new PetrelError('NotFound', `no build of ${name} is under way`, { fix: 'petrel builds lists them' });
