/** What a runtime brings to the contract suite: the same behaviours written in its language, and what it cannot show, with the reason. */
import type { Files } from './instance.ts';

/** A package and what is loaded of it. */
export interface Source {
  files: Files;
  entry?: string;
  handler?: string;
  shape?: string;
}

/** Code that cannot be loaded, or not even built: what the error must name. */
export interface Failing {
  source: Source;
  /** In message or detail; of a failing build, in its log. */
  says: RegExp;
  /** Relative to the package. */
  file?: string;
  line?: number;
  /** The source line itself is shown. */
  shows?: string;
  /** It is the build that fails. */
  building?: true;
}

/** Faults that every language has to tell of; the key of each is in the title of its test. */
export interface Failures {
  'a syntax error': Failing;
  'a syntax error in a file that is imported': Failing;
  'a module that is not there': Failing;
  'a module that is not there, two files deep': Failing;
  'a throw while loading': Failing;
  'loading that fails later': Failing;
  'loading that never ends': Failing;
  'no handler among the exports': Failing;
  'a named handler that is not exported': Failing;
  'an entry that is not in the package': Failing;
  'an entry outside the package': Failing;
  'code that exits while it is loaded': Failing;
}

/** The code of the error that each fault ends with, and settings of the instance that shows it. */
export const FAILURES: Record<keyof Failures, { code: string; env?: Record<string, string> }> = {
  'a syntax error': { code: 'LoadError' },
  'a syntax error in a file that is imported': { code: 'LoadError' },
  'a module that is not there': { code: 'LoadError' },
  'a module that is not there, two files deep': { code: 'LoadError' },
  'a throw while loading': { code: 'LoadError' },
  'loading that fails later': { code: 'LoadError' },
  'loading that never ends': { code: 'LoadError', env: { PETREL_LOAD_TIMEOUT_MS: '1000' } },
  'no handler among the exports': { code: 'HandlerNotFound' },
  'a named handler that is not exported': { code: 'HandlerNotFound' },
  'an entry that is not in the package': { code: 'EntryNotFound' },
  'an entry outside the package': { code: 'EntryNotFound' },
  'code that exits while it is loaded': { code: 'LoadError' },
};

/** Programs that listen on `$PORT`: each answers `program <target> <$GREETING>`. */
export interface Programs {
  declared: Source;
  /** Recognised without being declared; left out where the language has no such thing. */
  whenLoaded?: Source;
  later?: Source;
  /** Writes `cannot start: no licence` to its error stream and exits with 7 before it listens. */
  failing: Source;
  silent: Source;
}

export interface Language {
  /** Name of the runtime, and of its folder. */
  runtime: string;
  /** Tells apart several rows of one runtime in titles. */
  title?: string;
  /** Why it cannot be tested here. */
  missing: string | undefined;
  /** How requests travel; see PROTOCOL.md. */
  transport: 'mux' | 'http1-unix' | 'http1';
  /** Extra variables of the instance. */
  env?: Record<string, string>;
  /**
   * One handler for all requests, chosen by path: /echo, /echo-stream, /describe, /json, /headers, /status, /sse, /open, /big, /produced,
   * /slow-read, /throw, /reject, /hang, /aborted, /hang-deaf, /sleep, /most, /exit, /environment, /stdin, /log, /break-stream, /bad-header.
   */
  everything: Source;
  /** Breaks the whole process, from outside of a request's own call stack, at /crash and /reject with the words `thrown by a timer`. */
  crash: Source;
  /** What a stack of this language names of the user's code. */
  trace: RegExp;
  /** What code sees of its working directory and arguments. */
  cwd?: RegExp;
  args?: RegExp;
  /** A handler that does not return until the file `$GO` exists; where one hanging handler hangs the instance. */
  hanging?: Source;
  failures: Partial<Failures>;
  programs?: Programs;
  /** Title of a test, or of a group of them → why this runtime does not show it. A printed skip. */
  lacks: Record<string, string>;
}

/** A package of one file. */
export const oneFile =
  (entry: string) =>
  (text: string): Source => ({ files: { [entry]: text }, entry });
