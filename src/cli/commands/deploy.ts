import { PetrelError } from '../../base/errors.ts';
import { packDirectory } from '../../functions/pack.ts';
import { uploadPackage } from '../../functions/packages/client.ts';
import { DEFAULT_MAX_PACKAGE_BYTES } from '../../functions/packages/store.ts';
import type { PetrelFunction, Runtime } from '../../kinds/function.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { FUNCTIONS, KSERVICES, RUNTIMES } from '../../kube/refs.ts';
import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { PlatformRecord } from '../../platform/home.ts';
import type { CommandContext } from '../command.ts';
import { readyCondition } from '../conditions.ts';
import { checkReferences } from '../deploy/references.ts';
import { chooseRuntime, findSource, type Source } from '../deploy/source.ts';
import { type Code, specOf } from '../deploy/spec.ts';
import { untilReady } from '../deploy/wait.ts';
import { findOrStart } from '../platform.ts';
import { apiError, openSession, type Session } from '../session.ts';

/** Attempts at an update that somebody else gets in the way of. */
const ATTEMPTS = 5;

/** Packages a source, hands it to the platform (starting one if none runs) and waits until it answers. */
export async function run(context: CommandContext): Promise<number> {
  const { args, home, out } = context;
  const source = findSource(args.required(0), args.text('name'), args.text('entry'));
  const namespace = args.text('namespace') ?? 'default';
  // Mistakes in the options show before anything is started or written.
  specOf(args, { runtime: '', package: { digest: 'sha256:' } }, undefined);
  parseAddress(args.text('gateway'), DEFAULT_GATEWAY, '--gateway');
  parseAddress(args.text('api'), DEFAULT_API, '--api');

  const packing = out.progress(
    `packaging ${args.required(0)}`,
    packDirectory(source.path, { maxBytes: DEFAULT_MAX_PACKAGE_BYTES }),
  );
  const platform = runningPlatform(context);
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
      runtime: chooseRuntime(source, args.text('runtime'), runtimes),
      package: { digest: packed.value.digest },
      entry: source.entry,
    };
    const fn = await write(session.client, context, namespace, source, code);
    if (packed.value.skipped.length > 0) out.note(`left out (no files): ${packed.value.skipped.join(', ')}`);
    const final = args.flag('no-wait')
      ? fn
      : await out.progress(`starting ${source.name}`, untilReady(session.client, fn));
    await print(context, session, final);
    return 0;
  } catch (error) {
    throw apiError(error);
  } finally {
    session?.transport.close();
    await packed.value.dispose();
  }
}

async function runningPlatform(context: CommandContext): Promise<PlatformRecord> {
  const record = await findOrStart(context);
  if (record.gateway !== null) return record;
  throw new PetrelError('PlatformNotRunning', `on ${record.home} runs the API alone`, {
    why: 'functions are deployed through the process that runs everything else',
    fix: `petrel up --kubeconfig ${record.kubeconfig} --home <another>, and deploy with that --home`,
  });
}

/** Creates the Function, or changes the one that exists. Writes nothing when nothing would change. */
async function write(
  client: KubeClient,
  { args }: CommandContext,
  namespace: string,
  { name }: Source,
  code: Code,
): Promise<PetrelFunction> {
  for (let attempt = 1; ; attempt++) {
    const current = await orUndefined(client.get<PetrelFunction>(FUNCTIONS, namespace, name));
    const spec = specOf(args, code, current?.spec);
    if (!args.flag('no-wait')) await checkReferences(client, namespace, spec);
    try {
      if (current) return await client.update(FUNCTIONS, { ...current, spec });
      await refuseTaken(client, namespace, name);
      return await client.create<PetrelFunction>(FUNCTIONS, {
        apiVersion: 'petrel.dev/v1',
        kind: 'Function',
        metadata: { name, namespace },
        spec,
      });
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409 || attempt === ATTEMPTS) throw error;
    }
  }
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

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return undefined;
    throw error;
  }
}

async function print({ out }: CommandContext, { record }: Session, fn: PetrelFunction): Promise<void> {
  const { name, namespace = 'default' } = fn.metadata;
  const ready = readyCondition(fn)?.status === 'True';
  const result = {
    name,
    namespace,
    revision: (ready ? fn.status?.latestReadyRevisionName : fn.status?.latestCreatedRevisionName) ?? null,
    url: fn.status?.url ?? null,
    ready,
    runtime: fn.spec.runtime,
    package: fn.spec.package.digest,
  };
  await out.data(result, () => {
    if (!ready)
      return out.line(`${namespace}/${name} is accepted; petrel describe ${name} shows how it goes`);
    out.line(result.url ?? '');
    out.note(`${namespace}/${name} is ready (${result.revision}). Call it:`);
    out.note(`  curl ${result.url}`);
    out.note(`  curl http://${record.gateway}/fn/${namespace}/${name}/    # without DNS`);
  });
}
