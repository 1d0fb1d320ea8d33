/** What a container image means on a machine without images: one of our runtimes, or a command of the host. */

import { expand } from '../../kinds/container-env.ts';
import { HOST_IMAGE, RUNTIME_IMAGE_PREFIX, type Runtime } from '../../kinds/function.ts';
import type { Container } from '../../kinds/pod.ts';

export type ResolvedImage =
  | {
      kind: 'run';
      command: string[];
      /** Set below the Pod's own variables. */
      env: Record<string, string>;
      /** Ready only when its socket accepts connections. */
      socket: boolean;
    }
  | { kind: 'unavailable'; reason: string; message: string };

export interface ImageFacts {
  runtime(name: string): Runtime | undefined;
  /** Path of the Node binary. */
  node: string;
  /** Directory that contains one directory per runtime. */
  runtimesDir: string;
  /** Path of the socket a runtime has to open. */
  socket: string;
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
    const values: Record<string, string> = { NODE: facts.node, RUNTIME_DIR: `${facts.runtimesDir}/${name}` };
    const own = runtime.spec.command.map((part) => expand(part, (key) => values[key]));
    const env = Object.fromEntries((runtime.spec.env ?? []).map(({ name: key, value = '' }) => [key, value]));
    return {
      kind: 'run',
      command: [...(command.length > 0 ? command : own), ...args],
      env: { ...env, PETREL_SOCKET: facts.socket },
      socket: command.length === 0,
    };
  }
  return {
    kind: 'unavailable',
    reason: 'ImageNotSupported',
    message:
      `cannot run image "${image}": this node runs processes, it has no container runtime. ` +
      `Use image ${HOST_IMAGE} with a command, ${RUNTIME_IMAGE_PREFIX}<name>, or a cluster with a container runtime`,
  };
}
