/**
 * The SQLite file: schema, loading at start, and applying one batch as one transaction.
 *
 * One table holds both the current objects and the history: a row per written version, keyed by revision. A version's
 * row is removed when neither a reader (it is current) nor a resumed watch (it is in the history) can need it. So a
 * write costs one insert, whatever the number of objects.
 */
import type { DatabaseSync } from 'node:sqlite';
import { PetrelError } from '../../base/errors.ts';
import { storageError } from '../../base/sqlite.ts';

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
