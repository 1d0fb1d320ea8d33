/** Tells when a unix socket accepts connections, without polling: the directory is watched, then the socket is tried. */
import { type FSWatcher, watch } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname } from 'node:path';

/** Between bind and listen a socket refuses; that gap is microseconds on an idle machine. */
const RETRY_MS = 2;

/** Calls `ready` once. Returns the function that gives up waiting. */
export function whenSocketAccepts(path: string, ready: () => void): () => void {
  let over = false;
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    over = true;
    watcher?.close();
    clearTimeout(timer);
  };
  const attempt = () => {
    clearTimeout(timer);
    if (over) return;
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      if (over) return;
      stop();
      ready();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      socket.destroy();
      // Absent: the watch will tell. There but refusing: it has been bound and will listen in a moment.
      if (!over && error.code !== 'ENOENT') timer = setTimeout(attempt, RETRY_MS);
    });
  };
  watcher = watch(dirname(path), (_, name) => {
    if (name === basename(path)) attempt();
  });
  watcher.on('error', () => {});
  attempt();
  return stop;
}
