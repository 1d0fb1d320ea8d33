/** The controller of Runtimes: applies those that come with the platform, checks that the machine can run each, counts the warm. */
import { constants } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { withCondition } from '../../kinds/conditions.ts';
import { RUNTIME_DIRECTORY_ANNOTATION, type Runtime, runtimeDirectory } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { createInformer } from '../../kube/informer.ts';
import { RUNTIMES } from '../../kube/refs.ts';
import type { Problem } from './service.ts';

/** The number of warm instances is written this long after it changed, at the earliest, ms. */
const WARM_AFTER_MS = 5000;

export interface RuntimeControllerOptions {
  client: KubeClient;
  /** One directory per runtime, each with a `runtime.yaml`. */
  runtimesDir: string;
  /** The same for those that the machine's owner adds; one of the same name takes the place of the platform's. */
  ownRuntimesDir: string;
  /** Path of the Node binary that `$(NODE)` stands for. */
  node: string;
  /** Where programs are looked for. */
  searchPath: string;
  clock: Clock;
  log: Logger;
  /** A Runtime exists, or what is known of it has changed. */
  onRuntime(runtime: Runtime, unavailable: PetrelError | undefined): void;
  onRemoved(name: string): void;
  warm(name: string): number;
}

export interface RuntimeController {
  /** Why nothing of this runtime can run; undefined when it can, or when that is not known yet. */
  problem(name: string): Problem | undefined;
  /** The Runtime, if there is one. */
  get(name: string): Runtime | undefined;
  /** Looks again whether the machine can run it; called when a Function wants one that it could not. */
  recheck(name: string): void;
  warmChanged(name: string): void;
  /** Resolves when the Runtimes of the platform are applied and all are known. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The manifests in `<dir>/<name>/runtime.yaml`; none where there is no such folder. Each is named as its folder is. */
async function manifestsIn(dir: string): Promise<Runtime[]> {
  const { parse } = await import('yaml');
  const found: Runtime[] = [];
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(dir, entry.name, 'runtime.yaml');
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (text === undefined) continue;
    const runtime = parse(text) as Runtime;
    found.push({ ...runtime, metadata: { ...runtime.metadata, name: entry.name } });
  }
  return found;
}

