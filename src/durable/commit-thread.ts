/**
 * The thread that commits the groups of one file: fsync takes from a fraction of a millisecond to tens of them, and the event
 * loop of the platform also carries cold starts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { checkpoint, openDatabase, storageError } from '../base/sqlite.ts';
import type { DurableFile } from './commands.ts';
import { ensureSchema } from './file.ts';

/** Commands after which the write-ahead log is folded into the file, and the size in bytes that does so earlier. */
const CHECKPOINT_AFTER = { commands: 20_000, bytes: 8 * 1024 * 1024 };

const { path, module } = workerData as { path: string; module: string };
const port = parentPort;
if (port === null) throw new Error('commit-thread.ts runs as a worker thread only');

const { durable } = (await import(module)) as { durable: DurableFile<unknown, unknown> };
const database = openDatabase(path);
ensureSchema(database, path, durable);
const execute = durable.prepare(database);
let commands = 0;
let bytes = 0;
/** As the file was opened. */
let synced = true;

/** In a write-ahead log NORMAL leaves the flush to the next commit with FULL, or to the checkpoint. */
const setSync = (sync: boolean) => {
  if (sync === synced) return;
  database.exec(`PRAGMA synchronous = ${sync ? 'FULL' : 'NORMAL'}`);
  synced = sync;
};

const fold = (mode: 'PASSIVE' | 'TRUNCATE') => {
  try {
    checkpoint(database, mode);
  } catch {
    // The log stays longer and the next checkpoint tries again; a full disk shows at the next write.
  }
};

port.on('message', (group: { commands: unknown[]; bytes: number; sync: boolean } | 'close') => {
  if (group === 'close') {
    fold('TRUNCATE');
    database.close();
    port.postMessage({ results: [] });
    port.close();
    return;
  }
  try {
    setSync(group.sync);
    database.exec('BEGIN IMMEDIATE');
    const results = group.commands.map((command) => execute(command));
    database.exec('COMMIT');
    port.postMessage({ results });
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    const { code, message, why, fix } = storageError(error, path);
    port.postMessage({ failure: { code, message, why, fix } });
    return;
  }
  commands += group.commands.length;
  bytes += group.bytes;
  if (commands < CHECKPOINT_AFTER.commands && bytes < CHECKPOINT_AFTER.bytes) return;
  commands = 0;
  bytes = 0;
  fold('PASSIVE');
});
