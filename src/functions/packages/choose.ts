/** Which driver keeps packages: `PETREL_PACKAGES`. */
import { PetrelError } from '../../base/errors.ts';
import { placeOf } from '../s3/setting.ts';
import type { ArchiveDriver } from './driver.ts';

/**
 * Reads `s3://bucket/prefix?endpoint=…&region=…` or `oci://host/repository`; `exclusive=1` says that no other platform keeps packages
 * there, so that this one may collect. Undefined without the setting: the platform's own directory. Throws `InvalidArgument` at once, so
 * that a mistake shows when the platform starts.
 */
export function packageDriver(env: NodeJS.ProcessEnv): (() => Promise<ArchiveDriver>) | undefined {
  const setting = env.PETREL_PACKAGES;
  if (setting === undefined || setting === '') return undefined;
  const wrong = (why: string) =>
    new PetrelError('InvalidArgument', `PETREL_PACKAGES=${setting} is not understood`, {
      why,
      fix: 'write s3://bucket/prefix?endpoint=https://host or oci://registry/repository, or leave it out',
    });
  if (!URL.canParse(setting)) throw wrong('it is no URL');
  const url = new URL(setting);
  const exclusive = url.searchParams.get('exclusive') === '1';
  if (url.protocol === 's3:') {
    const place = placeOf(url, env, wrong);
    return async () => (await import('./s3-driver.ts')).createS3Driver({ ...place, exclusive });
  }
  if (url.protocol === 'oci:') {
    const repository = url.pathname.replace(/^\/+|\/+$/g, '');
    if (url.host === '' || repository === '') throw wrong('it names no registry and repository');
    return async () => {
      const [{ createRegistry }, { registryUrl }, { loginFor }, { createOciDriver }] = await Promise.all([
        import('../../base/oci/registry.ts'),
        import('../../base/oci/reference.ts'),
        import('../../base/oci/login.ts'),
        import('./oci/driver.ts'),
      ]);
      const login = await loginFor(url.host, env);
      const registry = createRegistry({
        url: registryUrl(url.host),
        repository,
        ...(login ? { login } : {}),
      });
      return createOciDriver(registry, { exclusive });
    };
  }
  throw wrong('only s3: and oci: are known');
}
