/** Those who wait for an instance, served in the order in which they came. */
import type { Member } from './members.ts';

interface Waiter {
  resolve(member: Member): void;
  reject(error: unknown): void;
}

export interface Waiters {
  readonly length: number;
  /** Waits to be served. Rejects with the signal's reason, leaving the queue, when it aborts. */
  join(signal: AbortSignal): Promise<Member>;
  /** Gives the member to who waits longest; false when nobody does. */
  serve(member: Member): boolean;
  rejectAll(error: unknown): void;
}

/** `onLeave` is called when somebody gave up. */
export function createWaiters(onLeave: () => void): Waiters {
  const queue = new Set<Waiter>();
  return {
    get length() {
      return queue.size;
    },
    join(signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Member>();
      const end = () => {
        queue.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        resolve(member) {
          end();
          resolve(member);
        },
        reject(error) {
          end();
          reject(error);
        },
      };
      const onAbort = () => {
        waiter.reject(signal.reason);
        onLeave();
      };
      queue.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      return promise;
    },
    serve(member) {
      for (const waiter of queue) {
        waiter.resolve(member);
        return true;
      }
      return false;
    },
    rejectAll(error) {
      for (const waiter of [...queue]) waiter.reject(error);
    },
  };
}
