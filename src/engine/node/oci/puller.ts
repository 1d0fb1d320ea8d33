/** Sees to it that the image of a container is on this machine, as kubelet does: by its policy, with the Pod's secrets, told by Events. Source: kubelet `pkg/kubelet/images`. */
import type { Clock } from '../../../base/clock.ts';
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { loginFor, loginIn } from '../../../base/oci/login.ts';
import { isLocal } from '../../../base/oci/reference.ts';
import { HOST_IMAGE } from '../../../kinds/function.ts';
import type { Container, Pod, Secret } from '../../../kinds/pod.ts';
import type { Revision } from '../../../kinds/serving.ts';
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { REVISIONS, SECRETS } from '../../../kube/refs.ts';
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
const CONFIG_KEY = '.dockerconfigjson';

/** Returns what sees to it that the image of a container is here; it rejects with `CannotStart`. */
export function createPuller(
  options: PullerOptions,
): (pod: Pod, container: Container, tell: Tell) => Promise<void> {
  const { client, driver, clock, store, env } = options;

  const secretsOf = async ({ spec, metadata }: Pod): Promise<string[]> => {
    const texts: string[] = [];
    for (const { name } of spec.imagePullSecrets ?? []) {
      if (!name) continue;
      try {
        const { data } = await client.get<Secret>(SECRETS, metadata.namespace ?? '', name);
        const text = data?.[CONFIG_KEY];
        if (text !== undefined) texts.push(Buffer.from(text, 'base64').toString('utf8'));
      } catch (error) {
        // As kubelet: the image may be for everybody.
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      }
    }
    return texts;
  };

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
    const secrets = await secretsOf(pod);
    const login = async (host: string) =>
      secrets.map((text) => loginIn(text, host)).find((found) => found) ?? (await loginFor(host, env));
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
