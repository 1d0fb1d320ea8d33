/** What keys the gateway's session cookies: kept in the home, so that sessions survive a restart of the platform. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileError, type HomePaths } from './home.ts';

/** Reads the secret of a home, or makes one (64 hexadecimal digits, readable by this user only). */
export function sessionSecret({ pki, dir }: Pick<HomePaths, 'pki' | 'dir'>): string {
  const file = join(pki, 'sessions');
  try {
    const kept = readFileSync(file, 'latin1').trim();
    if (/^[0-9a-f]{64}$/.test(kept)) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(error, dir);
  }
  const made = randomBytes(32).toString('hex');
  try {
    writeFileSync(file, `${made}\n`, { mode: 0o600 });
  } catch (error) {
    throw fileError(error, dir);
  }
  return made;
}
