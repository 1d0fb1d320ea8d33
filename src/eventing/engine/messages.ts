/** What crosses between the engine's thread and the thread that holds it. Everything can be cloned. */
import type { ErrorCode } from '../../base/errors.ts';
import type { LogFields, LogLevel } from '../../base/log.ts';
import type { EngineControl, EngineOptions, EngineReports, Questions } from '../model.ts';

/** Methods of `EngineControl` that set something. */
export type Setter = 'setStream' | 'setSubscription' | 'setSource' | 'setSink';

export type ToEngine =
  | { type: 'set'; method: Setter; key: string; spec: Parameters<EngineControl[Setter]>[1] }
  | { type: 'complete' }
  | { type: 'ask'; id: number; question: keyof Questions; input: unknown }
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
  | { type: 'answer'; id: number; answer: unknown }
  | { type: 'refused'; id: number; error: SentError }
  | { type: 'report'; method: keyof EngineReports; input: unknown[] }
  | { type: 'log'; level: LogLevel; message: string; fields: LogFields }
  | { type: 'stopped' };

export interface ThreadStart {
  options: EngineOptions;
  /** URL of the module that exports `parts: EngineParts`. */
  parts: string;
}
