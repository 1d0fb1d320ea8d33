/** Images of registries, for a node that may never see one: what brings them is loaded with the first. */
import { HOST_IMAGE, RUNTIME_IMAGE_PREFIX } from '../../../kinds/function.ts';
import type { Container, Pod } from '../../../kinds/pod.ts';
import type { PullerOptions, Tell } from './puller.ts';
import type { ImageStore, ImageStoreOptions, PulledImage } from './store.ts';

export interface Images {
  /** What has to be awaited before the container can be started; undefined: nothing. It rejects with `CannotStart`. */
  pull(pod: Pod, container: Container, tell: Tell): Promise<void> | undefined;
  /** An image that has been brought. */
  find(image: string): PulledImage | undefined;
}

export function createImages(options: Omit<PullerOptions, 'store'> & ImageStoreOptions): Images {
  let store: ImageStore | undefined;
  let loading: Promise<ReturnType<typeof import('./puller.ts').createPuller>> | undefined;
  const load = async () => {
    const [{ createPuller }, { createImageStore }] = await Promise.all([
      import('./puller.ts'),
      import('./store.ts'),
    ]);
    store = createImageStore(options);
    return createPuller({ ...options, store });
  };
  return {
    pull(pod, container, tell) {
      const { image } = container;
      if (!image || image === HOST_IMAGE || image.startsWith(RUNTIME_IMAGE_PREFIX)) return undefined;
      loading ??= load();
      return loading.then((pull) => pull(pod, container, tell));
    },
    find: (image) => store?.find(image),
  };
}
