/** One process per home: a lock the operating system releases when its holder dies, however it dies. */
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PetrelError } from '../../base/errors.ts';
import { createPrivateFile, storageError } from '../../base/sqlite.ts';

const SQLITE_BUSY = 5;

/**
 * Takes the lock at `path`; call the result to release it. Node has no flock, SQLite has: an exclusive transaction on
 * an empty database holds the file lock and writes nothing.
 * Throws `PetrelError` `PlatformAlreadyRunning`.
 */
export function acquireLock(path: string): () => void {
  let database: DatabaseSync;
  try {
    createPrivateFile(path);
    database = new DatabaseSync(path, { timeout: 0 });
  } catch (error) {
    throw storageError(error, path);
  }
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw storageError(error, path);
    throw new PetrelError('PlatformAlreadyRunning', `a platform is already running in ${dirname(path)}`, {
      why: `Another process holds ${path}.`,
      fix: 'Use it (petrel status), stop it (petrel down), or start this one with another PETREL_HOME.',
      cause: error,
    });
  }
  return () => database.close();
}