async function executable(command: string, node: string, searchPath: string): Promise<boolean> {
  const paths =
    command === '$(NODE)'
      ? [node]
      : command.includes('/')
        ? [command]
        : searchPath.split(delimiter).map((dir) => join(dir, command));
  for (const path of paths) {
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}

export function createRuntimeController(options: RuntimeControllerOptions): RuntimeController {
  const { client, clock, log } = options;
  const runtimes = createInformer<Runtime>({ client, resource: RUNTIMES, log, clock });
  const unavailable = new Map<string, PetrelError>();
  /** What `onRuntime` was last called with. */
  const tellings = new Map<string, string>();

  const probe = async (runtime: Runtime): Promise<PetrelError | undefined> => {
    const { command: argv, tools = [] } = runtime.spec;
    const directory = runtimeDirectory(runtime, options.runtimesDir);
    const found = (name: string) =>
      executable(name.replace('$(RUNTIME_DIR)', directory), options.node, options.searchPath);
    // What a runtime brings for itself need not be there yet.
    const needed = tools.filter((tool) => tool.for === 'run' && tool.bring === undefined);
    let command: string | undefined;
    for (const name of new Set([argv[0] ?? '', ...needed.map((tool) => tool.command)]))
      if (!(await found(name))) command ??= name;
    if (command === undefined) return undefined;
    return new PetrelError(
      'RuntimeUnavailable',
      `Runtime "${runtime.metadata.name}" cannot run on this machine: "${command}" was not found.`,
      {
        why: `It is not in ${options.searchPath}.`,
        fix:
          needed.find((tool) => tool.command === command)?.install ??
          `Install "${command}" so that it is found in PATH, and try again.`,
      },
    );
  };

  const conditionOf = (problem: PetrelError | undefined): Condition =>
    problem === undefined
      ? { type: 'Ready', status: 'True' }
      : {
          type: 'Ready',
          status: 'False',
          reason: problem.code,
          message: `${problem.message} ${problem.fix}`,
        };

  /** Tells the pools what there is and writes the status. */
  const look = async (name: string): Promise<undefined> => {
    const runtime = runtimes.get(undefined, name);
    if (runtime === undefined) return;
    const problem = await probe(runtime);
    if (problem) unavailable.set(name, problem);
    else unavailable.delete(name);
    // A look because of the number of the warm has nothing to tell the pools and every Function.
    const told = JSON.stringify([runtime.metadata.uid, runtime.spec, problem?.message]);
    if (tellings.get(name) !== told) options.onRuntime(runtime, problem);
    tellings.set(name, told);
    const status = {
      observedGeneration: runtime.metadata.generation ?? 1,
      conditions: withCondition(runtime.status?.conditions, conditionOf(problem), clock.now()),
      warm: options.warm(name),
    };
    if (JSON.stringify(status) === JSON.stringify(runtime.status)) return;
    await client.updateStatus<Runtime>(RUNTIMES, { ...runtime, status });
  };
  const controller = createController({ name: 'runtimes', log, clock, reconcile: look });

  const apply = async (wanted: Runtime): Promise<void> => {
    const { name } = wanted.metadata;
    const found = await client.get<Runtime>(RUNTIMES, undefined, name).catch((error) => {
      if (!(error instanceof KubeError) || error.code !== 404) throw error;
    });
    if (found === undefined) {
      await client.create<Runtime>(RUNTIMES, wanted);
      return;
    }
    // What users set on it (the size of the pool) stays, unless this version of the platform brings something else.
    const spec = { ...found.spec, ...wanted.spec, pool: found.spec.pool ?? wanted.spec.pool };
    const { [RUNTIME_DIRECTORY_ANNOTATION]: before, ...annotations } = found.metadata.annotations ?? {};
    const directory = wanted.metadata.annotations?.[RUNTIME_DIRECTORY_ANNOTATION];
    if (JSON.stringify(spec) === JSON.stringify(found.spec) && before === directory) return;
    if (directory !== undefined) annotations[RUNTIME_DIRECTORY_ANNOTATION] = directory;
    await client.update<Runtime>(RUNTIMES, { ...found, metadata: { ...found.metadata, annotations }, spec });
  };

  const specOf = (runtime: Runtime) => JSON.stringify(runtime.spec);
  runtimes.addHandler({
    add: (runtime) => controller.enqueue(runtime.metadata.name),
    update: (runtime, old) => specOf(runtime) !== specOf(old) && controller.enqueue(runtime.metadata.name),
    delete(runtime) {
      unavailable.delete(runtime.metadata.name);
      tellings.delete(runtime.metadata.name);
      options.onRemoved(runtime.metadata.name);
    },
  });

  return {
    problem(name) {
      if (!runtimes.hasSynced) return undefined;
      const problem = unavailable.get(name);
      if (problem) return { reason: problem.code, message: `${problem.message} ${problem.fix}` };
      if (runtimes.get(undefined, name)) return undefined;
      const known = runtimes
        .list()
        .map((runtime) => runtime.metadata.name)
        .sort();
      return {
        reason: 'RuntimeNotFound',
        message: `There is no runtime "${name}". Choose one of: ${known.join(', ') || 'none is installed'}.`,
      };
    },
    get: (name) => runtimes.get(undefined, name),
    recheck: (name) => controller.enqueue(name),
    warmChanged: (name) => controller.enqueueAfter(name, WARM_AFTER_MS),
    async start() {
      const builtin = await manifestsIn(options.runtimesDir);
      const own = (await manifestsIn(options.ownRuntimesDir)).map((runtime) => {
        const directory = join(options.ownRuntimesDir, runtime.metadata.name);
        const annotations = { ...runtime.metadata.annotations, [RUNTIME_DIRECTORY_ANNOTATION]: directory };
        return { ...runtime, metadata: { ...runtime.metadata, annotations } };
      });
      const names = new Set(own.map(({ metadata }) => metadata.name));
      await Promise.all([...builtin.filter(({ metadata }) => !names.has(metadata.name)), ...own].map(apply));
      runtimes.start();
      await runtimes.synced;
      // Before anything is decided about Pods that are already there, their pools must exist; a status can wait.
      await Promise.allSettled(runtimes.list().map((runtime) => look(runtime.metadata.name)));
      controller.start();
    },
    async stop() {
      runtimes.stop();
      await controller.stop();
    },
  };
}
