/** Deliveries for sources that can be asked again: nothing is written while they last, the origin keeps the event. */
import { sleep } from '../../base/clock.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { DeliveryTerms, Target } from '../model.ts';
import type { Courier } from './contract.ts';
import type { LaneEnvironment } from './environment.ts';
import { type Attempted, attempt, bringToDeadLetters, headersOf, type Party } from './exchange.ts';
import { persist } from './persist.ts';
import { itemOfEvent, recordOf, type Task, taskOf } from './task.ts';
import { next } from './verdict.ts';

/** The platform itself was not there: again after this time, ms. */
const POSTPONED_MS = 1000;

/** `known` is told for whom deliveries are made, so that their dead letters can be delivered again. */
export function createCourier(
  env: LaneEnvironment,
  known: (key: string, target: Target, terms: DeliveryTerms) => void,
): Courier {
  const { sender, clock, random, state } = env;

  /** Attempts until it is delivered (undefined) or given up (why). */
  const carry = async (
    task: Task,
    terms: DeliveryTerms,
    once: () => Promise<Attempted>,
    signal: AbortSignal,
  ): Promise<string | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      const result = await once();
      // What it came to when it was given up in the middle is not known.
      signal.throwIfAborted();
      if (result.is === 'done') return undefined;
      let wait = POSTPONED_MS;
      if (result.is !== 'postponed') {
        const { failure, destination } = result;
        task.failures++;
        if (task.phase === 'subscriber')
          task.last = { destination, message: failure.message, status: failure.status, body: failure.body };
        const what = next(terms, task.failures, failure, random());
        if ('giveUp' in what) return what.giveUp;
        wait = what.wait;
      }
      await sleep(clock, wait, signal);
    }
  };

  return {
    async deliver(key, target, terms, event: CloudEvent, signal) {
      known(key, target, terms);
      const party: Party = {
        subscriber: target,
        reply: undefined,
        terms,
        broker: false,
        headers: headersOf(key),
        signal,
      };
      const task = taskOf(itemOfEvent(event, clock.now()), undefined, false);
      const failed = await carry(task, terms, () => attempt(sender, clock, party, [task]), signal);
      if (failed === undefined) return 'delivered';
      const attempts = task.failures;
      let reason = failed;
      const { deadLetter } = terms;
      if (deadLetter !== undefined) {
        task.phase = 'deadLetter';
        task.failures = 0;
        const bring = () => bringToDeadLetters(sender, clock, party, deadLetter, task);
        const why = await carry(task, terms, bring, signal);
        if (why === undefined) return 'dead';
        reason = `${failed}; its dead letter sink: ${why}`;
      }
      const row = {
        subscription: key,
        stream: key,
        offset: -1,
        at: task.item.at,
        diedAt: clock.now(),
        attempts,
        status: task.last?.status,
        reason,
        record: recordOf(task.item),
      };
      const written = await persist(
        env,
        () => state.bury([{ row }]),
        () => signal.aborted,
      );
      if (!written) signal.throwIfAborted();
      return 'dead';
    },
  };
}
