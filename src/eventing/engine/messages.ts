/** What crosses between the engine's thread and the thread that holds it. Everything can be cloned. */
import { type ErrorCode, messageOf, PetrelError } from '../../base/errors.ts';
import type { LogFields, LogLevel } from '../../base/log.ts';
import type { Json } from '../../kinds/object.ts';
import type { EngineControl, EngineOptions, EngineReports } from '../model.ts';

/** Methods of `EngineControl` that set something. */
export type Setter = 'setStream' | 'setSubscription' | 'setSource' | 'setSink';

/** Methods of `EngineControl` that answer. */
export type Call = 'applied' | 'ask' | 'bring' | 'checkpoint' | 'saveCheckpoint';

export type Answer =
  | { type: 'answer'; id: number; answer: unknown }
  | { type: 'refused'; id: number; error: SentError };

export type ToEngine =
  | { type: 'set'; method: Setter; key: string; spec: Parameters<EngineControl[Setter]>[1] }
  | { type: 'complete' }
  | { type: 'call'; id: number; method: Call; input: unknown[] }
  /** To a `call` of the engine's. */
  | Answer
  | { type: 'stop'; graceMs: number };

/** An error as it crosses: those of the closed list stay what they are. */
export interface SentError {
  code: ErrorCode;
  message: string;
  why: string;
  fix: string;
}

export type FromEngine =
  | { type: 'ready' }
  | { type: 'failed'; error: SentError }
  /** What the engine asks of the thread that holds it. */
  | { type: 'call'; id: number; name: string; input: Json }
  /** To a `call` of that thread's. */
  | Answer
  | { type: 'report'; method: keyof EngineReports; input: unknown[] }
  | { type: 'log'; level: LogLevel; message: string; fields: LogFields }
  | { type: 'stopped' };

export interface ThreadStart {
  options: EngineOptions;
  /** URL of the module that exports `parts: EngineParts`. */
  parts: string;
}

/** An error on its way. */
export function sendable(error: unknown): SentError {
  if (error instanceof PetrelError) {
    const { code, message, why, fix } = error;
    return { code, message, why, fix };
  }
  return { code: 'Internal', message: messageOf(error), why: String((error as Error)?.stack ?? ''), fix: '' };
}

/** An error that has come. */
export function received({ code, message, why, fix }: SentError): PetrelError {
  return new PetrelError(code, message, { why, fix });
}

/** Calls to the other side that wait for their answers. */
export class Calls {
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  /** A new call: `send` is given its id. */
  begin(send: (id: number) => void): Promise<unknown> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    send(id);
    return waiting.promise;
  }

  settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.type === 'answer') waiting?.resolve(answer.answer);
    else waiting?.reject(received(answer.error));
  }

  /** The other side is gone. */
  rejectAll(error: PetrelError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
