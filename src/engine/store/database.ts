/**
 * The SQLite file: schema, loading at start, and applying one batch as one transaction.
 *
 * One table holds both the current objects and the history: a row per written version, keyed by revision. A version's
 * row is removed when neither a reader (it is current) nor a resumed watch (it is in the history) can need it. So a
 * write costs one insert, whatever the number of objects.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PetrelError } from '../../base/errors.ts';

const SCHEMA_VERSION = 1;

/** A version of an object as one row. */
export interface Row {
  revision: number;
  /** Milliseconds since the epoch. */
  at: number;
  resource: string;
  namespace: string;
  name: string;
  /** 0 added, 1 modified, 2 deleted. */
  type: number;
  json: string;
}
export const ROW_TYPES = ['ADDED', 'MODIFIED', 'DELETED'] as const;

/** All that one transaction writes. Crosses to the writer thread, so data only. */
export interface Batch {
  rows: Row[];
  /** Revisions whose rows go. */
  garbage: number[];
  /** Resource → changes up to here are forgotten. */
  floors: [resource: string, revision: number][];
  /** Current versions of objects that are kept without history. */
  volatileRows: Row[];
  volatileGone: { resource: string; namespace: string; name: string }[];
  /** No revision above this one has been handed out. */
  ceiling: number | undefined;
}

/** What a start finds. */
export interface Loaded {
  rows: Row[];
  volatileRows: Row[];
  floors: Map<string, number>;
  ceiling: number;
}

const SCHEMA = `
CREATE TABLE log (
  revision INTEGER PRIMARY KEY, at INTEGER NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, type INTEGER NOT NULL, json TEXT NOT NULL
);
CREATE TABLE volatile (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
  at INTEGER NOT NULL, type INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE floor (resource TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ceiling (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);
INSERT INTO ceiling VALUES (0, 0);
PRAGMA user_version = ${SCHEMA_VERSION};
`;

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

/** Reads everything, creating the schema in a new file. */
export function load(database: DatabaseSync, path: string): Loaded {
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
    if (version > SCHEMA_VERSION) {
      throw new PetrelError('StartFailed', `${path} was written by a newer version of Petrel`, {
        why: `Its format is ${version}, this version knows ${SCHEMA_VERSION}.`,
        fix: 'Use the newer version again, or another PETREL_HOME.',
      });
    }
    if (version === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
    const floors = new Map<string, number>();
    for (const row of database.prepare('SELECT resource, revision FROM floor').all()) {
      floors.set(String(row.resource), Number(row.revision));
    }
    const ceiling = Number(database.prepare('SELECT revision FROM ceiling').get()?.revision ?? 0);
    const rows = database.prepare('SELECT * FROM log ORDER BY revision').all() as unknown as Row[];
    const volatileRows = database
      .prepare('SELECT * FROM volatile ORDER BY revision')
      .all() as unknown as Row[];
    return { rows, volatileRows, floors, ceiling };
  } catch (error) {
    throw storageError(error, path);
  }
}

/** Prepares the statements once; the result writes one batch as one transaction, and throws when nothing of it was written. */
export function batchWriter(database: DatabaseSync): (batch: Batch) => void {
  const insert = database.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)');
  const drop = database.prepare('DELETE FROM log WHERE revision = ?');
  const floor = database.prepare('INSERT OR REPLACE INTO floor VALUES (?, ?)');
  const raise = database.prepare('UPDATE ceiling SET revision = ?');
  const volatilePut = database.prepare('INSERT OR REPLACE INTO volatile VALUES (?, ?, ?, ?, ?, ?, ?)');
  const volatileDrop = database.prepare(
    'DELETE FROM volatile WHERE resource = ? AND namespace = ? AND name = ?',
  );
  return (batch) => {
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const r of batch.rows)
        insert.run(r.revision, r.at, r.resource, r.namespace, r.name, r.type, r.json);
      for (const revision of batch.garbage) drop.run(revision);
      for (const [resource, revision] of batch.floors) floor.run(resource, revision);
      for (const r of batch.volatileRows) {
        volatilePut.run(r.resource, r.namespace, r.name, r.revision, r.at, r.type, r.json);
      }
      for (const gone of batch.volatileGone) volatileDrop.run(gone.resource, gone.namespace, gone.name);
      if (batch.ceiling !== undefined) raise.run(batch.ceiling);
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };
}

/** Moves what is in the write-ahead log into the file and gives freed pages back, a bounded number at a time. */
export function checkpoint(database: DatabaseSync, mode: 'PASSIVE' | 'TRUNCATE'): void {
  database.exec('PRAGMA incremental_vacuum(256)');
  database.prepare(`PRAGMA wal_checkpoint(${mode})`).all();
}

/** SQLite primary result codes that mean something to a user. Source: sqlite.org/rescode.html. */
const RESULT = { busy: 5, readonly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 };

/** What SQLite or the file system said, in the platform's terms. */
export function storageError(error: unknown, path: string): PetrelError {
  if (error instanceof PetrelError) return error;
  const { errcode, code, message } = error as { errcode?: number; code?: string; message?: string };
  const why = message ?? String(error);
  const result = errcode === undefined ? undefined : errcode & 0xff;
  if (result === RESULT.full || code === 'ENOSPC' || code === 'EDQUOT') {
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
