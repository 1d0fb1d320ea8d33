/** What a container image means here: one that was brought from a registry, a directory, one of our runtimes, or a command of the host. */

import { expand } from '../../kinds/container-env.ts';
import { HOST_IMAGE, RUNTIME_IMAGE_PREFIX, type Runtime, runtimeDirectory } from '../../kinds/function.ts';
import type { Container } from '../../kinds/pod.ts';
import type { ContainerMount, RootFs } from './drivers/driver.ts';
import { type ImageConfig, ImageError, type LocalImage } from './local-images.ts';
import { accountOf } from './oci/accounts.ts';
import type { PulledImage } from './oci/store.ts';
import { preparedDir } from './prepare.ts';

export type ResolvedImage =
  | {
      kind: 'run';
      command: string[];
      /** Set below the Pod's own variables. */
      env: Record<string, string>;
      /** Ready only when its socket accepts connections. */
      socket: boolean;
      /** Where it starts, unless the container says otherwise. */
      workingDir?: string;
      /** The image's own user, unless the container says otherwise. */
      user?: string;
      /** Files of the image, beside the machine's. */
      mounts?: ContainerMount[];
      /** All files of the image, in place of the machine's. */
      rootfs?: RootFs;
      /** Name and digest of what runs, for the container's status. */
      id?: string;
      /** A warm process that can be forked instead of running `command`. */
      zygote?: { runtime: string; command: string[]; env: Record<string, string> };
    }
  | { kind: 'unavailable'; reason: string; message: string };

export interface ImageFacts {
  runtime(name: string): Runtime | undefined;
  /** Path of the Node binary. */
  node: string;
  /** Directory that contains one directory per runtime. */
  runtimesDir: string;
  /** Directory of caches, in which what runtimes have prepared lies too. */
  cacheDir: string;
  /** Path of the socket a runtime has to open. */
  socket: string;
  /** Looks for an image that is a directory of this machine, see `findLocalImage`. */
  localImage(image: string): LocalImage | undefined;
  /** Looks for an image that has been brought here. */
  pulledImage(image: string): PulledImage | undefined;
}

/** The image's own words are final: only the container's may refer to its variables. */
const literal = (text: string) => text.replaceAll('$', '$$$$');

/** What an image without a `PATH` gets. Source: containerd `oci/spec_opts.go`. */
const IMAGE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function runPulled(container: Container, { config, tree, id }: PulledImage): ResolvedImage {
  const { user, home } = accountOf(tree, config.User);
  const run = runConfig(container, config, (part) => part);
  if (run.kind !== 'run') return run;
  return {
    ...run,
    env: { PATH: IMAGE_PATH, HOME: home, ...run.env },
    rootfs: { tree, readOnly: container.securityContext?.readOnlyRootFilesystem === true },
    id,
    ...(user === undefined ? { user: undefined } : { user }),
  };
}

/** A directory of this machine: `$(NODE)` in its words is the platform's own. */
function runLocal(container: Container, { config, mounts }: LocalImage, node: string): ResolvedImage {
  const run = runConfig(container, config, (part) =>
    expand(part, (name) => (name === 'NODE' ? node : undefined)),
  );
  return run.kind === 'run' ? { ...run, mounts } : run;
}

/** `command` replaces `Entrypoint` and `Cmd`, `args` alone replaces `Cmd`, as in Kubernetes. */
function runConfig(
  { command = [], args = [] }: Container,
  config: ImageConfig,
  filled: (part: string) => string,
): ResolvedImage {
  const own = (list: string[] | undefined) => (list ?? []).map((part) => literal(filled(part)));
  const line =
    command.length > 0
      ? [...command, ...args]
      : [...own(config.Entrypoint), ...(args.length > 0 ? args : own(config.Cmd))];
  if (line.length === 0)
    return { kind: 'unavailable', reason: 'CreateContainerError', message: 'no command specified' };
  const env = (config.Env ?? []).map((entry) => {
    const at = entry.indexOf('=');
    return [entry.slice(0, at), entry.slice(at + 1)] as const;
  });
  return {
    kind: 'run',
    command: line,
    env: Object.fromEntries(env),
    socket: false,
    ...(config.WorkingDir ? { workingDir: config.WorkingDir } : {}),
    ...(config.User ? { user: config.User } : {}),
  };
}

/** Decides what to run. `env` (for `$(NAME)` in command and args) is applied by the caller, once it is known. */
export function resolveImage(container: Container, facts: ImageFacts): ResolvedImage {
  const { image = '', command = [], args = [] } = container;
  if (image === HOST_IMAGE) {
    if (command.length > 0) return { kind: 'run', command: [...command, ...args], env: {}, socket: false };
    return { kind: 'unavailable', reason: 'CreateContainerConfigError', message: 'no command specified' };
  }
  if (image.startsWith(RUNTIME_IMAGE_PREFIX)) {
    const name = image.slice(RUNTIME_IMAGE_PREFIX.length);
    const runtime = facts.runtime(name);
    if (!runtime) {
      const message = `Runtime "${name}" not found: see \`kubectl get runtimes\` for those that exist`;
      return { kind: 'unavailable', reason: 'ErrImagePull', message };
    }
    const values: Record<string, string> = {
      NODE: facts.node,
      RUNTIME_DIR: runtimeDirectory(runtime, facts.runtimesDir),
      RUNTIME_CACHE: preparedDir(facts.cacheDir, name),
    };
    const line = (parts: string[]) => parts.map((part) => expand(part, (key) => values[key]));
    const own = line(runtime.spec.command);
    const { zygote } = runtime.spec;
    const forkable = zygote !== undefined && command.length === 0 && args.length === 0;
    const env = Object.fromEntries((runtime.spec.env ?? []).map(({ name: key, value = '' }) => [key, value]));
    return {
      kind: 'run',
      command: [...(command.length > 0 ? command : own), ...args],
      env: { ...env, PETREL_SOCKET: facts.socket },
      socket: command.length === 0,
      ...(forkable ? { zygote: { runtime: name, command: line(zygote.command), env } } : {}),
    };
  }
  const pulled = facts.pulledImage(image);
  try {
    const local = facts.localImage(image);
    if (local) return runLocal(container, local, facts.node);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (!pulled) return { kind: 'unavailable', reason: error.reason, message: error.message };
  }
  if (pulled) return runPulled(container, pulled);
  return {
    kind: 'unavailable',
    reason: 'ErrImagePull',
    message: `image "${image}" is not on this node any more`,
  };
}
