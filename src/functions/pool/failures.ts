/** Why code does not load, in words for the function's author; and for how long that is believed without trying again. */
import type { RevisionFailure } from '../../gateway/contract.ts';
import { InstanceError } from '../../serving/contract.ts';
import type { InstanceCallError } from '../instance-channel.ts';

/** A load error is the code's: the same revision fails the same way, so those who wait need not try, ms. */
const REMEMBERED_MS = 3000;
const MAX_REMEMBERED = 1000;

/** The language's own text with file and line; it usually repeats the message, under a name of its own. */
function loadErrorText(error: InstanceCallError): string {
  const at = [error.file, error.line].filter((part) => part !== undefined).join(':');
  const place = error.column === undefined ? at : `${at}:${error.column}`;
  const detail = error.detail?.trim() ?? '';
  const said = detail.includes(error.message.replace(/^\w+: /, ''))
    ? detail
    : [error.message, detail].filter((part) => part !== '').join('\n');
  return at === '' || said.includes(at) ? said : `${place}: ${said}`;
}

/** What waiting requests end with when an instance refuses to load the code. */
export function loadFailure(error: InstanceCallError): InstanceError {
  return new InstanceError({
    status: 500,
    component: 'function',
    reason: 'load_error',
    message: loadErrorText(error),
  });
}

/** A failure of the same kind from words of our own. */
export function functionFailure(status: number, reason: string, message: string): InstanceError {
  return new InstanceError({ status, component: 'function', reason, message });
}

export interface FailureMemory {
  /** Throws what was remembered of this revision (uid), if it is young enough. */
  check(uid: string): void;
  remember(uid: string, error: InstanceError): void;
}

export function createFailureMemory(now: () => number): FailureMemory {
  const known = new Map<string, { failure: RevisionFailure; at: number }>();
  return {
    check(uid) {
      const entry = known.get(uid);
      if (entry === undefined) return;
      const age = now() - entry.at;
      if (age >= 0 && age < REMEMBERED_MS) throw new InstanceError(entry.failure);
      known.delete(uid);
    },
    remember(uid, error) {
      known.delete(uid);
      known.set(uid, { failure: error.failure, at: now() });
      for (const oldest of known.keys()) {
        if (known.size <= MAX_REMEMBERED) break;
        known.delete(oldest);
      }
    },
  };
}
