/** Other projects' commands as they are released, run against a platform: `kn`, `fission`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Finished, finish } from './platform.ts';

/** The path of a command: what its name in capitals says in the environment, else the one on PATH; undefined when there is none. */
export const findCommand = (name: string): string | undefined =>
  [
    process.env[name.toUpperCase()],
    ...(process.env.PATH ?? '').split(':').map((directory) => join(directory, name)),
  ].find((path) => path !== undefined && path !== '' && existsSync(path));

/** What a command runs with; asked before each run, since a platform is up by then. */
export interface Around {
  /** Nothing of the user's own: `PATH` is the only thing that is kept. */
  env: Record<string, string>;
  cwd?: string;
}

/** One command, and the words of a test about it. */
export class RealCommand {
  readonly #name: string;
  readonly #path: string;
  readonly #around: () => Around;
  readonly #log: () => string;

  /** `log`: the platform's, for what fails. */
  constructor(name: string, path: string, around: () => Around, log: () => string) {
    this.#name = name;
    this.#path = path;
    this.#around = around;
    this.#log = log;
  }

  /** Runs to the end, whatever the exit code; a minute at most. */
  run = (args: readonly string[], cwd?: string): Promise<Finished> => {
    const around = this.#around();
    const child = spawn(this.#path, [...args], {
      cwd: cwd ?? around.cwd,
      env: { PATH: process.env.PATH, ...around.env },
      timeout: 60_000,
    });
    return finish(child);
  };

  /** What it printed; it must succeed. */
  ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await this.run(args);
    assert.equal(code, 0, `${this.#name} ${args.join(' ')}\n${stdout}${stderr}${this.#log()}`);
    return stdout;
  };

  /** What it complained of; it must fail. */
  refused = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await this.run(args);
    assert.notEqual(code, 0, `${this.#name} ${args.join(' ')} should have failed\n${stdout}`);
    return stderr + stdout;
  };
}
