/** `petrel deploy` of sources and of programs: packaged, uploaded, and written as a Function. */
import { PetrelError } from '../../base/errors.ts';
import { BASE_ANNOTATION } from '../../functions/builds/annotations.ts';
import { uploadPackage } from '../../functions/packages/client.ts';
import { type PetrelFunction, REVISION_NAME_ANNOTATION, type Runtime } from '../../kinds/function.ts';
import type { KubeObject, UntypedObject } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { FUNCTIONS, KSERVICES, RUNTIMES } from '../../kube/refs.ts';
import { stateOf } from '../../serving/canary/plan.ts';
import { percents } from '../../serving/canary/targets.ts';
import type { CommandContext } from '../command.ts';
import { readyCondition } from '../conditions.ts';
import { untilWritten } from '../conflict.ts';
import { applyWishes, callView, untilCalled, wishesOf } from '../events/apply.ts';
import { checkWishes } from '../events/check.ts';
import { findOrStart } from '../platform.ts';
import { apiError, openSession, type Session } from '../session.ts';
import { forgetFailedBuild, untilDeployed } from './build.ts';
import { type FuncFile, readFuncYaml } from './func-yaml.ts';
import { packSource } from './pack.ts';
import { checkReferences } from './references.ts';
import { afterReady, afterWrite, beforeWrite, checkRollout } from './rollout.ts';
import { runningPlatform } from './running.ts';
import { chooseRuntime, findSource } from './source.ts';
import { type Code, specOf } from './spec.ts';

/** Packages a source, hands it to the platform (starting one if none runs) and waits until it answers. */
export async function deployCode(context: CommandContext): Promise<number> {
  const { args, home, out } = context;
  const declared = await readFuncYaml(args.required(0), context.env);
  if (declared && declared.ignored.length > 0)
    out.note(`not done of func.yaml: ${declared.ignored.join(', ')}`);
  const runtime = args.text('runtime') ?? declared?.runtime;
  const source = findSource(args.required(0), {
    name: args.text('name') ?? declared?.name,
    entry: args.text('entry'),
    command: args.text('command'),
    shape: args.text('shape'),
    handler: args.text('handler'),
    runtime,
  });
  const namespace = args.text('namespace') ?? declared?.namespace ?? 'default';
  // Mistakes in the options show before anything is started or written.
  specOf(args, { runtime: '', package: { digest: 'sha256:' } }, undefined);
  checkRollout(args, source.name);
  const wishes = wishesOf(args.list('on'));
  await checkWishes(wishes ?? []);

  const packing = out.progress(`packaging ${args.required(0)}`, packSource(source));
  const platform = findOrStart(context).then(runningPlatform);
  const [packed, running] = await Promise.allSettled([packing, platform]);
  if (packed.status === 'rejected') throw packed.reason;
  const session = running.status === 'fulfilled' ? await openSession(running.value) : undefined;
  try {
    if (running.status === 'rejected') throw running.reason;
    if (!session) return 70;
    const upload = uploadPackage(home.socket, packed.value);
    const [{ items: runtimes }] = await Promise.all([
      session.client.list<Runtime>(RUNTIMES),
      out.progress('uploading the package', upload),
    ]);
    const code: Code = {
      runtime: chooseRuntime(source, runtime, runtimes),
      package: { digest: packed.value.digest },
      entry: source.entry,
      ...(source.program ? { shape: 'program' } : {}),
    };
    await publish(context, session, { namespace, name: source.name, code, declared, wishes }, () => {
      if (packed.value.skipped.length > 0)
        out.note(`left out (no files): ${packed.value.skipped.join(', ')}`);
    });
    return 0;
  } catch (error) {
    throw apiError(error);
  } finally {
    session?.transport.close();
    await packed.value.dispose();
  }
}

/** What is to become a Function. */
export interface Publication {
  namespace: string;
  name: string;
  code: Code;
  declared?: FuncFile | undefined;
  /** What it is to be called for; absent: as before. */
  wishes?: ReturnType<typeof wishesOf>;
}

/** Writes the Function, waits until it answers, and prints where. `written` is called in between. */
export async function publish(
  context: CommandContext,
  session: Session,
  { namespace, name, code, declared, wishes }: Publication,
  written: () => void = () => {},
): Promise<void> {
  const { args, out } = context;
  const target = { namespace, name };
  await beforeWrite(session.client, args, target);
  const fn = await write(session.client, context, namespace, name, code, declared);
  await afterWrite(session.client, args, fn);
  const calls = wishes ? await applyWishes(session.client, wishes, fn) : [];
  written();
  const final = args.flag('no-wait')
    ? fn
    : await out.progress(`starting ${name}`, untilDeployed(session, out, fn));
  await afterReady(session.client, args, target, final.status?.latestCreatedRevisionName);
  await print(
    context,
    session,
    final,
    args.flag('no-wait') ? calls : await untilCalled(session.client, calls),
  );
}

