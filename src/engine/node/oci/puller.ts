/** Sees to it that the image of a container is on this machine, as kubelet does: by its policy, with the Pod's secrets, told by Events. Source: kubelet `pkg/kubelet/images`. */
import type { Clock } from '../../../base/clock.ts';
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { isLocal } from '../../../base/oci/reference.ts';
import { HOST_IMAGE } from '../../../kinds/function.ts';
import type { Container, Pod } from '../../../kinds/pod.ts';
import type { Revision } from '../../../kinds/serving.ts';
import type { KubeClient } from '../../../kube/client.ts';
import { REVISIONS } from '../../../kube/refs.ts';
import { registryLogin } from '../../../kube/registry-login.ts';
import type { ContainerDriver } from '../drivers/driver.ts';
import { CannotStart } from '../launch.ts';
import type { LocalImage } from '../local-images.ts';
import type { ImageStore } from './store.ts';

export interface PullerOptions {
  client: KubeClient;
  driver: Pick<ContainerDriver, 'imageProblem'>;
  clock: Clock;
  store: ImageStore;
  /** Directories that are images; see `findLocalImage`. */
  localImage(image: string): LocalImage | undefined;
  env: NodeJS.ProcessEnv;
  /** Images of the Pods that are here. */
  inUse(): ReadonlySet<string>;
}

/** For an Event about the Pod. */
export type Tell = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

/** What was not used for so long goes when another image comes, ms. */
const KEPT_MS = 7 * 24 * 3600 * 1000;

/** Returns what sees to it that the image of a container is here; it rejects with `CannotStart`. */
export function createPuller(
  options: PullerOptions,
): (pod: Pod, container: Container, tell: Tell) => Promise<void> {
  const { client, driver, clock, store, env } = options;

  const isDirectory = (image: string): boolean => {
    try {
      return options.localImage(image) !== undefined;
    } catch {
      return false;
    }
  };

  /** What a revision may be asked for again stays, also when it is at zero: what it is pinned to may be nowhere else any more. */
  const collect = async (): Promise<void> => {
    const { items } = await client.list<Revision>(REVISIONS);
    const wanted = items.flatMap(({ spec, status }) => [
      ...[...spec.containers, ...(spec.initContainers ?? [])].map(({ image }) => image),
      ...[...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].map(
        ({ imageDigest }) => imageDigest,
      ),
    ]);
    await store.collect(
      new Set([...options.inUse(), ...wanted.filter((image) => image !== undefined)]),
      KEPT_MS,
    );
  };

  const bring = async (pod: Pod, image: string, policy: string, tell: Tell): Promise<void> => {
    const problem = await driver.imageProblem();
    if (problem !== undefined)
      throw new CannotStart(
        'ImageNotSupported',
        `cannot run image "${image}": ${problem}. Use image ${HOST_IMAGE} with a command, or deploy the program's folder`,
      );
    if (policy === 'Never' && !store.find(image))
      throw new CannotStart(
        'ErrImageNeverPull',
        `Container image "${image}" is not present with pull policy of Never`,
        'ErrImageNeverPull',
      );
    const secrets = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) => name || []);
    const login = (host: string) => registryLogin(client, pod.metadata.namespace ?? '', secrets, host, env);
    const since = clock.monotonic();
    tell('Normal', 'Pulling', `Pulling image "${image}"`);
    try {
      const { bytes } = await store.pull(image, login);
      const took = `${((clock.monotonic() - since) / 1000).toFixed(3)}s`;
      tell(
        'Normal',
        'Pulled',
        `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${bytes} bytes.`,
      );
      if (bytes > 0) void collect().catch(() => {});
    } catch (error) {
      const { why, code } = error instanceof PetrelError ? error : { why: undefined, code: undefined };
      const message = `failed to pull image "${image}": ${messageOf(error)}${why ? `: ${why}` : ''}`;
      tell('Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
      throw new CannotStart(code === 'InvalidArgument' ? 'InvalidImageName' : 'ErrImagePull', message);
    }
  };

  return async (pod, { image = '', imagePullPolicy = 'IfNotPresent' }, tell) => {
    // Of registries that nobody can pull from; what they have may have been built anew.
    const local = isLocal(image);
    if (local && isDirectory(image)) return;
    const settled = image.includes('@') || (!local && imagePullPolicy !== 'Always');
    if (settled && store.find(image)) {
      tell('Normal', 'Pulled', `Container image "${image}" already present on machine`);
      return;
    }
    if (local && !store.hasLayout(image)) return;
    await bring(pod, image, imagePullPolicy, tell);
  };
}
