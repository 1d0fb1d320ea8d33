/** What instances say in JSON: their greeting, and why they gave up on a request. */

import { ProtocolError } from '../base/mux/frame-reader.ts';
import { type Failure, failure } from './failures.ts';

/** Throws when a HELLO is not one that is understood here. */
export function checkHello(buf: Buffer, start: number, end: number): void {
  let version: unknown;
  try {
    version = (JSON.parse(buf.toString('utf8', start, end)) as { version?: unknown } | null)?.version;
  } catch {
    throw new ProtocolError('HELLO is no JSON');
  }
  if (version !== 1) throw new ProtocolError('unknown version in HELLO');
}

export interface Reset {
  code: string;
  message: string;
}

/** A RESET counts whatever its payload says. */
export function readReset(buf: Buffer, start: number, end: number): Reset {
  try {
    const reset = JSON.parse(buf.toString('utf8', start, end)) as Partial<
      Record<'code' | 'message', unknown>
    > | null;
    return { code: String(reset?.code ?? ''), message: String(reset?.message ?? '') };
  } catch {
    return { code: '', message: '' };
  }
}

/** A reset as the client sees it. */
export function resetFailure({ code, message }: Reset): Failure {
  switch (code) {
    case 'crashed':
      return failure(
        'instance_crashed',
        message || 'the instance crashed while it worked on this request',
        'function',
      );
    case 'handler_error':
      return failure('function_error', message || 'the function failed', 'function');
    case 'overloaded':
      return failure('overloaded', message || 'the instance takes no more requests', 'function');
    case 'draining':
      return failure('draining', message || 'the instance is going away', 'function');
    default:
      return failure('upstream_reset', message || 'the instance gave up on this request', 'function');
  }
}
