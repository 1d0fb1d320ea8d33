import { systemClock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import { debugTreeOf } from '../../functions/pool/debug-tree.ts';
import { orUndefined } from '../../kube/client.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { readFuncYaml } from '../deploy/func-yaml.ts';
import { runningPlatform } from '../deploy/running.ts';
import { findSource } from '../deploy/source.ts';
import { specOf } from '../deploy/spec.ts';
import { deployedAs } from '../deployed.ts';
import { type Debugging, openDebugging } from '../dev/debugging.ts';
import { createDeployer, createLoop, type Round } from '../dev/loop.ts';
import { createReport, functionUrl } from '../dev/report.ts';
import { createTester, testsOf } from '../dev/tests.ts';
import { watchTree } from '../dev/watch-tree.ts';
import { followLogs, instancesOf, sourceOf } from '../logs/follow.ts';
import { findOrStart } from '../platform.ts';
import { openSession } from '../session.ts';

/** What another version of the source may mend: the loop goes on. Anything else is a mistake of the command. */
const MENDED_BY_AN_EDIT = new Set(['LoadError', 'BuildFailed', 'NotReady', 'Timeout']);
/** Exit code when tests have failed. */
const TESTS_FAILED = 1;
/** By Ctrl-C before anything answered. */
const INTERRUPTED = 130;

/** Deploys a source, and again whenever it changes, with logs, errors and tests in the terminal, until it is interrupted. */
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
  const once = args.flag('once');
  const wanted = args.flag('test') || args.has('test-command');
  const tests = wanted ? testsOf(source, args.text('test-command')) : undefined;

  const namespace = args.text('namespace') ?? declared?.namespace ?? 'default';
  const session = await openSession(runningPlatform(await findOrStart(context)));
  const { client, record } = session;
  const existed = (await orUndefined(client.get(FUNCTIONS, namespace, source.name))) !== undefined;
  const interrupted = Promise.withResolvers<void>();
  interrupted.promise.catch(() => {}); // it is looked at later
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => interrupted.resolve());

  const report = createReport(out, !once);
  const url = functionUrl(record.gateway, namespace, source.name);
  const tester = tests && createTester({ tests, source, url, env: context.env, report, out });
  let debugging: Debugging | undefined;
  let answered = false;
  let begun = false;
  const onRound = (round: Round) => {
    begun = true;
    if (!round.changed) return;
    report.round(round, record.gateway);
    if (!answered && debugging)
      report.debugger(debugging, debugTreeOf(context.home.debug, namespace, source.name));
    answered = true;
    tester?.begin();
  };
  const onError = (error: unknown) => {
    // A file may be away for a moment; what the command says was in order the first time.
    if (!once && (begun || mendedByAnEdit(error))) {
      begun = true;
      return report.error(error);
    }
    // Nothing that is saved would change it.
    interrupted.reject(error);
  };
  const deployer = createDeployer({
    context,
    session,
    source,
    declared,
    async debug(runtime, runtimes) {
      if (!args.has('debug') && !args.has('inspect')) return undefined;
      debugging = await openDebugging(runtime, args.integer('debug') ?? args.integer('inspect'), runtimes);
      return debugging;
    },
  });
  const loop = createLoop(deployer, onRound, onError);
  const watching = once ? undefined : watchTree(source.path, systemClock, () => void loop.round());
  try {
    await Promise.race([loop.round(), interrupted.promise]);
    if (!once || answered) {
      // What instances of before said is no news.
      const tail = existed ? 0 : undefined;
      const { labelSelector, only } = await deployedAs(client, namespace, source.name).then(
        (object) => sourceOf(client, object),
        () => ({ labelSelector: instancesOf(source.name), only: undefined }), // the first try has failed
      );
      const print = (line: string) => debugging?.isNoise(line) || report.log(line);
      followLogs({ session, out, tail, prefixed: false, only, print }, namespace, labelSelector).catch(
        (error: Error) =>
          interrupted.reject(
            new PetrelError('PlatformNotRunning', 'the platform has ended', {
              why: error.message,
              fix: 'petrel up',
            }),
          ),
      );
    }
    if (once) await Promise.race([tester?.over(), interrupted.promise]);
    else await interrupted.promise;
    if (once && tester?.passed() === false) return TESTS_FAILED;
    return answered || !once ? 0 : INTERRUPTED;
  } finally {
    watching?.close();
    tester?.stop();
    debugging?.close();
    deployer.supersede();
    await leave(context, existed, () => client.delete(FUNCTIONS, namespace, source.name), source.name);
    session.transport.close();
    // A log that is being followed would hold the process.
    setImmediate(() => process.exit());
  }
}

const mendedByAnEdit = (error: unknown): boolean =>
  error instanceof PetrelError && MENDED_BY_AN_EDIT.has(error.code);

/** Takes away what was only there for the session. */
async function leave(
  { args, out }: CommandContext,
  existed: boolean,
  remove: () => Promise<unknown>,
  name: string,
): Promise<void> {
  if (existed || args.flag('keep')) {
    out.note(`\n${name} goes on as it is now`);
    return;
  }
  const gone = await remove().then(
    () => true,
    () => false,
  );
  if (gone) out.note(`\n${name} is deleted again; --keep leaves it`);
}
