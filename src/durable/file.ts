/** Bringing a file to the schema that this version knows. */
import type { DatabaseSync } from 'node:sqlite';
import { PetrelError } from '../base/errors.ts';
import type { DurableFile } from './commands.ts';

/** Makes the schema in a new file. Throws `StartFailed` for a file of a newer version. */
export function ensureSchema(
  database: DatabaseSync,
  path: string,
  { version, schema }: Pick<DurableFile<never, unknown>, 'version' | 'schema'>,
): void {
  const found = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (found > version) {
    throw new PetrelError('StartFailed', `${path} was written by a newer version of Petrel`, {
      why: `Its format is ${found}, this version knows ${version}.`,
      fix: 'Use the newer version again, or another PETREL_HOME.',
    });
  }
  if (found === 0) database.exec(`BEGIN IMMEDIATE; ${schema}; PRAGMA user_version = ${version}; COMMIT`);
}
