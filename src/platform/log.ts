/** The platform's own log: a file that cannot grow without bound. */
import { copyFileSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';

/** Size at which the log is moved aside, bytes; one older file is kept beside it. */
const LIMIT = 8 * 1024 * 1024;

/**
 * Appends lines to `path` (0600). At the limit the content is copied to `<path>.1` and the file emptied rather than
 * replaced: standard error of the process is the same file, and a crash report must still arrive in it.
 * A full disk loses lines, never the process.
 */
export function logFile(path: string, limit: number = LIMIT): (line: string) => void {
  const fd = openSync(path, 'a', 0o600);
  let size = fstatSync(fd).size;
  return (line) => {
    try {
      if (size > limit) {
        try {
          copyFileSync(path, `${path}.1`);
        } finally {
          ftruncateSync(fd, 0);
          size = 0;
        }
      }
      size += writeSync(fd, line);
    } catch {
      // Nothing is left to tell it to.
    }
  };
}
