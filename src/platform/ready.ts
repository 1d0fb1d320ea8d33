/** How a platform in the background tells its starter that it is ready, or why it is not: one line of JSON on a pipe. */
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type ErrorCode, PetrelError } from '../base/errors.ts';
import type { PlatformRecord } from './home.ts';

type ReadyLine =
  | { record: PlatformRecord }
  | { error: { code: ErrorCode; message: string; why: string; fix: string } };

/** Writes the line and closes the descriptor. A starter that is gone is no failure of the platform. */
export function reportReady(fd: number, outcome: PlatformRecord | PetrelError): void {
  const line: ReadyLine =
    outcome instanceof PetrelError
      ? { error: { code: outcome.code, message: outcome.message, why: outcome.why, fix: outcome.fix } }
      : { record: outcome };
  try {
    writeSync(fd, `${JSON.stringify(line)}\n`);
    closeSync(fd);
  } catch {
    // The starter was interrupted.
  }
}

/** Reads the line. Resolves to undefined when the pipe ends without one: the process died. Throws the error it carries. */
export async function awaitReady(pipe: Readable): Promise<PlatformRecord | undefined> {
  let text = '';
  for await (const chunk of pipe.setEncoding('utf8')) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  if (!text.includes('\n')) return undefined;
  const line = JSON.parse(text) as ReadyLine;
  if ('record' in line) return line.record;
  const { code, message, why, fix } = line.error;
  throw new PetrelError(code, message, { why, fix });
}
