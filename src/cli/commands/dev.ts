import { systemClock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { orUndefined } from '../../kube/client.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { readFuncYaml } from '../deploy/func-yaml.ts';
import { runningPlatform } from '../deploy/running.ts';
import { findSource } from '../deploy/source.ts';
import { specOf } from '../deploy/spec.ts';
import { deployedAs } from '../deployed.ts';
import { createLoop, deployer, type Round } from '../dev/loop.ts';
import { watchTree } from '../dev/watch-tree.ts';
import { followLogs, instancesOf, sourceOf } from '../logs/follow.ts';
import { findOrStart } from '../platform.ts';
import { openSession, type Session } from '../session.ts';

/** Deploys a source, and again whenever it changes, with logs and errors in the terminal, until it is interrupted. */
export async function run(context: CommandContext): Promise<number> {
  const { args, out } = context;
  parseAddress(args.text('gateway'), DEFAULT_GATEWAY, '--gateway');
  parseAddress(args.text('api'), DEFAULT_API, '--api');
  const declared = await readFuncYaml(args.required(0), context.env);
  if (declared && declared.ignored.length > 0)
    out.note(`not done of func.yaml: ${declared.ignored.join(', ')}`);
  const source = findSource(args.required(0), {
    name: args.text('name') ?? declared?.name,
    entry: args.text('entry'),
    command: args.text('command'),
    shape: args.text('shape'),
    handler: args.text('handler'),
    runtime: args.text('runtime') ?? declared?.runtime,
  });
  specOf(args, { runtime: '', package: { digest: 'sha256:' } }, undefined);
  const namespace = args.text('namespace') ?? declared?.namespace ?? 'default';
  const session = await openSession(runningPlatform(await findOrStart(context)));
  const { client } = session;
  const existed = (await orUndefined(client.get(FUNCTIONS, namespace, source.name))) !== undefined;
  const interrupted = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.resolve());

  let first = true;
  const onRound = ({ fn, changed, ms }: Round) => {
    if (!changed) return;
    tell(context, session, fn, ms, first);
    first = false;
  };
  const onError = (error: unknown) => void out.failure(error);
  const loop = createLoop(deployer(context, session, source, declared), onRound, onError);
  const watching = watchTree(source.path, systemClock, () => void loop.round());
  try {
    await loop.round();
    // What instances of before said is no news.
    const tail = existed ? 0 : undefined;
    const { labelSelector, only } = await deployedAs(client, namespace, source.name).then(
      (object) => sourceOf(client, object),
      () => ({ labelSelector: instancesOf(source.name), only: undefined }), // the first try has failed
    );
    followLogs({ session, out, tail, prefixed: false, only }, namespace, labelSelector).catch(
      (error: Error) =>
        interrupted.reject(
          new PetrelError('PlatformNotRunning', 'the platform has ended', {
            why: error.message,
            fix: 'petrel up',
          }),
        ),
    );
    await interrupted.promise;
    if (existed || args.flag('keep')) out.note(`\n${source.name} goes on as it is now`);
    else {
      await client.delete(FUNCTIONS, namespace, source.name).catch(() => {});
      out.note(`\n${source.name} is deleted again; --keep leaves it`);
    }
    return 0;
  } finally {
    watching.close();
    session.transport.close();
    // A log that is being followed would hold the process.
    setImmediate(() => process.exit());
  }
}

function tell(
  { out }: CommandContext,
  { record }: Session,
  { metadata, status }: PetrelFunction,
  ms: number,
  first: boolean,
): void {
  const { name, namespace = 'default' } = metadata;
  const revision = status?.latestReadyRevisionName ?? '';
  const took = `${Math.round(ms)} ms`;
  if (out.format === 'json') {
    out.line(JSON.stringify({ name, namespace, revision, url: status?.url ?? null, ms: Math.round(ms) }));
    return;
  }
  if (!first) {
    out.note(`↻ ${revision} answers (${took})`);
    return;
  }
  out.line(status?.url ?? '');
  out.note(`${namespace}/${name} is ready (${took}). Save a file, and the next request meets it.`);
  out.note(`  curl http://${record.gateway}/fn/${namespace}/${name}/    # without DNS`);
}
