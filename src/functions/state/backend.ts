/** Where state is: on this machine's disk unless settings of the platform say otherwise. Drivers are loaded when they are named. */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import { placeOf } from '../s3/setting.ts';
import { bucketContents, type Contents, diskContents } from './contents.ts';
import type { KeyedState } from './types.ts';

/** Scheme of `PETREL_STATE_BACKEND` → driver. */
const KEYED: Record<string, (url: string, clock: Clock) => Promise<KeyedState>> = {
  'redis:': async (url, clock) => (await import('./redis/driver.ts')).openRedis(url, clock),
  'rediss:': async (url, clock) => (await import('./redis/driver.ts')).openRedis(url, clock),
  'postgresql:': async (url, clock) => (await import('./postgresql/driver.ts')).openPostgresql(url, clock),
  'postgres:': async (url, clock) => (await import('./postgresql/driver.ts')).openPostgresql(url, clock),
};

const wrong = (setting: string, fix: string) => (why: string) =>
  // The value may hold a password.
  new PetrelError('InvalidArgument', `${setting} is not understood`, { why, fix });

/** Keyed state elsewhere. Throws `PetrelError` when it cannot be used. */
export function openKeyed(setting: string, clock: Clock): Promise<KeyedState> {
  const fail = wrong(
    'PETREL_STATE_BACKEND',
    'write redis://host:6379 or postgresql://user:password@host/database, or leave it out',
  );
  if (!URL.canParse(setting)) throw fail('it is no URL');
  const { protocol } = new URL(setting);
  const open = Object.hasOwn(KEYED, protocol) ? KEYED[protocol] : undefined;
  if (open === undefined) throw fail(`there is no driver for ${protocol}`);
  return open(setting, clock);
}

/** Where the bytes of blobs are: files of `dir`, or the bucket of `PETREL_STATE_BLOBS`. */
export async function openContents(
  setting: string | undefined,
  { dir, env, clock }: { dir: string; env: NodeJS.ProcessEnv; clock: Clock },
): Promise<Contents> {
  if (setting === undefined || setting === '') return diskContents(join(dir, 'blobs'));
  const fail = wrong('PETREL_STATE_BLOBS', 'write s3://bucket/prefix?endpoint=https://host, or leave it out');
  if (!URL.canParse(setting) || new URL(setting).protocol !== 's3:') throw fail('it is no s3: URL');
  const { openPlace } = await import('../s3/place.ts');
  const place = openPlace({
    ...placeOf(new URL(setting), env, fail),
    what: 'store of blobs',
    setting: 'PETREL_STATE_BLOBS',
  });
  return bucketContents(place, join(dir, 'incoming'), () => clock.now());
}
