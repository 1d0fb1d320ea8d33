/** What a container says about its end: a file it may write, or the end of its log. Source: kubelet `getTerminationMessage`. */
import { chmodSync, closeSync, constants, fstatSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../../kinds/pod.ts';

/** Limits of Kubernetes: bytes of the file, bytes and lines of the log. */
const MAX_FILE = 4096;
const MAX_LOG = 2048;
const MAX_LOG_LINES = 80;

/** Makes the file empty, for everybody to write, in a directory that is the agent's own. Returns its path. */
export function prepareTerminationLog(dir: string, container: string): string {
  const path = join(dir, `${container}.termination`);
  writeFileSync(path, '');
  chmodSync(path, 0o666);
  return path;
}

/** What is in the file; empty when it is not a file. */
function readFile(path: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) return '';
    const buffer = Buffer.alloc(MAX_FILE);
    return buffer.subarray(0, readSync(fd, buffer, 0, MAX_FILE, 0)).toString();
  } catch {
    return '';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The message of a run that has ended; `tail` reads the last lines of its log, complete by now. */
export async function terminationMessage(
  { terminationMessagePolicy }: Container,
  exitCode: number,
  file: string | undefined,
  tail: (lines: number) => AsyncIterable<Buffer>,
): Promise<string | undefined> {
  const written = file === undefined ? '' : readFile(file);
  if (written !== '') return written;
  if (terminationMessagePolicy !== 'FallbackToLogsOnError' || exitCode === 0) return undefined;
  let text = '';
  for await (const chunk of tail(MAX_LOG_LINES)) text = (text + chunk.toString()).slice(-MAX_LOG);
  return text || undefined;
}
