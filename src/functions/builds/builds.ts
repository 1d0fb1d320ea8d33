/**
 * Builds of functions: each is a Job that the platform's own API runs, one at a time for each cache directory and no more at once than
 * there are processors. What is known stands in the Function's status and in the package store, so that a restart loses nothing.
 */
import { randomUUID } from 'node:crypto';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, timestamp } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { expand } from '../../kinds/container-env.ts';
import {
  type BuildStatus,
  type CodeFunction,
  type PetrelFunction,
  type Runtime,
  runtimeDirectory,
} from '../../kinds/function.ts';
import { JOB_LABELS, type Job, jobOutcome } from '../../kinds/job.ts';
import { NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import { parseQuantity } from '../../kinds/quantity.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { createInformer } from '../../kube/informer.ts';
import { JOBS, PODS, SECRETS } from '../../kube/refs.ts';
import type { PackageStore } from '../packages/store.ts';
import { CANCEL_ANNOTATION } from './annotations.ts';
import { createBuildEndpoint } from './endpoint.ts';
import { createImages } from './images.ts';
import { answers, builtForDebugger, missingTools, requestOf, searchPath, toolchainOf } from './inputs.ts';
import {
  buildObjects,
  CACHE_LABEL,
  cacheName,
  DEFAULT_TIMEOUT_SECONDS,
  INPUTS_ANNOTATION,
  jobName,
  PLATFORM_ANNOTATION,
  WORKSPACE,
} from './job.ts';
import { passedOn } from './registries.ts';
import { BUILD_EXIT, type BuildRequest } from './runner/request.ts';

const RUNNER = fileURLToPath(new URL('./runner/main.ts', import.meta.url));
/** Most memory of one build when nothing else is said. */
const MEMORY_BYTES = 4 * 2 ** 30;
/** Most that one build may write, cache included, when nothing else is said. */
const DISK_BYTES = 16 * 2 ** 30;
const MAX_MESSAGE = 4096;
/** Builds of a Function whose logs are kept. */
const KEPT_JOBS = 3;
const OUT_OF_MEMORY =
  'the build used more memory than it may and was ended (PETREL_BUILD_MEMORY of the platform sets the limit)';

export interface BuildsOptions {
  client: KubeClient;
  packages: PackageStore;
  clock: Clock;
  log: Logger;
  node: string;
  runtimesDir: string;
  cacheDir: string;
  /** Images without a registry are written there. */
  imagesDir: string;
  /** The platform's environment: registry settings and PATH. */
  env: NodeJS.ProcessEnv;
  /** Builds at once. */
  parallel: number;
  /** A build has come further: this Function is to be looked at again. */
  changed(namespace: string, name: string): void;
}

/** How a Function's build stands; `reason` is that of the condition BuildSucceeded. */
export interface BuildState {
  status: BuildStatus;
  reason: string;
}

export interface Builds {
  /** The same for a Function whose source is loaded as it is, and that asks for an image of it. */
  imageOf(fn: CodeFunction, runtime: Runtime): Promise<BuildState>;
  /** Brings the build that the Function asks for a step further, and tells how it stands. */
  ensure(fn: CodeFunction, runtime: Runtime): Promise<BuildState>;
  /** Ends builds of a Function that it does not ask for any more. `keep` is the name of the Job that stays. */
  abandon(fn: PetrelFunction, keep?: string): Promise<void>;
  stop(): Promise<void>;
}

const unfinished = (job: Job): boolean =>
  jobOutcome(job) === undefined && job.metadata.deletionTimestamp === undefined;
const reasons: Record<BuildStatus['phase'], string> = {
  Pending: 'Queued',
  Running: 'Building',
  Succeeded: 'Built',
  Failed: 'BuildFailed',
};

export function createBuilds(options: BuildsOptions): Builds {
  const { client, packages, clock, log } = options;
  const life = randomUUID();
  const path = searchPath(options.env.PATH);
  const withImage = createImages({ packages, imagesDir: options.imagesDir, env: options.env });
  const endpoint = createBuildEndpoint({ packages, log });
  const jobs = createInformer<Job>({ client, resource: JOBS, log, clock, labelSelector: CACHE_LABEL });
  /** Functions whose build waits for another one to end. */
  const waiting = new Map<string, CodeFunction>();
  /** Made, but not yet seen in the cache. */
  const fresh = new Map<string, Job>();

  const ownerOf = (job: Job) => job.metadata.ownerReferences?.find(({ controller }) => controller);
  const told = (job: Job) => {
    fresh.delete(job.metadata.uid ?? '');
    const owner = ownerOf(job);
    if (owner) options.changed(job.metadata.namespace ?? 'default', owner.name);
    if (unfinished(job)) return;
    for (const { metadata } of waiting.values())
      options.changed(metadata.namespace ?? 'default', metadata.name);
    waiting.clear();
  };
  jobs.addHandler({
    add: told,
    update: told,
    delete: (job) =>
      told({ ...job, metadata: { ...job.metadata, deletionTimestamp: timestamp(clock.now()) } }),
  });
  jobs.start();

  const running = (): Job[] => [...jobs.list(), ...fresh.values()].filter(unfinished);
  const requestFor = (fn: CodeFunction, runtime: Runtime) => {
    const { name } = runtime.metadata;
    const namespace = fn.metadata.namespace ?? 'default';
    const runtimeDir = runtimeDirectory(runtime, options.runtimesDir);
    const values: Record<string, string> = { NODE: options.node, RUNTIME_DIR: runtimeDir };
    const own = fn.spec.build?.command;
    const command = own
      ? ['sh', '-c', own]
      : (runtime.spec.build?.command ?? []).map((part) => expand(part, (key) => values[key]));
    return {
      command,
      path,
      env: {
        ...passedOn(options.env),
        PETREL_RUNTIME_DIR: runtimeDir,
        ...(builtForDebugger(fn.spec, runtime) ? { PETREL_DEBUG: '1' } : {}),
        ...(fn.spec.entry === undefined ? {} : { PETREL_ENTRY: fn.spec.entry }),
        ...(fn.spec.handler === undefined ? {} : { PETREL_HANDLER: fn.spec.handler }),
      },
      names: (fn.spec.build?.env ?? []).map((variable) => variable.name),
      workspace: WORKSPACE,
      cache: join(options.cacheDir, cacheName(namespace, name)),
      timeoutSeconds: fn.spec.build?.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      maxDiskBytes: quantity(options.env.PETREL_BUILD_DISK) ?? DISK_BYTES,
    } satisfies Omit<BuildRequest, 'url' | 'token'>;
  };

  /** Jobs of a Function that are over, and that nobody will ask for: all but the newest few. */
  const forgetOld = async ({ metadata: { uid } }: PetrelFunction): Promise<void> => {
    const over = jobs.list().filter((job) => ownerOf(job)?.uid === uid && jobOutcome(job) !== undefined);
    const age = ({ metadata }: Job) => Date.parse(metadata.creationTimestamp ?? '');
    for (const { metadata } of over.sort((a, b) => age(b) - age(a)).slice(KEPT_JOBS - 1)) {
      const how = { propagationPolicy: 'Background' } as const;
      await orUndefined(client.delete(JOBS, metadata.namespace, metadata.name, how));
    }
  };

  const begin = async (fn: CodeFunction, runtime: Runtime, inputs: string): Promise<void> => {
    await forgetOld(fn);
    const access = await endpoint.admit(inputs, fn.spec.package.digest);
    const memory = Math.min(MEMORY_BYTES, Math.floor(totalmem() * 0.75));
    const { secret, job } = buildObjects({
      fn,
      runtime,
      inputs,
      request: { ...requestFor(fn, runtime), ...access },
      runner: [options.node, '--disable-warning=ExperimentalWarning', RUNNER],
      life,
      memory: String(quantity(options.env.PETREL_BUILD_MEMORY) ?? memory),
    });
    const { namespace, name } = secret.metadata;
    await orUndefined(client.delete(SECRETS, namespace, name));
    await client.create(SECRETS, secret);
    const made = await client.create<Job>(JOBS, job);
    fresh.set(made.metadata.uid ?? '', made);
  };

  /** The Job is over: nobody needs its Secret, and nobody is let in with it. */
  const clearUp = async ({ metadata: { namespace, name } }: Job, inputs: string): Promise<void> => {
    endpoint.dismiss(inputs);
    await orUndefined(client.delete(SECRETS, namespace, name));
  };

  /** How the Pod that failed last ended. */
  const lastEnd = async (job: Job) => {
    const { items } = await client.list<Pod>(PODS, {
      namespace: job.metadata.namespace,
      labelSelector: `${JOB_LABELS.uid}=${job.metadata.uid}`,
    });
    return items
      .flatMap(({ status }) => status?.containerStatuses?.[0]?.state.terminated ?? [])
      .sort((a, b) => Date.parse(b.finishedAt ?? '') - Date.parse(a.finishedAt ?? ''))[0];
  };

  const failure = async (job: Job): Promise<{ reason: string; message: string }> => {
    const { exitCode, reason, message = '' } = (await lastEnd(job)) ?? {};
    if (reason === 'OOMKilled')
      return { reason: 'BuildFailed', message: `${message}\n${OUT_OF_MEMORY}`.trim() };
    return {
      reason: exitCode === BUILD_EXIT.timeout ? 'BuildTimeout' : 'BuildFailed',
      message: message.trim() || (jobOutcome(job)?.message ?? 'the build failed and said nothing'),
    };
  };

  const abandon: Builds['abandon'] = async (fn, keep) => {
    for (const job of running()) {
      if (ownerOf(job)?.uid !== fn.metadata.uid || job.metadata.name === keep) continue;
      const { namespace, name, annotations } = job.metadata;
      await orUndefined(client.delete(JOBS, namespace, name, { propagationPolicy: 'Background' }));
      fresh.delete(job.metadata.uid ?? '');
      await clearUp(job, annotations?.[INPUTS_ANNOTATION] ?? '');
    }
  };

  const state = (status: BuildStatus, reason = reasons[status.phase]): BuildState => ({ status, reason });

  const ensure: Builds['ensure'] = async (fn, runtime) => {
    const source = fn.spec.package.digest;
    const request = requestOf(fn, runtime);
    const prior = answers(fn.status?.build?.inputs, request) ? fn.status?.build : undefined;
    if (prior?.phase === 'Succeeded' && prior.digest && (await packages.stat(prior.digest)))
      return state(prior);
    if (prior?.phase === 'Failed') return state(prior, reasonOf(fn));
    await jobs.synced;

    const toolchain = await toolchainOf(runtime, runtimeDirectory(runtime, options.runtimesDir), path);
    const inputs = `${request}-${toolchain}`;
    const name = jobName(fn, inputs);
    const startedAt = prior?.startedAt ?? timestamp(clock.now());
    const begun: BuildStatus = { phase: 'Pending', source, inputs, startedAt };
    const over = (fields: Partial<BuildStatus>): BuildStatus => ({
      ...begun,
      finishedAt: timestamp(clock.now()),
      ...fields,
    });
    await abandon(fn, name);

    const found =
      jobs.get(fn.metadata.namespace, name) ??
      [...fresh.values()].find(
        (job) => job.metadata.name === name && job.metadata.namespace === fn.metadata.namespace,
      );
    const withJob = found ? { job: name } : {};
    const digest = await packages.built(inputs);
    if (digest !== undefined) {
      if (found) await clearUp(found, inputs);
      return state(over({ phase: 'Succeeded', digest, ...withJob }));
    }
    if (fn.metadata.annotations?.[CANCEL_ANNOTATION] === inputs) {
      await abandon(fn);
      return state(over({ phase: 'Failed', message: 'the build was cancelled' }), 'BuildCancelled');
    }
    const missing = await missingTools(runtime, path);
    if (missing.length > 0 && fn.spec.build?.command === undefined) {
      const said = missing.map(({ command, install }) => `${command} is not on this machine. ${install}`);
      return state(over({ phase: 'Failed', message: said.join('\n') }), 'ToolMissing');
    }
    if (found?.metadata.deletionTimestamp !== undefined) return state(begun);
    if (found && unfinished(found)) {
      if (found.metadata.annotations?.[PLATFORM_ANNOTATION] !== life) {
        // Made by a platform that has ended, which its Pod cannot reach any more: it begins anew when that is gone.
        await orUndefined(
          client.delete(JOBS, fn.metadata.namespace, name, { propagationPolicy: 'Background' }),
        );
        return state(begun);
      }
      const phase = (found.status?.active ?? 0) > 0 ? 'Running' : 'Pending';
      return state({ ...begun, phase, job: name });
    }
    if (found) {
      await clearUp(found, inputs);
      if (jobOutcome(found)?.type === 'Complete') {
        // It succeeded once, and its result has been collected since.
        await orUndefined(
          client.delete(JOBS, fn.metadata.namespace, name, { propagationPolicy: 'Background' }),
        );
        return state(begun);
      }
      const { reason, message } = await failure(found);
      return state(over({ phase: 'Failed', message: message.slice(-MAX_MESSAGE), job: name }), reason);
    }
    const now = running();
    const cache = cacheName(fn.metadata.namespace ?? 'default', runtime.metadata.name);
    const busy = now.some(
      (job) => job.spec.template.metadata?.annotations?.[NODE_ANNOTATIONS.codeCache] === cache,
    );
    if (busy || now.length >= options.parallel) {
      waiting.set(fn.metadata.uid ?? '', fn);
      return state(begun);
    }
    await begin(fn, runtime, inputs);
    log.info('a build begins', { function: fn.metadata.name, namespace: fn.metadata.namespace, job: name });
    return state({ ...begun, job: name });
  };

  return {
    abandon,
    ensure: async (fn, runtime) => withImage(fn, await ensure(fn, runtime)),
    async imageOf(fn, runtime) {
      const inputs = `${requestOf(fn, runtime)}-0`;
      const prior = fn.status?.build;
      if (prior?.inputs === inputs && prior.phase === 'Failed') return state(prior, reasonOf(fn));
      const digest = fn.spec.package.digest;
      return withImage(fn, state({ phase: 'Succeeded', source: digest, inputs, digest }));
    },
    async stop() {
      jobs.stop();
      await endpoint.close();
    },
  };
}

/** A setting such as `4Gi` in bytes; one that is none counts as absent. */
function quantity(text: string | undefined): number | undefined {
  const bytes = Math.floor(parseQuantity(text ?? ''));
  return Number.isFinite(bytes) && bytes > 0 ? bytes : undefined;
}

/** Why a build that has failed did, as the condition says. */
function reasonOf({ status }: PetrelFunction): string {
  return status?.conditions?.find(({ type }) => type === 'BuildSucceeded')?.reason ?? 'BuildFailed';
}
