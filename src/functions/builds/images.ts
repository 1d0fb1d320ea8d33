/** The image that a Function asks for beside its package: written once for what is loaded, and named in the state of its build. */
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { Digest, PetrelFunction } from '../../kinds/function.ts';
import { writeImage } from '../oci/write.ts';
import type { PackageStore } from '../packages/store.ts';
import { BASE_ANNOTATION } from './annotations.ts';
import type { BuildState } from './builds.ts';

export interface ImagesOptions {
  packages: PackageStore;
  imagesDir: string;
  env: NodeJS.ProcessEnv;
}

/** Labels by which somebody who has the image alone knows what is in it. */
function labelsOf({ metadata, spec }: PetrelFunction, digest: Digest): Record<string, string> {
  return {
    'org.opencontainers.image.title': metadata.name,
    'dev.petrel.runtime': spec.runtime,
    'dev.petrel.package': digest,
    ...(spec.entry === undefined ? {} : { 'dev.petrel.entry': spec.entry }),
    ...(spec.handler === undefined ? {} : { 'dev.petrel.handler': spec.handler }),
  };
}

/** Writes images, each once. */
export function createImages({ packages, imagesDir, env }: ImagesOptions) {
  /** The state with the image in it, or the failure to write it. `state` must have a digest; without one there is nothing to do. */
  return async (fn: PetrelFunction, state: BuildState): Promise<BuildState> => {
    const reference = fn.spec.build?.image;
    const { digest, inputs } = state.status;
    if (reference === undefined || digest === undefined) return state;
    const before = fn.status?.build;
    const written = before?.image;
    if (written?.startsWith(`${reference}@`) && before?.digest === digest && before.inputs === inputs)
      return { ...state, status: { ...state.status, image: written } };
    const base = fn.metadata.annotations?.[BASE_ANNOTATION];
    try {
      const image = await writeImage({
        directory: await packages.directory(digest),
        reference,
        labels: labelsOf(fn, digest),
        imagesDir,
        env,
        ...(base ? { base } : {}),
      });
      return { ...state, status: { ...state.status, image } };
    } catch (error) {
      const why = error instanceof PetrelError ? [error.why, error.fix].filter(Boolean).join('. ') : '';
      const message = [`the image ${reference} was not written: ${messageOf(error)}`, why]
        .filter(Boolean)
        .join('\n');
      const { digest: _digest, ...rest } = state.status;
      return { status: { ...rest, phase: 'Failed', message }, reason: 'ImageFailed' };
    }
  };
}
