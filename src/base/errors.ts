/**
 * Every failure that a user can meet has one code in this list; each message says what happened, why, and how
 * to fix it. Commands print them, the gateway and the API carry them, documentation refers to them.
 */

/** The closed list. The value is the process's exit code where a command ends with it. */
export const ERROR_CODES = {
  InvalidArgument: 2,
  FileNotFound: 3,
  UnsupportedSource: 4,
  PackageTooLarge: 5,
  UnsafeArchive: 6,
  InvalidName: 7,
  NameTaken: 8,
  NotFound: 9,
  RuntimeUnavailable: 10,
  LoadError: 11,
  NotReady: 12,
  PlatformNotRunning: 13,
  PlatformAlreadyRunning: 14,
  PortInUse: 15,
  HomeNotWritable: 16,
  DiskFull: 17,
  StartFailed: 18,
  Unauthorized: 19,
  Conflict: 20,
  ApiError: 21,
  Timeout: 22,
  DigestMismatch: 23,
  BuildFailed: 24,
  Internal: 70,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A failure with a code from the closed list. */
export class PetrelError extends Error {
  readonly code: ErrorCode;
  /** Why it happened, one sentence; may be empty when the message says it all. */
  readonly why: string;
  /** What to do, with the command to run. */
  readonly fix: string;

  constructor(
    code: ErrorCode,
    message: string,
    options: { why?: string; fix?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PetrelError';
    this.code = code;
    this.why = options.why ?? '';
    this.fix = options.fix ?? '';
  }
}

/** What a thrown value says, for logs and for messages of errors that it causes; anything may be thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
