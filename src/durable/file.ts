/** Bringing a file to the schema that this version knows. */
import type { DatabaseSync } from 'node:sqlite';
import { PetrelError } from '../base/errors.ts';
import type { DurableFile } from './commands.ts';

/** Makes the schema in a new file, and brings that of an older one up to date. Throws `StartFailed` for a file of a newer version. */
export function ensureSchema(
  database: DatabaseSync,
  path: string,
  { version, schema, upgrades = {} }: Pick<DurableFile<never, unknown>, 'version' | 'schema' | 'upgrades'>,
): void {
  const found = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (found > version) {
    throw new PetrelError('StartFailed', `${path} was written by a newer version of Petrel`, {
      why: `Its format is ${found}, this version knows ${version}.`,
      fix: 'Use the newer version again, or another PETREL_HOME.',
    });
  }
  if (found === version) return;
  const steps = Array.from({ length: version - found }, (_, i) => upgrades[found + i] ?? '');
  const statements = found === 0 ? schema : steps.join(';');
  database.exec(`BEGIN IMMEDIATE; ${statements}; PRAGMA user_version = ${version}; COMMIT`);
}