/** Creates the Function, or changes the one that exists. Writes nothing when nothing would change. */
export async function write(
  client: KubeClient,
  { args }: CommandContext,
  namespace: string,
  name: string,
  code: Code,
  declared?: FuncFile,
): Promise<PetrelFunction> {
  const revisionName = args.text('revision-name');
  const named: Record<string, string> = {
    ...declared?.annotations,
    ...(revisionName === undefined ? {} : { [REVISION_NAME_ANNOTATION]: revisionName }),
    ...(args.text('base') === undefined ? {} : { [BASE_ANNOTATION]: args.text('base') ?? '' }),
  };
  return untilWritten(async () => {
    const current = await orUndefined(client.get<PetrelFunction>(FUNCTIONS, namespace, name));
    const before = declared ? { ...current?.spec, ...declared.spec, ...code } : current?.spec;
    const spec = specOf(args, code, before);
    if (!args.flag('no-wait')) await checkReferences(client, namespace, spec);
    if (current) {
      // The name was for the revision before: two cannot have it.
      const { [REVISION_NAME_ANNOTATION]: _before, ...kept } = current.metadata.annotations ?? {};
      const annotations = { ...kept, ...named, ...forgetFailedBuild(current, spec, Date.now()) };
      const metadata = { ...current.metadata, annotations };
      return client.update<PetrelFunction>(FUNCTIONS, { ...current, metadata, spec });
    }
    await refuseTaken(client, namespace, name);
    return client.create<PetrelFunction>(FUNCTIONS, {
      apiVersion: 'petrel.dev/v1',
      kind: 'Function',
      metadata: { name, namespace, ...(Object.keys(named).length > 0 ? { annotations: named } : {}) },
      spec,
    });
  });
}

/** A Service that no Function owns answers under this name already. */
async function refuseTaken(client: KubeClient, namespace: string, name: string): Promise<void> {
  const service = await orUndefined(client.get<KubeObject>(KSERVICES, namespace, name));
  const owner = service?.metadata.ownerReferences?.find(({ controller }) => controller);
  if (!service || owner?.kind === 'Function') return;
  throw new PetrelError('NameTaken', `the name ${name} is taken in namespace ${namespace}`, {
    why: `a Knative Service of that name exists${owner ? `, owned by ${owner.kind} ${owner.name}` : ''}`,
    fix: 'choose another one with --name',
  });
}

async function print(
  { args, out }: CommandContext,
  { record, client }: Session,
  fn: PetrelFunction,
  calls: readonly UntypedObject[],
): Promise<void> {
  const { name, namespace = 'default' } = fn.metadata;
  const ready = readyCondition(fn)?.status === 'True';
  const result = {
    name,
    namespace,
    revision: (ready ? fn.status?.latestReadyRevisionName : fn.status?.latestCreatedRevisionName) ?? null,
    url: fn.status?.url ?? null,
    ready,
    ...(fn.status?.build?.image ? { image: fn.status.build.image } : {}),
    percent: null as number | null,
    runtime: fn.spec.runtime,
    ...(fn.spec.package ? { package: fn.spec.package.digest } : { image: fn.spec.image }),
    ...(calls.length > 0 ? { on: calls.map(callView) } : {}),
  };
  const service = ready ? await orUndefined(client.get<Service>(KSERVICES, namespace, name)) : undefined;
  if (service && result.revision) {
    const latest = service.status?.latestReadyRevisionName;
    result.percent = percents(service.spec.traffic, latest).get(result.revision) ?? 0;
  }
  await out.data(result, () => {
    if (!ready)
      return out.line(`${namespace}/${name} is accepted; petrel describe ${name} shows how it goes`);
    out.line(result.url ?? '');
    for (const { kind, name: call, ready: works, message, address } of calls.map(callView)) {
      out.note(works ? `called by ${kind} ${call}` : `not called by ${kind} ${call} yet: ${message}`);
      if (address !== undefined) out.note(`  its requests go to ${address}`);
    }
    if (result.image) out.note(`image ${result.image}`);
    if (args.flag('no-traffic') && (result.percent ?? 0) > 0) {
      out.note(
        `no new revision: ${result.revision} is the same, and has ${result.percent} % of the requests`,
      );
      return;
    }
    if (args.flag('no-traffic')) {
      out.note(`${result.revision} is ready and takes no traffic. Give it some:`);
      out.note(`  petrel traffic ${name} --promote ${args.text('tag') ?? result.revision}`);
      return;
    }
    if (args.flag('canary')) out.note(`new revisions get their traffic step by step: petrel canary ${name}`);
    out.note(`${namespace}/${name} is ready (${result.revision}). Call it:`);
    out.note(`  curl ${result.url}`);
    out.note(`  curl http://${record.gateway}/fn/${namespace}/${name}/    # without DNS`);
    if (service && result.percent !== null && result.percent < 100) {
      out.note(`It gets ${result.percent} % of the requests, other revisions the rest:`);
      if (stateOf(service)) out.note(`  petrel canary ${name}                # a canary hands them out`);
      else out.note(`  petrel traffic ${name} --to latest   # gives it everything`);
    }
  });
}
