/**
 * SQLite files of the platform: opened so that a commit is on disk when it returns, readable by their owner alone, and with
 * failures in the platform's terms.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PetrelError } from './errors.ts';

/** Opens the file for writing; creates it, readable by its owner alone. */
export function openDatabase(path: string): DatabaseSync {
  try {
    createPrivateFile(path);
    const database = new DatabaseSync(path, { timeout: 5000 });
    try {
      database.exec(
        'PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 8388608',
      );
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    throw storageError(error, path);
  }
}

/**
 * An empty file for its owner alone, where there is none. One that is there is not even opened: closing a file ends all
 * locks that the process holds on it (fcntl(2)).
 */
export function createPrivateFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Moves what is in the write-ahead log into the file and gives freed pages back, a bounded number at a time. */
export function checkpoint(database: DatabaseSync, mode: 'PASSIVE' | 'TRUNCATE'): void {
  database.exec('PRAGMA incremental_vacuum(256)');
  database.prepare(`PRAGMA wal_checkpoint(${mode})`).all();
}

/** `SQLITE_IOERR_SHMSIZE`: no room for the index of the write-ahead log. Source: sqlite.org/rescode.html. */
const NO_ROOM_FOR_INDEX = 4874;
/** SQLite primary result codes that mean something to a user. Source: as above. */
const RESULT = { busy: 5, readonly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 };

/** What SQLite or the file system said, in the platform's terms. */
export function storageError(error: unknown, path: string): PetrelError {
  if (error instanceof PetrelError) return error;
  const { errcode, code, message } = error as { errcode?: number; code?: string; message?: string };
  const why = message ?? String(error);
  const result = errcode === undefined ? undefined : errcode & 0xff;
  if (result === RESULT.full || errcode === NO_ROOM_FOR_INDEX || code === 'ENOSPC' || code === 'EDQUOT') {
    return new PetrelError('DiskFull', `cannot write ${path}: the disk is full`, {
      why,
      fix: 'Free some space on this disk; what was acknowledged is safe, and writing goes on as soon as there is room.',
      cause: error,
    });
  }
  if (result === RESULT.corrupt || result === RESULT.notADatabase) {
    return new PetrelError('StartFailed', `${path} is damaged`, {
      why,
      fix: `Restore it from a backup, or move it away (mv ${path} ${path}.damaged) and start with an empty platform.`,
      cause: error,
    });
  }
  if (
    result === RESULT.readonly ||
    result === RESULT.cantOpen ||
    ['EACCES', 'EROFS', 'EPERM', 'ENOTDIR', 'EEXIST', 'EISDIR'].includes(code ?? '')
  ) {
    return new PetrelError('HomeNotWritable', `cannot write ${path}`, {
      why,
      fix: `Make ${dirname(path)} writable for this user, or set PETREL_HOME to another directory.`,
      cause: error,
    });
  }
  return new PetrelError('Internal', `storage failed: ${path}`, { why, cause: error });
}
