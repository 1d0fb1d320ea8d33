/** Everything that runs once there is an invocation: opened with the first one, or at the start when the file is there. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { openCallback } from '../../base/callback.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { OutsidePolicy } from '../../base/outside.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { createDelivery, type FunctionAddress } from './deliver.ts';
import { createDispatcher, type Dispatcher } from './dispatcher.ts';
import { createIntake } from './intake.ts';
import { answerStatus } from './status.ts';
import { type InvocationStore, openInvocationStore } from './store.ts';

export interface EngineOptions {
  /** The SQLite file. */
  path: string;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** The function behind `<namespace>/<name>` as it is now. */
  spec(target: string): FunctionSpec | undefined;
  /** Where requests for it go; see `createDelivery`. */
  address(target: string, event?: string): FunctionAddress;
  /** Of this home: what callbacks are proven with. */
  secret: string;
  /** Where callbacks may go. */
  outside: OutsidePolicy;
}

export interface Engine {
  readonly store: InvocationStore;
  readonly dispatcher: Dispatcher;
  /** A request that is to be carried out later, with `x-petrel-route`. */
  accept(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** A request below `STATUS_PATH`. */
  status(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** See `Dispatcher.stop`. What is still accepted is carried out after the next start. */
  drain(graceMs: number): Promise<void>;
  /** Closes the file; after `drain`. */
  close(): Promise<void>;
}

/** Opens the file and takes up what it holds. Throws `PetrelError` when it cannot be used. */
export function openEngine(options: EngineOptions): Engine {
  const { clock, random, spec } = options;
  const log = options.log.with({ component: 'invocations' });
  const store = openInvocationStore({
    path: options.path,
    clock,
    log,
    stored: ({ id, target }) => dispatcher.accepted(id, target),
  });
  const delivery = createDelivery({ clock, address: options.address, outside: options.outside });
  const dispatcher: Dispatcher = createDispatcher({
    store,
    delivery,
    clock,
    random,
    log,
    spec,
    callback: (target, field) => openCallback(options.secret, target, field),
  });
  const intake = createIntake({ store, dispatcher, clock });
  dispatcher.start();
  return {
    store,
    dispatcher,
    accept: intake.accept,
    status: (request, response) => answerStatus({ store, dispatcher }, request, response),
    drain: (graceMs) => dispatcher.stop(graceMs),
    close: () => store.close(),
  };
}
