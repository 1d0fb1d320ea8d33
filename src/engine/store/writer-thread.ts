/**
 * The thread that commits: fsync takes from a fraction of a millisecond to tens of them, and the event loop of the
 * platform also carries cold starts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { checkpoint, openDatabase, storageError } from '../../base/sqlite.ts';
import { type Batch, batchWriter } from './database.ts';

/** Write-ahead log size, in characters of JSON, after which it is folded into the file. */
const CHECKPOINT_AFTER = 4 * 1024 * 1024;

const { path } = workerData as { path: string };
const port = parentPort;
if (port === null) throw new Error('writer-thread.ts runs as a worker thread only');

const database = openDatabase(path);
const write = batchWriter(database);
let sinceCheckpoint = 0;

port.on('message', (message: Batch | 'close') => {
  if (message === 'close') {
    try {
      checkpoint(database, 'TRUNCATE');
    } finally {
      database.close();
      port.postMessage(null);
      port.close();
    }
    return;
  }
  try {
    write(message);
  } catch (error) {
    const { code, message: text, why, fix } = storageError(error, path);
    port.postMessage({ code, message: text, why, fix });
    return;
  }
  port.postMessage(null);
  for (const row of message.rows) sinceCheckpoint += row.json.length + 256;
  if (sinceCheckpoint > CHECKPOINT_AFTER) {
    sinceCheckpoint = 0;
    try {
      checkpoint(database, 'PASSIVE');
    } catch {
      // The log stays longer and the next checkpoint tries again; a full disk shows at the next write.
    }
  }
});
