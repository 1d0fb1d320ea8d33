/** The loop of `petrel dev`: every change of the source becomes the revision that answers, or an error in the terminal. */
import { PetrelError } from '../../base/errors.ts';
import { uploadPackage } from '../../functions/packages/client.ts';
import type { Digest, PetrelFunction, Runtime } from '../../kinds/function.ts';
import { orUndefined } from '../../kube/client.ts';
import { FUNCTIONS, RUNTIMES } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { shownBuild } from '../deploy/build.ts';
import { write } from '../deploy/code.ts';
import type { FuncFile } from '../deploy/func-yaml.ts';
import { packSource } from '../deploy/pack.ts';
import { chooseRuntime, type Source } from '../deploy/source.ts';
import type { Code } from '../deploy/spec.ts';
import { untilReady } from '../deploy/wait.ts';
import { apiError, type Session } from '../session.ts';
import type { Debugging } from './debugging.ts';

/** How long a request may stand at a breakpoint: the longest that a function allows. */
const BREAKPOINT_SECONDS = 600;

/** What came of one round. */
export interface Round {
  fn: PetrelFunction;
  /** False: the package is the one that answers already. */
  changed: boolean;
  ms: number;
}

export interface Loop {
  /** Looks at the source and brings it to answer. Of calls while one is under way the last is done, once, afterwards. */
  round(): Promise<void>;
}

/** What a loop does in its rounds. */
export interface Deployer {
  /** Packs, uploads and writes the source, and waits until it answers. Throws what `petrel deploy` throws. */
  deploy(): Promise<Round>;
  /** Nobody wants what is under way any more: a build of it ends. */
  supersede(): void;
}

/** One source as rounds that never overlap. `onRound` and `onError` get what came of each. */
export function createLoop(
  { deploy, supersede }: Deployer,
  onRound: (round: Round) => void,
  onError: (error: unknown) => void,
): Loop {
  let running: Promise<void> | undefined;
  let again = false;
  const work = async () => {
    do {
      again = false;
      try {
        onRound(await deploy());
      } catch (error) {
        // Somebody is still typing: the round that follows has the word.
        if (!again) onError(error);
      }
    } while (again);
    running = undefined;
  };
  return {
    round() {
      again = running !== undefined;
      if (again) supersede();
      running ??= work();
      return running;
    },
  };
}

export interface DeployerOptions {
  context: CommandContext;
  session: Session;
  source: Source;
  declared: FuncFile | undefined;
  /** Lets a debugger in, once the runtime is known. */
  debug(runtime: Runtime | undefined, runtimes: readonly Runtime[]): Promise<Debugging | undefined>;
}

export function createDeployer(options: DeployerOptions): Deployer {
  const { context, session, source, declared } = options;
  const { args, home, out } = context;
  const namespace = args.text('namespace') ?? declared?.namespace ?? 'default';
  const build = shownBuild(session, out);
  let before: { digest: Digest; fn: PetrelFunction } | undefined;
  let runtime: string | undefined;
  let debugging: Debugging | undefined;

  const prepare = async (): Promise<string> => {
    const { items } = await session.client.list<Runtime>(RUNTIMES);
    const chosen = chooseRuntime(source, args.text('runtime') ?? declared?.runtime, items);
    const found = source.program ? undefined : items.find(({ metadata }) => metadata.name === chosen);
    debugging = await options.debug(found, items);
    return chosen;
  };

  /** The Function with new code and nothing else new; undefined when it has to be written as a whole. */
  const changed = (fn: PetrelFunction, digest: Digest, port: number | undefined) =>
    orUndefined(
      session.client.patch<PetrelFunction>(FUNCTIONS, namespace, fn.metadata.name, 'merge', {
        spec: { package: { digest }, ...(port === undefined ? {} : { debugPort: port }) },
      }),
    );

  return {
    supersede: () => void build.cancel(),
    async deploy() {
      const began = performance.now();
      const packed = await packSource(source);
      try {
        if (before?.digest === packed.digest) return { fn: before.fn, changed: false, ms: 0 };
        runtime ??= await prepare();
        const port = await debugging?.next();
        await uploadPackage(home.socket, packed);
        const code: Code = {
          runtime,
          package: { digest: packed.digest },
          entry: source.entry,
          ...(source.program ? { shape: 'program' } : {}),
          ...(port === undefined ? {} : { debugPort: port, timeoutSeconds: BREAKPOINT_SECONDS }),
        };
        const written =
          (before && (await changed(before.fn, packed.digest, port))) ??
          (await write(session.client, context, namespace, source.name, code, declared));
        before = undefined;
        const fn = await untilReady(session.client, written, { held: build.held });
        if (port !== undefined) debugging?.answers(port);
        before = { digest: packed.digest, fn };
        return { fn, changed: true, ms: performance.now() - began };
      } catch (error) {
        throw error instanceof PetrelError ? error : apiError(error);
      } finally {
        await build.told();
        await packed.dispose();
      }
    },
  };
}
