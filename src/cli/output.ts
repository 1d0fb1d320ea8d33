/** What commands write: data on stdout in the format asked for, everything else on stderr. */
import { stripVTControlCharacters } from 'node:util';
import { ERROR_CODES, PetrelError } from '../base/errors.ts';

export type Format = 'table' | 'json' | 'yaml';

/** A stream a command writes to; `isTTY` decides about progress lines that rewrite themselves. */
export interface Sink {
  write(chunk: string | Uint8Array): unknown;
  isTTY?: boolean;
}

/** How long a step may take before it is worth a line, milliseconds. */
const SHOW_AFTER_MS = 500;
/** The same without a terminal, where every line stays. */
const SHOW_AFTER_WITHOUT_TERMINAL_MS = 5000;

/** Writes for one command run. */
export class Output {
  readonly format: Format;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  /** A progress line stands on the terminal. */
  #progress = false;

  constructor(format: Format, stdout: Sink, stderr: Sink) {
    this.format = format;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** Prints `data` as JSON or YAML, or calls `table` for people. */
  async data(data: unknown, table: () => void | Promise<void>): Promise<void> {
    if (this.format === 'json') this.line(JSON.stringify(data, null, 2));
    else if (this.format === 'yaml') this.#stdout.write((await import('yaml')).stringify(data));
    else await table();
  }

  /** A line of data on stdout. */
  line(text: string): void {
    this.#stdout.write(`${text}\n`);
  }

  /** Bytes of data on stdout, as they are. */
  raw(chunk: string | Uint8Array): void {
    this.#stdout.write(chunk);
  }

  /** Columns wide enough for their longest cell, two spaces apart. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    const lines = [header, ...rows];
    const widths = header.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? '').length)));
    for (const cells of lines) {
      this.line(
        cells
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      );
    }
  }

  /** A line for the person who waits or reads along, on stderr. */
  note(text: string): void {
    // A progress line gives way; it is not worth coming back for.
    if (this.#progress) this.#stderr.write('\r\x1b[K');
    this.#progress = false;
    this.#stderr.write(`${text}\n`);
  }

  /**
   * Runs `work` and says what it is once it takes longer than half a second: on a terminal a line that goes away when the
   * work is done, elsewhere a line that stays, and only for what takes long.
   */
  async progress<T>(what: string, work: Promise<T>): Promise<T> {
    const terminal = this.#stderr.isTTY === true;
    const timer = setTimeout(
      () => {
        this.#progress = terminal;
        this.#stderr.write(terminal ? `${what} ...` : `${what} ...\n`);
      },
      terminal ? SHOW_AFTER_MS : SHOW_AFTER_WITHOUT_TERMINAL_MS,
    );
    try {
      return await work;
    } finally {
      clearTimeout(timer);
      if (this.#progress) this.#stderr.write('\r\x1b[K');
      this.#progress = false;
    }
  }

  /** Prints a failure, as JSON on `one` line of many, and returns the exit code that it stands for. */
  failure(error: unknown, one = false): number {
    const known = error instanceof PetrelError ? error : unexpected(error);
    if (this.format === 'json') {
      const { code, message, why, fix } = known;
      this.line(JSON.stringify({ error: { code, message, why, fix } }, null, one ? 0 : 2));
    } else {
      this.note(`error: ${indent(known.message)}`);
      if (known.why) this.note(`  why: ${indent(known.why)}`);
      if (known.fix) this.note(`  fix: ${indent(known.fix)}`);
    }
    return ERROR_CODES[known.code];
  }
}

/** Whether there is more on a line than colours: tools that are told to be quiet leave those behind. */
export const isShown = (line: string): boolean => line === '' || stripVTControlCharacters(line).trim() !== '';

function indent(text: string): string {
  return text.trimEnd().replaceAll('\n', '\n       ');
}

/** A failure that nobody foresaw: the stack is what a report needs. */
function unexpected(error: unknown): PetrelError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return new PetrelError('Internal', `Petrel failed: ${message}`, {
    why: stack ?? '',
    fix: 'this is a defect of Petrel; petrel doctor may show its cause',
    cause: error,
  });
}
